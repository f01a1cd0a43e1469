"""The stacks of a process whose hound is late: from outside, while its GIL is held.

Three ways, the first that works: what its threads have written of themselves (``deadman``); on
Python 3.14 and newer, what its memory says (``remote``); and else a signal that makes a thread
write. That one is for a thread that holds the GIL and sleeps, which burns no CPU, and for a hold
that began while the hound was awake and no timer ran.

The rule of safety is that of ``deadman``: no dump may interrupt running bytecode. So a signal is
sent only where all of this is seen at two looks: the hound's own thread waits for the GIL (it wakes
every 5 ms to ask for it, which running bytecode would have given away by then), the thread did not
leave the CPU once in between, or slept and did not run once, and the kernel says that it catches
the signal.
"""

from __future__ import annotations

import ctypes
import os
import signal
import time
from typing import NamedTuple

from slowhound import remote
from slowhound.boxes import BoxState
from slowhound.notes import pid_namespace, read_note
from slowhound.selfdumps import SelfDump, SelfDumps, of_box

# A hound shows itself every quarter of a second.
LATE = 1.5
# Between two looks at a thread, and until a thread that was asked has written.
LOOK_APART = 0.1
ANSWER_WITHIN = 0.5
# A thread that waits for the GIL wakes every 5 ms, some 20 times between two looks.
WAKES = 10


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
    missing = [thread for thread in threads if thread not in found]
    stuck = _stuck(state, missing) if missing and _here(path, state) else []
    if stuck:
        read = remote.stacks(state.pid, str(read_note(state.settings).get("python")))
        if read:
            now = time.time()
            return {thread: SelfDump(stack, now, "remote") for thread, stack in read.items()}
        found = _ask_all(path, state.pid, stuck, threads, beat)
    # Of several that have written one at most holds the GIL.
    several = len(found) > 1
    return {each: dump._replace(by="asked") if several else dump for each, dump in found.items()}


def _ask_all(
    path: str, pid: int, stuck: list[int], threads: list[int], beat: float
) -> dict[int, SelfDump]:
    """Has those write that are stuck; all that is then known."""
    dumps = of_box(path)
    asked = [each for each in stuck if dumps is not None and _ask(pid, each, dumps)]
    end = time.monotonic() + ANSWER_WITHIN
    while True:
        found = _fresh(path, threads, beat)
        if found.keys() >= set(asked) or time.monotonic() > end:
            return found
        time.sleep(0.02)


def _fresh(path: str, threads: list[int], beat: float) -> dict[int, SelfDump]:
    dumps = of_box(path)
    if dumps is None or dumps.taken < beat:
        return {}
    return {thread: dump for thread in threads if (dump := dumps.of(thread)) is not None}


def _here(path: str, state: BoxState) -> bool:
    """True when the pid in the box means the same here: not of another container or user."""
    if read_note(state.settings).get("pids") != pid_namespace():
        return False
    try:
        return os.stat(f"/proc/{state.pid}").st_uid == os.stat(path).st_uid
    except OSError:
        return False


class _Seen(NamedTuple):
    """One look at a thread: its state, how often it has left a CPU, and its time on one (ns)."""

    state: bytes
    left: int
    taken_off: int
    cpu: int


def _stuck(state: BoxState, threads: list[int]) -> list[int]:
    """The threads that cannot be running bytecode; none unless the hound waits for the GIL."""
    everyone = [state.hound, *threads]
    before = {thread: _seen(state.pid, thread) for thread in everyone}
    time.sleep(LOOK_APART)
    after = {thread: _seen(state.pid, thread) for thread in everyone}
    hound = before[state.hound], after[state.hound]
    if hound[0] is None or hound[1] is None or hound[1].left - hound[0].left < WAKES:
        return []
    return [thread for thread in threads if _still(before[thread], after[thread])]


def _still(before: _Seen | None, after: _Seen | None) -> bool:
    """True for a thread that slept all the time, or ran and never let go of its CPU.

    Half of the time on a CPU is asked for: one that waits for a CPU, on a busy machine, may hold
    the GIL and be in the midst of bytecode.
    """
    if before is None or after is None or before.state != after.state:
        return False
    if before.state == b"S":
        return before == after
    ran = after.cpu - before.cpu >= LOOK_APART * 1e9 / 2
    return before.state == b"R" and before.left == after.left and ran


def _seen(pid: int, thread: int) -> _Seen | None:
    try:
        with open(f"/proc/{pid}/task/{thread}/schedstat", "rb") as schedstat:
            cpu = int(schedstat.read().split()[0])
        with open(f"/proc/{pid}/task/{thread}/status", "rb") as status:
            fields = dict(line.split(b":\t", 1) for line in status if b":\t" in line)
        return _Seen(
            fields[b"State"][:1],
            int(fields[b"voluntary_ctxt_switches"]),
            int(fields[b"nonvoluntary_ctxt_switches"]),
            cpu,
        )
    except (OSError, KeyError, ValueError, IndexError):
        return None


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
