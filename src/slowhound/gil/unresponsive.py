"""A process whose hound does not show itself, seen from another process: does it wait for the GIL?

The kernel tells that without the other's help, and nothing is done to it. Its hound waits for the
GIL when it wakes every 5 ms, as ``take_gil`` does. Of the other threads, one that ran all the time
and never left its CPU of its own accord is suspected to hold the GIL; where none ran, one that
slept and did not wake once. Others wait for the GIL as the hound does. To run without the GIL
looks the same, so a suspicion stays one, unless a reader of the process's memory knows better.
"""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from typing import NamedTuple

from slowhound.boxes import BoxState, open_box, read_from
from slowhound.frames import TakenStack
from slowhound.gil.reading import Reader, Reading
from slowhound.notes import pid_namespace, read_note

# A hound shows itself every quarter of a second.
UNRESPONSIVE_AFTER = 1.5
# Seconds between two samples of a thread's counters.
APART = 0.1
# A thread that waits for the GIL wakes every 5 ms, some 20 times between two samples; fewer times
# where the CPUs are all taken. One that sleeps as the hound does wakes once at most.
WAKES = 4


def silent_for(state: BoxState) -> float:
    """Seconds since the hound showed itself; up to ``UNRESPONSIVE_AFTER`` says nothing."""
    return max(time.monotonic() - state.heartbeat / 1e9, 0.0)


class Hold(NamedTuple):
    """What can be told from outside of a process whose GIL is held.

    ``suspects`` are those of the threads asked about that may hold it, ``ran`` says that they used
    the CPU all the time; ``elsewhere`` is another thread of the process that did, where none of
    those asked about did. ``known`` says that a reader saw the GIL with the one suspect.
    """

    suspects: tuple[int, ...]
    ran: bool
    elsewhere: int | None
    known: bool
    stacks: dict[int, TakenStack]
    seconds: float  # for which the hound has not shown itself

    def text(self, thread: int) -> str:
        """Who holds the GIL, for the report of a request of ``thread``, in a sentence."""
        held = f"The GIL has been held for about {self.seconds:.1f} s"
        others = [each for each in self.suspects if each != thread]
        names = ", ".join(map(str, others)) or str(self.elsewhere or "that is not known")
        did = "used the CPU" if self.ran else "slept"
        if thread not in self.suspects:
            by = f"by thread {names}" if self.known else f"most likely by thread {names}"
            return f"{held}, {by}; this one may have waited for it."
        if self.known:
            return f"{held}, by this thread."
        if not others:
            return f"{held}, most likely by this thread, which {did} all the time."
        return f"{held}, by this thread or another one ({names}); each of them {did} all the time."


def examine(path: str, state: BoxState, readers: Sequence[Reader]) -> Hold | None:
    """Who holds the GIL of the process of the box at ``path``; None where none is seen to.

    Takes 0.1 s, and as long as the readers do, which are tried in turn. Stacks are given only when
    the process has not gone on meanwhile.
    """
    threads = sorted({pending.thread for pending in state.pending})
    if not threads or not _is_here(path, state):
        return None
    suspicion = _suspects(state, threads)
    if suspicion is None:
        return None
    python = str(read_note(state.settings).get("python"))
    found = (reader(state.pid, python) for reader in readers)
    reading = next((each for each in found if each is not None), None)
    if reading is None or not _is_unchanged(path, state):
        return suspicion
    return _with_stacks(suspicion, reading, threads)


def _with_stacks(suspicion: Hold, reading: Reading, threads: Sequence[int]) -> Hold:
    now = time.time()
    stacks = {
        thread: TakenStack(stack, now, reading.by) for thread, stack in reading.stacks.items()
    }
    if reading.holder is None:
        return suspicion._replace(stacks=stacks)
    mine = reading.holder in threads
    return suspicion._replace(
        suspects=(reading.holder,) if mine else (),
        elsewhere=None if mine else reading.holder,
        known=True,
        stacks=stacks,
    )


def _is_here(path: str, state: BoxState) -> bool:
    """True when the pid in the box means the same here: not of another container or user."""
    if read_note(state.settings).get("pids") != pid_namespace():
        return False
    try:
        return os.stat(f"/proc/{state.pid}").st_uid == os.stat(path).st_uid
    except OSError:
        return False


def _is_unchanged(path: str, state: BoxState) -> bool:
    """True while the process has not run: stacks belong to the requests that the box named."""
    try:
        fd = open_box(path)
    except OSError:
        return False
    try:
        now = read_from(fd)
    except OSError:
        return False
    finally:
        os.close(fd)
    return now is not None and (now.heartbeat, _carried(now)) == (state.heartbeat, _carried(state))


def _carried(state: BoxState) -> set[tuple[int, int]]:
    return {(pending.number, pending.thread) for pending in state.pending}


class _Sample(NamedTuple):
    """A thread's state, how often it has left a CPU, and its time on one (ns)."""

    state: bytes
    left: int
    taken_off: int
    cpu: int


def _suspects(state: BoxState, threads: Sequence[int]) -> Hold | None:
    """None unless the hound waits for the GIL."""
    others = [each for each in _tasks(state.pid) if each not in threads and each != state.hound]
    everyone = (state.hound, *threads, *others)
    before = {thread: _sample(state.pid, thread) for thread in everyone}
    time.sleep(APART)
    after = {thread: _sample(state.pid, thread) for thread in everyone}
    hound = before[state.hound], after[state.hound]
    if hound[0] is None or hound[1] is None or hound[1].left - hound[0].left < WAKES:
        return None
    ran = tuple(each for each in threads if _ran(before[each], after[each]))
    elsewhere = [each for each in others if _ran(before[each], after[each])]
    slept = tuple(each for each in threads if _slept(before[each], after[each]))
    hold = Hold(ran, ran=True, elsewhere=None, known=False, stacks={}, seconds=silent_for(state))
    if ran:
        return hold
    if elsewhere:
        return hold._replace(elsewhere=elsewhere[0])
    return hold._replace(suspects=slept, ran=False)


def _tasks(pid: int) -> list[int]:
    try:
        return sorted(int(name) for name in os.listdir(f"/proc/{pid}/task"))
    except (OSError, ValueError):
        return []


def _ran(before: _Sample | None, after: _Sample | None) -> bool:
    """True for a thread that never left its CPU of its own accord.

    A tenth of the time on a CPU is asked for: on a busy machine it waits for one, too.
    """
    if before is None or after is None:
        return False
    used = after.cpu - before.cpu >= APART * 1e9 / 10
    return before.state == after.state == b"R" and before.left == after.left and used


def _slept(before: _Sample | None, after: _Sample | None) -> bool:
    return before is not None and before == after and before.state in (b"S", b"D")


def _sample(pid: int, thread: int) -> _Sample | None:
    try:
        with open(f"/proc/{pid}/task/{thread}/schedstat", "rb") as schedstat:
            cpu = int(schedstat.read().split()[0])
        with open(f"/proc/{pid}/task/{thread}/status", "rb") as status:
            fields = dict(line.split(b":\t", 1) for line in status if b":\t" in line)
        return _Sample(
            fields[b"State"][:1],
            int(fields[b"voluntary_ctxt_switches"]),
            int(fields[b"nonvoluntary_ctxt_switches"]),
            cpu,
        )
    except (OSError, KeyError, ValueError, IndexError):
        return None
