"""After a time in which the hound could not run: who held the GIL, and who waited for it?"""

from __future__ import annotations

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
        # All that threads wrote in it: a request that ends just now may ask when it is cleared.
        self._written: dict[int, SelfDump] = {}
        # Requests that held the GIL and have ended since the last look, by their threads.
        self._ended: dict[int, Record] = {}

    def begin_scan(self, now: float, since: float | None = None) -> bool:
        """Notes the time of a look; True when the last one, or ``since``, is long ago."""
        gap = now - (self.last_scan if since is None else since)
        if since is None:
            self.dumps = {}
        elif gap <= LONG_GAP:
            return False  # nothing has come between
        self.last_scan = now
        if gap <= LONG_GAP:
            return False
        # Before anything that lets go of the GIL: after a C call CPython gives it away at once, so
        # whoever held it is still running now, and may not be any more afterwards.
        records = snapshot_in_flight()
        current = [record for record in records if running(record)]
        self.gaps.append((now, gap))
        self._blame(now, gap, records, current)
        return True

    def longest(self, record: Record, now: float) -> float:
        """The longest time within the request's life for which the hound did not run."""
        gaps = [length for end, length in list(self.gaps) if end > record.started]
        return max((now - self.last_scan, *gaps))

    def ending(self, record: Record, now: float) -> Snapshot | None:
        """Called by the request's own thread: what it wrote of itself while nobody could look.

        It may end before the hound gets the GIL, and is then no more to be seen in flight.
        """
        gap = self.longest(record, now)
        snapshot = None
        if gap > LONG_GAP:
            snapshot = self.dumps.get(record.number) or self.wrote(record)
        if snapshot is not None and snapshot.by == "thread":
            record.gil_hold = record.gil_hold or min(gap, record.took)
            self._ended[record.native_id] = record
        return snapshot

    def wrote(self, record: Record) -> Snapshot | None:
        """What the request's thread has written of itself for this request."""
        if shares_thread(record):
            return None  # of several in one thread only the hound could tell whose it is
        dump = self.deadman.read(record.native_id) or self._written.get(record.native_id)
        return None if dump is None else _snapshot(record, dump)

    def _blame(self, now: float, gap: float, records: list[Record], current: list[Record]) -> None:
        """Puts the wait of each request down to the thread that held the GIL."""
        ended, self._ended = self._ended, {}
        self._written = self.deadman.read_all()
        dumps = {thread: dump for thread, dump in self._written.items() if dump.by == "thread"}
        if not dumps:
            return
        culprits = [each for each in current if each.native_id in dumps]
        for record in culprits:
            dump = _snapshot(record, dumps[record.native_id])
            if dump is None or record.done:
                continue
            self.dumps[record.number] = dump
            keep_snapshot(record, dump)
            record.gil_hold += min(gap, record.age(now))
        named = {**ended, **{record.native_id: record for record in culprits}}
        thieves = [self._named(thread, each.stack, named) for thread, each in dumps.items()]
        for record in records:
            if record not in culprits:
                record.gil_wait += min(gap, record.age(now))
                record.gil_held_by = ", ".join(thieves)

    def _named(self, thread: int, stack: Stack, records: dict[int, Record]) -> str:
        """The request or the thread, and where it stands."""
        where = innermost(stack)
        record = records.get(thread)
        if record is not None:
            return f"{record.id} {record.view or record.path} at {where}"
        return f"thread {self.deadman.name_of(thread)} at {where}"


def _snapshot(record: Record, dump: SelfDump) -> Snapshot | None:
    age = dump.taken - (time.time() - record.age())
    # An earlier request of this thread wrote it, or the clock was set meanwhile.
    return Snapshot(age, dump.stack, by=dump.by) if age >= 0 else None
