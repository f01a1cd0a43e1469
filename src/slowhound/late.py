"""The stacks of a process whose hound is late: from outside, while its GIL is held.

Three ways, the first that works: what its threads have written of themselves (``deadman``); on
Python 3.14 and newer, what its memory says (``remote``); and, for a thread that holds the GIL and
sleeps, which burns no CPU and so has written nothing, a signal to that thread.

The signal is sent only where a thread of the process sleeps, has not run at all between two looks
(threads that wait for the GIL wake every 5 ms), and catches that signal. Such a thread sits in a
system call: it runs no bytecode, and a dump is safe (see ``deadman``).
"""

from __future__ import annotations

import ctypes
import signal
import time

from slowhound import remote
from slowhound.boxes import BoxState
from slowhound.notes import pid_namespace, read_note
from slowhound.selfdumps import SelfDump, SelfDumps, of_box

# A hound shows itself every quarter of a second.
LATE = 1.5
# Between two looks at a thread that sleeps, and until a thread that was asked has written.
LOOK_APART = 0.1
ANSWER_WITHIN = 0.5


def late_by(state: BoxState) -> float:
    """Seconds since the process showed itself; at most ``LATE`` is nothing to speak of."""
    return max(time.monotonic() - state.heartbeat / 1e9, 0.0)


def stacks(path: str, state: BoxState) -> dict[int, SelfDump]:
    """Stacks of the late process of the box at ``path``, by the system's ids of its threads.

    Takes up to 0.6 s. Only stacks that were taken since the process last showed itself.
    """
    beat = time.time() - late_by(state)
    threads = [pending.thread for pending in state.pending]
    found = _fresh(path, threads, beat)
    if found or not _here(state):
        return found
    read = remote.stacks(state.pid, str(read_note(state.settings).get("python")))
    if read:
        now = time.time()
        return {thread: SelfDump(stack, now, "remote") for thread, stack in read.items()}
    dumps = of_box(path)
    if dumps is None:
        return {}
    asked = [each for each in _asleep(state.pid, threads) if _ask(state.pid, each, dumps)]
    end = time.monotonic() + ANSWER_WITHIN
    while asked and not found and time.monotonic() < end:
        time.sleep(0.02)
        found = _fresh(path, threads, beat)
    return found


def _fresh(path: str, threads: list[int], beat: float) -> dict[int, SelfDump]:
    dumps = of_box(path)
    if dumps is None or dumps.taken < beat:
        return {}
    return {thread: dump for thread in threads if (dump := dumps.of(thread)) is not None}


def _here(state: BoxState) -> bool:
    """True when the pid in the box means the same here: not that of another container."""
    return read_note(state.settings).get("pids") == pid_namespace()


def _asleep(pid: int, threads: list[int]) -> list[int]:
    """Those that sleep and do not run at all between two looks."""
    before = {thread: _switches(pid, thread) for thread in threads}
    if not any(before.values()):
        return []
    time.sleep(LOOK_APART)
    return [each for each, seen in before.items() if seen and seen == _switches(pid, each)]


def _switches(pid: int, thread: int) -> tuple[bytes, ...] | None:
    """How often a thread has been put on and off a CPU; None when it does not sleep."""
    try:
        with open(f"/proc/{pid}/task/{thread}/status", "rb") as status:
            lines = status.read().split(b"\n")
    except OSError:
        return None
    if not any(line.startswith(b"State:\tS") for line in lines):
        return None
    return tuple(line for line in lines if b"ctxt_switches:" in line)


def _ask(pid: int, thread: int, dumps: SelfDumps) -> bool:
    """Has the thread write its stack; False when it would not catch the signal."""
    number = dumps.threads.get(thread, 0)
    if not signal.SIGRTMIN <= number <= signal.SIGRTMAX or not _catches(pid, number):
        return False
    try:
        tgkill = ctypes.CDLL(None).tgkill
    except AttributeError:
        return False
    return bool(tgkill(pid, thread, number) == 0)


def _catches(pid: int, number: int) -> bool:
    """The box is another process's word; the kernel says what a signal would do."""
    try:
        with open(f"/proc/{pid}/status", "rb") as status:
            for line in status:
                if line.startswith(b"SigCgt:"):
                    return bool(int(line.split()[1], 16) >> (number - 1) & 1)
    except (OSError, ValueError, IndexError):
        pass
    return False
