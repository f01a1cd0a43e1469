"""A process whose hound does not show itself, seen from outside: who holds its GIL.

Each case is a process with a box, one request in flight in its main thread, and a hound that only
sleeps: it does not show itself soon, and then this process looks.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import pytest

from slowhound.boxes import BoxState, read
from slowhound.frames import Frame
from slowhound.gil.reading import Reader, Reading, stable
from slowhound.gil.unresponsive import UNRESPONSIVE_AFTER, Hold, examine, silent_for
from tests.harness.waiting import eventually

pytestmark = [
    pytest.mark.skipif(not sys.platform.startswith("linux"), reason="/proc of Linux tells"),
    pytest.mark.slow,
]

COMMON = """
import ctypes, os, re, sys, threading, time
from slowhound.blackbox import HOUND, Box
from slowhound.config import load
from slowhound.notes import settings_note, who_note
from slowhound.record import Record

directory, pids = sys.argv[1], sys.argv[2]
box = Box(directory, 2)
note = settings_note(load({"DIR": directory}), "test")
if pids:
    note = note.replace(b'"pids":', b'"pids":' + pids.encode() + b',"was":')
box.settings.write(note)
record = Record("GET", "/orders/", time.monotonic())

def carry(thread):
    box.claim(record.number, who_note(record), thread)

def hound():
    "Wants to run four times a second, like the real one."
    box.cells[HOUND] = threading.get_native_id()
    while True:
        time.sleep(0.25)

threading.Thread(target=hound, daemon=True).start()

def stuck():
    "Sleeps with the GIL until the test lets it go."
    ctypes.PyDLL(None).read(0, ctypes.create_string_buffer(1), 1)

def burn():
    "Uses the CPU with the GIL for longer than any test."
    re.match(r"(a+)+$", "a" * 40 + "b")

def say_ready():
    print(box.path, flush=True)
"""
STUCK = "carry(os.getpid())\nsay_ready()\nstuck()\n"
BURN = "carry(os.getpid())\nsay_ready()\nburn()\n"
STACK = (Frame("/srv/shop/views.py", 3, "orders"),)


class Case(NamedTuple):
    """A process and its box."""

    process: subprocess.Popen[str]
    path: str

    @property
    def state(self) -> BoxState:
        found = read(Path(self.path).read_bytes())
        assert found is not None
        return found

    def wait_unresponsive(self) -> BoxState:
        eventually(lambda: silent_for(self.state) > UNRESPONSIVE_AFTER, "it is unresponsive")
        return self.state

    def examined(self, *readers: Reader) -> Hold | None:
        """What is found once it has not shown itself for long."""
        return examine(self.path, self.wait_unresponsive(), readers)

    def end(self) -> int:
        """Lets it go on, and waits for its end; its exit code."""
        self.process.communicate("x", timeout=30)
        return self.process.returncode


@contextmanager
def process(directory: Path, script: str, pids: str = "") -> Iterator[Case]:
    """A running process; killed in the end."""
    argv = [sys.executable, "-c", COMMON + script, str(directory), pids]
    with subprocess.Popen(
        argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as started:
        try:
            assert started.stdout is not None
            yield Case(started, started.stdout.readline().rstrip("\n"))
        finally:
            started.kill()


def test_thread_that_sleeps_with_the_gil_is_suspected(tmp_path: Path) -> None:
    """It slept all the time while the hound waited for the GIL; it does not notice."""
    with process(tmp_path, STUCK) as case:
        found = case.examined()
        assert found is not None
        assert (found.suspects, found.ran, found.stacks) == ((case.process.pid,), False, {})
        assert "most likely by this thread, which slept" in found.text(case.process.pid)
        assert case.end() == 0


def test_thread_that_burns_cpu_with_the_gil_is_suspected(tmp_path: Path) -> None:
    """It used the CPU all the time while the hound waited for the GIL."""
    with process(tmp_path, BURN) as case:
        found = case.examined()
        assert found is not None
        assert (found.suspects, found.ran) == ((case.process.pid,), True)
        assert "most likely by this thread, which used the CPU" in found.text(case.process.pid)


def test_thread_that_carries_no_request_is_named(tmp_path: Path) -> None:
    """The request's own thread, which waits, is not suspected then."""
    script = """
carry(os.getpid())
say_ready()
threading.Thread(target=burn, daemon=True).start()
time.sleep(60)
"""
    with process(tmp_path, script) as case:
        found = case.examined()
        assert found is not None
        assert found.suspects == ()
        tasks = {int(each.name) for each in Path(f"/proc/{case.process.pid}/task").iterdir()}
        assert found.elsewhere in tasks - {case.process.pid, case.state.hound}
        assert f"most likely by thread {found.elsewhere}" in found.text(case.process.pid)


def test_running_bytecode_is_no_held_gil(tmp_path: Path) -> None:
    """The hound gets its turn every 5 ms, and does not wait for long."""
    with process(tmp_path, "carry(os.getpid())\nsay_ready()\nwhile True: pass\n") as case:
        assert case.examined() is None


def test_stopped_process_does_not_wait_for_the_gil(tmp_path: Path) -> None:
    """Nobody in it runs, the hound included."""
    with process(tmp_path, STUCK) as case:
        os.kill(case.process.pid, signal.SIGSTOP)
        try:
            assert case.examined() is None
        finally:
            os.kill(case.process.pid, signal.SIGCONT)
        assert case.end() == 0


def test_process_of_another_container_is_left_alone(tmp_path: Path) -> None:
    """Its pid means another process here."""
    with process(tmp_path, STUCK, pids="1") as case:
        assert case.examined() is None
        assert case.end() == 0


def test_process_that_has_ended_holds_nothing(tmp_path: Path) -> None:
    """And nothing is raised."""
    with process(tmp_path, STUCK) as case:
        state = case.wait_unresponsive()
        case.end()
        assert examine(case.path, state, ()) is None


def test_first_reader_that_can_gives_the_stacks(tmp_path: Path) -> None:
    """The ways are tried in their order; who knows the holder is believed."""
    asked = []

    def cannot(pid: int, python: str) -> None:
        asked.append((pid, python))

    with process(tmp_path, STUCK) as case:
        pid = case.process.pid
        found = case.examined(cannot, lambda *_: Reading({pid: STACK}, "py-spy", pid))
        assert found is not None
        assert asked[0][0] == pid
        assert (found.suspects, found.known) == ((pid,), True)
        assert (found.stacks[pid].stack, found.stacks[pid].by) == (STACK, "py-spy")
        assert found.text(pid).endswith("by this thread.")


def test_stack_is_thrown_away_when_the_process_went_on(tmp_path: Path) -> None:
    """It may be another request's by now."""
    with process(tmp_path, STUCK) as case:
        state = case.wait_unresponsive()

        def reader(pid: int, _python: str) -> Reading:
            with open(case.path, "r+b") as box:
                box.seek(4 * 8)
                box.write((state.heartbeat + 1).to_bytes(8, "little"))
            return Reading({pid: STACK}, "py-spy")

        found = examine(case.path, state, [reader])
        assert found is not None
        assert found.stacks == {}
        case.end()


def test_heartbeat_from_the_future_is_not_silent(tmp_path: Path) -> None:
    """One of another boot says nothing."""
    with process(tmp_path, STUCK) as case:
        assert silent_for(case.state._replace(heartbeat=2**62)) == 0
        case.end()


def test_two_readings_agree_on_the_outer_frames() -> None:
    """What has changed between the two is left out, and a thread that is in one of them only."""
    outer, inner, other = (Frame("a.py", line, "f") for line in (1, 2, 3))
    first = {7: (outer, inner), 8: (outer,), 9: (inner,)}
    second = {7: (outer, other), 9: (other,)}
    assert stable(first, second) == {7: (outer,)}
