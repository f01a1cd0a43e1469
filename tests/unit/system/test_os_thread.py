"""Real threads of the system."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator

import pytest

from slowhound.runtime.unpatched import get_ident
from slowhound.system.os_thread import OsThread
from tests.harness.waiting import eventually

LONG = 3600.0


@pytest.fixture
def threads() -> Iterator[list[OsThread]]:
    """Threads that are told to end after the test."""
    started: list[OsThread] = []
    yield started
    for thread in started:
        thread.stop(5)
        assert not thread.alive()


def start(threads: list[OsThread], function: Callable[[Callable[[float], bool]], None]) -> OsThread:
    thread = OsThread(function)
    threads.append(thread)
    thread.start()
    return thread


def test_thread_sleeps_until_it_is_told_to_end(threads: list[OsThread]) -> None:
    """The wait of an hour ends at once, and is True."""
    ended: list[bool] = []
    thread = start(threads, lambda wait: ended.append(wait(LONG)))
    assert thread.alive()
    thread.stop(5)
    assert not thread.alive()
    assert ended == [True]


def test_wake_ends_one_sleep(threads: list[OsThread]) -> None:
    """Each wake-up, also one before the sleep or two at once, is one turn; none is an end."""
    turns: list[bool] = []

    def run(wait: Callable[[float], bool]) -> None:
        while not turns or not turns[-1]:
            turns.append(wait(LONG))

    thread = OsThread(run)
    threads.append(thread)
    thread.wake()
    thread.wake()
    thread.start()
    eventually(lambda: turns == [False], "the first turn")
    thread.wake()
    eventually(lambda: turns == [False, False], "the second turn")
    thread.stop(5)
    assert turns == [False, False, True]


def test_wait_ends_by_itself(threads: list[OsThread]) -> None:
    """A wait without a wake-up ends after its time, and is False."""
    ended: list[bool] = []
    start(threads, lambda wait: ended.append(wait(0.01)))
    eventually(lambda: ended == [False], "the end of the wait")


def test_stop_from_inside_and_before_the_start_does_not_hang(threads: list[OsThread]) -> None:
    """A thread may stop itself, and one that was never started may be stopped."""
    done: list[int] = []

    def run(_wait: Callable[[float], bool]) -> None:
        threads[0].stop(LONG)
        done.append(get_ident())

    thread = start(threads, run)
    eventually(lambda: done == [thread.ident], "the end")
    OsThread(run).stop(LONG)


def test_child_of_a_fork_has_no_thread(threads: list[OsThread]) -> None:
    """In a forked child it is not alive, and a stop does not wait for it."""
    thread = start(threads, lambda wait: wait(LONG) and None)
    pid = os.fork()
    if pid == 0:
        alive = thread.alive()
        thread.stop(5)
        os._exit(1 if alive else 0)
    assert os.waitpid(pid, 0)[1] == 0
    assert thread.alive()


FAULT = """
import {imports}, faulthandler, os, signal, sys
from slowhound.system.os_thread import OsThread
faulthandler.enable(all_threads=False)
faulthandler.register(signal.SIGTRAP, chain=True, all_threads=False)
faulthandler.register(signal.SIGSYS, chain=True, all_threads=False)
def faulty(wait):
    {fault}
thread = OsThread(faulty)
thread.start()
thread.stop(60)
"""


@pytest.mark.parametrize("name", ["SIGSEGV", "SIGBUS", "SIGFPE", "SIGILL", "SIGTRAP", "SIGSYS"])
def test_fault_leaves_its_stack(name: str) -> None:
    """Whoever handles it is called, as in any other thread: here Python's `faulthandler`."""
    died = fault(f"signal.pthread_kill(threading.get_ident(), signal.{name})", "threading")
    assert died.returncode == -getattr(signal, name)
    assert "in faulty" in died.stderr


@pytest.mark.parametrize(
    ("what", "imports"), [("ctypes.string_at(0)", "ctypes"), ("os.abort()", "os")]
)
def test_real_fault_leaves_its_stack(what: str, imports: str) -> None:
    """A wrong pointer, and a library that gives up."""
    assert "in faulty" in fault(what, imports).stderr


def fault(what: str, imports: str) -> subprocess.CompletedProcess[str]:
    """How a process ends in one of slowhound's threads; without a core file."""
    code = "import resource\nresource.setrlimit(resource.RLIMIT_CORE, (0, 0))"
    code += FAULT.format(fault=what, imports=imports)
    argv = [sys.executable, "-c", code]
    return subprocess.run(argv, capture_output=True, text=True, timeout=60, check=False)


def test_no_other_signal_is_taken(threads: list[OsThread]) -> None:
    """They are the main thread's."""
    blocked: list[set[int]] = []
    start(threads, lambda _: blocked.append(signal.pthread_sigmask(signal.SIG_BLOCK, ())))
    eventually(lambda: blocked, "its mask")
    assert {signal.SIGTERM, signal.SIGINT, signal.SIGCHLD, signal.SIGUSR1, signal.SIGALRM} <= (
        blocked[0]
    )


PATCHED = """
from gevent import monkey; monkey.patch_all()
import threading, time, _thread
from slowhound.system.os_thread import OsThread
from slowhound.runtime.unpatched import get_ident, is_patched
turns, idents = [], []
def run(wait):
    idents.append((get_ident(), threading.get_native_id()))
    while not wait(0.001):
        turns.append(1)
thread = OsThread(run)
thread.start()
block = monkey.get_original("time", "sleep")
while len(turns) < 20:
    block(0.001)
thread.stop(5)
main = get_ident(), threading.get_native_id()
print(is_patched(), thread.alive(), main[0] != idents[0][0], main[1] != idents[0][1])
"""


def test_thread_runs_while_a_greenlet_blocks() -> None:
    """Under gevent's patches as well it is one of the system's."""
    argv = [sys.executable, "-c", PATCHED]
    done = subprocess.run(argv, capture_output=True, text=True, timeout=20, check=False)
    assert done.stdout == "True False True True\n", done.stderr
