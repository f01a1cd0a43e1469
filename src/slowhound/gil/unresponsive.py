"""Checks from another process whether an unresponsive one waits for its GIL, and who holds that.

The kernel shows it without the other's help, and nothing is done to the process. Its hound waits
for the GIL when it wakes every 5 ms, as ``take_gil`` does. Of the other threads, one that ran all
the time, or waited for a CPU, and never slept is suspected to hold the GIL; where there is none,
one that slept and did not wake once. Others wait for the GIL as the hound does. A thread that runs
without the GIL appears the same, so this stays a suspicion, unless a reader of the process's memory
finds the holder.
"""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from slowhound.blackbox.payloads import read_settings
from slowhound.blackbox.reader import BoxState, is_alive, read_from
from slowhound.frames.frames import TakenStack, innermost
from slowhound.gil.reading import Reader, Reading
from slowhound.runtime.clocks import clock
from slowhound.system.files import opened

# A hound writes its heartbeat every quarter of a second.
UNRESPONSIVE_AFTER = 1.5
# Seconds between two readings of a thread's counters.
COUNTERS_APART = 0.1
# A thread that waits for the GIL wakes every 5 ms, some 20 times between two readings; fewer times
# where all CPUs are busy. One that sleeps as the hound does wakes once at most.
LEAST_WAKES = 4


def silent_for(state: BoxState) -> float:
    """Seconds since the last heartbeat; up to ``UNRESPONSIVE_AFTER`` they mean nothing."""
    return max(clock.monotonic() - state.heartbeat / 1e9, 0.0)


class Hold(NamedTuple):
    """What can be seen from outside of a process whose GIL is held.

    ``suspects`` are those threads with requests that may hold it, ``ran`` is True when they ran all
    the time, or waited for a CPU; ``elsewhere`` is another thread of the process that did, where no
    thread with a request did. ``known`` is True when a reader saw the GIL with the one suspect.
    ``since`` is the time of the last heartbeat, ``until`` that of the last check that found no
    newer one (monotonic).
    """

    suspects: tuple[int, ...]
    ran: bool
    elsewhere: int | None
    known: bool
    stacks: dict[int, TakenStack]
    since: float
    until: float

    @property
    def seconds(self) -> float:
        """Since the last heartbeat."""
        return self.until - self.since

    def text(self, thread: int) -> str:
        """A sentence about who holds the GIL, for the report of a request of ``thread``."""
        held = f"The GIL has been held for about {self.seconds:.1f} s"
        others = [each for each in self.suspects if each != thread]
        where = others or ([self.elsewhere] if self.elsewhere else [])
        names = ", ".join(map(self._named, where)) or "that is not known"
        did = "ran (or waited for a CPU)" if self.ran else "slept"
        if thread not in self.suspects:
            by = f"by thread {names}" if self.known else f"most likely by thread {names}"
            return f"{held}, {by}; this one may have waited for it."
        if self.known:
            return f"{held}, by this thread."
        if not others:
            return f"{held}, most likely by this thread, which {did} all the time."
        return f"{held}, by this thread or another one ({names}); each of them {did} all the time."

    def _named(self, thread: int) -> str:
        taken = self.stacks.get(thread)
        return str(thread) if taken is None else f"{thread}, at {innermost(taken.stack)}"


def examine(path: str, state: BoxState, readers: Sequence[Reader], checks: int = 1) -> Hold | None:
    """Who holds the GIL of the process of the box at ``path``; None where it is not held.

    Takes 0.1 s for each check, and as long as the readers do, which are tried in turn. One check
    misses a held GIL where the hound, which waits for the GIL, waits for a CPU instead at that
    moment: a caller that does not come again later makes several. None also when the process has
    gone on meanwhile.
    """
    threads = sorted({pending.thread for pending in state.pending})
    if not threads or not _is_here(path, state):
        return None
    for _ in range(checks):
        suspicion = _suspects(state, threads)
        if suspicion is not None or not is_unchanged(path, state):
            break
    if suspicion is None:
        return None
    python = read_settings(state.settings).python or ""
    found = (reader(state.pid, python) for reader in readers)
    reading = next((each for each in found if each is not None), None)
    if not is_unchanged(path, state):
        return None
    hold = suspicion._replace(until=clock.monotonic())
    return hold if reading is None else _with_stacks(hold, reading, threads)


def _with_stacks(suspicion: Hold, reading: Reading, threads: Sequence[int]) -> Hold:
    now = clock.time()
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
    if not state.is_here:
        return False
    try:
        return os.stat(f"/proc/{state.pid}").st_uid == os.stat(path).st_uid
    except OSError:
        return False


def is_unchanged(path: str, state: BoxState) -> bool:
    """True while the process has not run: stacks belong to the requests that the box names.

    A request that has begun or ended shows it as well, before the hound has run.
    """
    now = None
    with contextlib.suppress(OSError), opened(path) as fd:
        now = read_from(fd) if is_alive(fd) else None  # else it is dead
    return now is not None and (now.heartbeat, _carried(now)) == (state.heartbeat, _carried(state))


def _carried(state: BoxState) -> set[tuple[int, int]]:
    return {(pending.number, pending.thread) for pending in state.pending}


class _Counters(NamedTuple):
    """A thread's state, how often it has left a CPU, and its time on one (ns)."""

    state: bytes
    left: int
    taken_off: int
    cpu: int


def _suspects(state: BoxState, threads: Sequence[int]) -> Hold | None:
    """None unless the hound waits for the GIL."""
    others = [each for each in _tasks(state.pid) if each not in threads and each != state.hound]
    everyone = (state.hound, *threads, *others)
    before = {thread: _counters(state.pid, thread) for thread in everyone}
    time.sleep(COUNTERS_APART)
    after = {thread: _counters(state.pid, thread) for thread in everyone}
    hound = before[state.hound], after[state.hound]
    if hound[0] is None or hound[1] is None or hound[1].left - hound[0].left < LEAST_WAKES:
        return None
    busiest = _busiest({each: (before[each], after[each]) for each in (*threads, *others)})
    suspects = tuple(each for each in threads if each in busiest)
    elsewhere = next((each for each in others if each in busiest), None)
    if not busiest:
        suspects = tuple(each for each in threads if _slept(before[each], after[each]))
    now = clock.monotonic()
    return Hold(
        suspects,
        ran=bool(busiest),
        elsewhere=None if suspects else elsewhere,
        known=False,
        stacks={},
        since=now - silent_for(state),
        until=now,
    )


def _tasks(pid: int) -> list[int]:
    try:
        return sorted(int(name) for name in os.listdir(f"/proc/{pid}/task"))
    except (OSError, ValueError):
        return []


def _busiest(counters: Mapping[int, tuple[_Counters | None, _Counters | None]]) -> set[int]:
    """The threads that ran, or waited for a CPU, and never slept.

    Where CPUs are scarce, one that waits for the GIL may be among these: it has woken, and did not
    get a CPU. So of several only those count that used at least half of what the busiest did.
    """
    used = {
        thread: after.cpu - before.cpu
        for thread, (before, after) in counters.items()
        if before is not None and after is not None and _never_slept(before, after)
    }
    most = max(used.values(), default=0)
    return {thread for thread, each in used.items() if each >= most / 2}


def _never_slept(before: _Counters, after: _Counters) -> bool:
    return before.state == after.state == b"R" and before.left == after.left


def _slept(before: _Counters | None, after: _Counters | None) -> bool:
    return before is not None and before == after and before.state in (b"S", b"D")


def _counters(pid: int, thread: int) -> _Counters | None:
    try:
        with open(f"/proc/{pid}/task/{thread}/schedstat", "rb") as schedstat:
            cpu = int(schedstat.read().split()[0])
        with open(f"/proc/{pid}/task/{thread}/status", "rb") as status:
            fields = dict(line.split(b":\t", 1) for line in status if b":\t" in line)
        return _Counters(
            fields[b"State"][:1],
            int(fields[b"voluntary_ctxt_switches"]),
            int(fields[b"nonvoluntary_ctxt_switches"]),
            cpu,
        )
    except (OSError, KeyError, ValueError, IndexError):
        return None
