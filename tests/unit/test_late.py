"""A process whose hound is late, seen from outside: which of its threads is sent a signal.

Each case is a process with a box, a switch for its main thread, one request in flight in that
thread, and no hound: it is late soon, and then this process looks.
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

from slowhound import late
from slowhound.blackbox import FIRST_SLOT, SLOT
from slowhound.boxes import STACKS, BoxState, beside, read
from slowhound.late import LATE, late_by, stacks
from slowhound.selfdumps import SelfDumps
from slowhound.watch.deadman import works
from tests.harness.waiting import eventually

pytestmark = [
    pytest.mark.skipif(not works, reason="needs Linux and CPython"),
    pytest.mark.slow,
]

COMMON = """
import ctypes, os, signal, struct, sys, threading, time
from slowhound.blackbox import HOUND, Box
from slowhound.boxes import STACKS, beside
from slowhound.config import load
from slowhound.notes import settings_note, who_note
from slowhound.record import Record
from slowhound.watch.deadman import DeadMan

directory, pids = sys.argv[1], sys.argv[2]
box = Box(directory, 2)
note = settings_note(load({"DIR": directory}), "test")
if pids:
    note = note.replace(b'"pids":', b'"pids":' + pids.encode() + b',"was":')
box.settings.write(note)
dead = DeadMan()
dead.open(beside(box.path, STACKS))
native = threading.get_native_id()
dead.watch(threading.get_ident(), native)
record = Record("GET", "/orders/", time.monotonic())
box.claim(record.number, who_note(record), native)
stacks = open(dead.path, "r+b", buffering=0)

def hound():
    "Wants to run four times a second, like the real one."
    box.cells[HOUND] = threading.get_native_id()
    while True:
        time.sleep(0.25)

threading.Thread(target=hound, daemon=True).start()

def cell(number, value):
    os.pwrite(stacks.fileno(), struct.pack("=q", value), number * 8)

def stuck():
    "Sleeps with the GIL until the test lets it go."
    ctypes.PyDLL(None).read(0, ctypes.create_string_buffer(1), 1)

def say_ready():
    print(box.path, flush=True)
"""
STUCK = "say_ready()\nstuck()\n"


class Case(NamedTuple):
    """A process and its box."""

    process: subprocess.Popen[str]
    path: str

    @property
    def state(self) -> BoxState:
        with open(self.path, "rb") as box:
            found = read(box.read(FIRST_SLOT + 2 * SLOT))
        assert found is not None
        return found

    def wait_late(self) -> BoxState:
        eventually(lambda: late_by(self.state) > LATE, "it is late")
        return self.state

    def wrote(self) -> bool:
        """Whether a thread of it has written its stack."""
        return SelfDumps(beside(self.path, STACKS)).of(self.process.pid) is not None

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


@pytest.fixture(autouse=True)
def by_signal_only(monkeypatch: pytest.MonkeyPatch) -> None:
    """As on a Python whose memory cannot be read from outside."""
    monkeypatch.setattr(late.remote, "stacks", lambda pid, python: {})


def test_thread_that_sleeps_with_the_gil_is_asked(tmp_path: Path) -> None:
    """It writes where it is, and does not notice."""
    with process(tmp_path, STUCK) as case:
        found = stacks(case.path, case.wait_late())
        assert list(found) == [case.process.pid]
        dump = found[case.process.pid]
        assert dump.by == "thread"
        assert dump.stack[-1].function == "stuck"
        assert case.process.poll() is None
        assert case.end() == 0


def test_thread_that_runs_is_not_asked(tmp_path: Path) -> None:
    """Bytecode is not interrupted."""
    script = "say_ready()\nwhile True: pass\n"
    with process(tmp_path, script) as case:
        assert stacks(case.path, case.wait_late()) == {}
        assert not case.wrote()
        assert case.process.poll() is None


def test_thread_that_wakes_now_and_then_is_not_asked(tmp_path: Path) -> None:
    """One that waits for the GIL, or sleeps in a loop, has run between two looks."""
    script = "say_ready()\nwhile True: time.sleep(0.01)\n"
    with process(tmp_path, script) as case:
        assert stacks(case.path, case.wait_late()) == {}
        assert not case.wrote()
        assert case.process.poll() is None


def state_letter(pid: int) -> str:
    """How the kernel calls what a process does: T is stopped."""
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]


def test_process_that_is_stopped_is_not_asked(tmp_path: Path) -> None:
    """It would write in whatever it does when it goes on."""
    with process(tmp_path, STUCK) as case:
        os.kill(case.process.pid, signal.SIGSTOP)
        eventually(lambda: state_letter(case.process.pid) == "T", "the stop")
        try:
            assert stacks(case.path, case.wait_late()) == {}
        finally:
            os.kill(case.process.pid, signal.SIGCONT)
        assert case.end() == 0
        assert not case.wrote()


def test_signal_that_is_not_caught_is_not_sent(tmp_path: Path) -> None:
    """What is in the file is another process's word: such a signal would end the thread's."""
    script = """
cell(dead._switches[native].signal, 0)
cell(signal.SIGRTMIN + 2, native)
assert signal.getsignal(signal.SIGRTMIN + 2) == signal.SIG_DFL
"""
    with process(tmp_path, script + STUCK) as case:
        assert stacks(case.path, case.wait_late()) == {}
        assert case.process.poll() is None
        assert case.end() == 0


@pytest.mark.parametrize("number", [signal.SIGUSR1, signal.SIGTERM])
def test_signal_that_is_none_of_ours_is_not_sent(tmp_path: Path, number: signal.Signals) -> None:
    """Even where it is caught, one that means something to the application is left alone."""
    script = f"""
cell(dead._switches[native].signal, 0)
cell({int(number)}, native)
signal.signal({int(number)}, lambda *_: sys.exit(9))
"""
    with process(tmp_path, script + STUCK) as case:
        assert stacks(case.path, case.wait_late()) == {}
        assert case.end() == 0


def test_thread_of_another_process_is_not_asked(tmp_path: Path) -> None:
    """A box that names a thread which is not its process's has no stack of it."""
    script = """
box.cells[box.free[0].at + 0] = 0
other = Record("GET", "/forged/", time.monotonic())
box.claim(other.number, who_note(other), os.getppid())
cell(dead._switches[native].signal, os.getppid())
"""
    with process(tmp_path, script + STUCK) as case:
        assert stacks(case.path, case.wait_late()) == {}
        assert case.end() == 0


def test_process_of_another_container_is_not_asked(tmp_path: Path) -> None:
    """Its pid means another process here."""
    with process(tmp_path, STUCK, pids="1") as case:
        assert stacks(case.path, case.wait_late()) == {}
        assert not case.wrote()
        assert case.end() == 0


def test_process_that_has_ended_has_no_stacks(tmp_path: Path) -> None:
    """Nobody is asked, and nothing raised."""
    with process(tmp_path, STUCK) as case:
        state = case.wait_late()
        case.end()
        assert stacks(case.path, state) == {}


def test_stack_of_before_it_was_late_is_not_shown(tmp_path: Path) -> None:
    """What a thread wrote at an earlier hold says nothing of this one; it is asked anew."""
    script = """
signal.raise_signal(dead._switches[native].signal)
box.cells[4] = time.monotonic_ns() + 10**9
say_ready()
while True: pass
"""
    with process(tmp_path, script) as case:
        assert case.wrote()
        assert stacks(case.path, case.wait_late()) == {}


def test_box_without_its_file_of_stacks(tmp_path: Path) -> None:
    """Somebody removed it: nobody knows which signal to send."""
    with process(tmp_path, STUCK) as case:
        os.unlink(beside(case.path, STACKS))
        assert stacks(case.path, case.wait_late()) == {}
        assert case.end() == 0


def test_late_by_is_never_negative(tmp_path: Path) -> None:
    """A heartbeat from the future (another boot) is none that is late."""
    with process(tmp_path, STUCK) as case:
        state = case.state._replace(heartbeat=2**62)
        assert late_by(state) == 0
        case.end()
