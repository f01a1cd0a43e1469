"""The switch interval is the whole process's: what the application sets always stays."""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Iterator
from types import FrameType
from typing import Any

import pytest

from slowhound.flames.sampling import switch_interval

OURS = pytest.approx(switch_interval.OUR_INTERVAL * 1e-6)
DEFAULT = pytest.approx(switch_interval.DEFAULT * 1e-6)
THEIRS = pytest.approx(0.0005)


@pytest.fixture(autouse=True)
def usual() -> Iterator[None]:
    """Each test begins and ends with Python's default."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(0.005)
    yield
    switch_interval.restore("one")
    switch_interval.restore("two")
    sys.setswitchinterval(before)


def test_interval_is_shorter_until_all_have_restored_it() -> None:
    """The first call shortens it, and the last one restores it."""
    switch_interval.shorten("one")
    switch_interval.shorten("two")
    assert sys.getswitchinterval() == OURS
    switch_interval.restore("one")
    assert sys.getswitchinterval() == OURS
    switch_interval.restore("two")
    assert sys.getswitchinterval() == DEFAULT


@pytest.mark.parametrize("theirs", [0.0005, 0.001, 0.05, 1e-6])
def test_what_the_application_has_set_is_left_alone(theirs: float) -> None:
    """Whether it is shorter or longer than ours."""
    sys.setswitchinterval(theirs)
    switch_interval.shorten("one")
    assert sys.getswitchinterval() == pytest.approx(theirs)
    switch_interval.restore("one")
    assert sys.getswitchinterval() == pytest.approx(theirs)


@pytest.mark.parametrize("theirs", [0.0005, 0.001, 0.05, 0.005])
def test_what_the_application_sets_meanwhile_stays(theirs: float) -> None:
    """It is not mistaken for ours when the sampling ends."""
    switch_interval.shorten("one")
    sys.setswitchinterval(theirs)
    switch_interval.shorten("two")
    switch_interval.restore("two")
    switch_interval.restore("one")
    assert sys.getswitchinterval() == pytest.approx(theirs)


def test_our_interval_that_the_application_saved_is_undone_by_the_next_restore() -> None:
    """Code that saves the interval and sets it again later may have saved ours."""
    switch_interval.shorten("one")
    saved = sys.getswitchinterval()
    switch_interval.restore("one")
    sys.setswitchinterval(saved)
    switch_interval.restore("two")
    assert sys.getswitchinterval() == DEFAULT


def run_with_interference(call: Any, at: int) -> bool:
    """Runs `call`, and sets the application's interval right before its instruction `at`.

    False when it has fewer. Any instruction is one at which another thread may run.
    """
    count = 0

    def each(frame: FrameType, event: str, _: Any) -> Any:
        nonlocal count
        frame.f_trace_opcodes = True
        if event == "opcode":
            count += 1
            if count == at:
                sys.setswitchinterval(0.0005)
        return each

    before = sys.gettrace()
    sys.settrace(each)
    try:
        call("one")
    finally:
        sys.settrace(before)
    return count >= at


@pytest.mark.parametrize("lowered", [False, True])
def test_application_may_set_it_between_any_two_instructions(lowered: bool) -> None:
    """Wherever another thread runs in between, its interval stays."""
    call = switch_interval.restore if lowered else switch_interval.shorten
    at = 1
    while True:
        sys.setswitchinterval(0.005)
        switch_interval.restore("one")
        if lowered:
            switch_interval.shorten("one")
        if not run_with_interference(call, at):
            break
        assert sys.getswitchinterval() == THEIRS, at
        at += 1
    assert at > 10


def test_application_may_set_it_from_another_thread_at_any_time() -> None:
    """Two threads of the sampler make thousands of changes, and none to its interval."""
    ending = threading.Event()

    def samples(who: str) -> None:
        while not ending.is_set():
            switch_interval.shorten(who)
            switch_interval.restore(who)

    threads = [threading.Thread(target=samples, args=(who,)) for who in ("one", "two")]
    for thread in threads:
        thread.start()
    lost = 0
    for number in range(5000):
        sys.setswitchinterval(1e-6 * (20 + number % 7) + 1e-9)
        sum(range(number % 50))
        lost += round(sys.getswitchinterval() * 1e6) != 20 + number % 7
        sys.setswitchinterval(0.005)
    ending.set()
    for thread in threads:
        thread.join()
    assert lost == 0


@pytest.mark.parametrize(("theirs", "found"), [(None, switch_interval.DEFAULT), (0.0005, 500)])
def test_forked_child_has_the_interval_of_the_application(theirs: float | None, found: int) -> None:
    """Nothing samples there: Python's default is restored, and what the application set stays."""
    switch_interval.shorten("one")
    if theirs is not None:
        sys.setswitchinterval(theirs)
    pid = os.fork()
    if pid == 0:
        os._exit(0 if round(sys.getswitchinterval() * 1e6) == found else 1)
    assert os.waitpid(pid, 0)[1] == 0
    assert sys.getswitchinterval() == (OURS if theirs is None else THEIRS)
