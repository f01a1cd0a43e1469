"""After a time in which the hound could not run: who held the GIL, and who waited for it?"""

from __future__ import annotations

import threading
import time
from collections import deque

from slowhound.frames import Stack, innermost
from slowhound.record import Record, snapshot_in_flight
from slowhound.report import Snapshot
from slowhound.selfdumps import SelfDump
from slowhound.stacks import running, shares_thread
from slowhound.watch.deadman import DeadMan
from slowhound.watch.looks import keep_snapshot

# Seconds between two looks that are more than the hound's own sleep.
LONG_GAP = 0.5


class Starvation:
    """The times for which the hound could not run, and what threads wrote of themselves in them.

    A gap alone proves nothing: the process may have been stopped. Only a thread that wrote its
    stack (``deadman``) is said to have held the GIL.
    """

    def __init__(self, deadman: DeadMan) -> None:
        self.deadman = deadman
        self.last_scan = time.monotonic()
        # (end, length) in seconds.
        self.gaps: deque[tuple[float, float]] = deque(maxlen=16)
        # What requests were doing in the gap that ended with this look, by their numbers.
        self.dumps: dict[int, Snapshot] = {}

    def begin_scan(self, now: float) -> bool:
        """Notes the time of a look; True when the last one is long ago."""
        gap = now - self.last_scan
        self.last_scan = now
        self.dumps = {}
        if gap <= LONG_GAP:
            return False
        self.gaps.append((now, gap))
        self._blame(now, gap)
        return True

    def longest(self, record: Record, now: float) -> float:
        """The longest time within the request's life for which the hound did not run."""
        gaps = [length for end, length in list(self.gaps) if end > record.started]
        return max((now - self.last_scan, *gaps))

    def dump_of(self, record: Record) -> Snapshot | None:
        """What the request's thread wrote while it held the GIL, if it did so for this request."""
        if shares_thread(record):
            return None  # whose it is only the hound could tell, and it came too late
        dump = self.deadman.read(record.native_id)
        return None if dump is None else _snapshot(record, dump)

    def _blame(self, now: float, gap: float) -> None:
        """Puts the wait of each request down to the thread that held the GIL."""
        dumps = self.deadman.read_all()
        if not dumps:
            return
        records = snapshot_in_flight()
        # After a C call CPython gives the GIL away at once, so whoever held it is still running.
        culprits = [each for each in records if each.native_id in dumps and running(each)]
        for record in culprits:
            dump = _snapshot(record, dumps[record.native_id])
            if dump is not None:
                self.dumps[record.number] = dump
                keep_snapshot(record, dump)
            record.gil_hold += min(gap, record.age(now))
        thieves = [_named(thread, dump.stack, culprits) for thread, dump in dumps.items()]
        for record in records:
            if record not in culprits:
                record.gil_wait += min(gap, record.age(now))
                record.gil_held_by = ", ".join(thieves)


def _snapshot(record: Record, dump: SelfDump) -> Snapshot | None:
    age = dump.taken - (time.time() - record.age())
    # An earlier request of this thread wrote it, or the clock was set meanwhile.
    return Snapshot(age, dump.stack, by="thread") if age >= 0 else None


def _named(thread: int, stack: Stack, records: list[Record]) -> str:
    """The request or the thread, and where it stands."""
    where = innermost(stack)
    for record in records:
        if record.native_id == thread:
            return f"{record.id} {record.view or record.path} at {where}"
    names = [each.name for each in list(threading._active.values()) if each.native_id == thread]  # type: ignore[attr-defined]
    return f"thread {names[0] if names else thread} at {where}"
