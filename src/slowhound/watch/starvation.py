"""Estimates, after a time in which the hound could not run, who held the GIL and who waited."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable

from slowhound.core.in_flight import snapshot_in_flight
from slowhound.core.observations import Snapshot
from slowhound.core.record import Record
from slowhound.event.formats import clean
from slowhound.frames.frames import current_frames, from_frame, innermost
from slowhound.gil.holders import EndedHold, Holders
from slowhound.redaction.masking import short_text
from slowhound.runtime.clocks import clock
from slowhound.stacks.capture import is_running, shares_thread, stack_of
from slowhound.system.python_threads import native_id_of, python_threads
from slowhound.watch.wording import path_of

# Seconds between two scans; more is a gap, and not the hound's own sleep.
LONG_GAP = 0.5


class Starvation:
    """The times for which the hound could not run, and who probably held the GIL in them.

    A gap alone proves nothing: the process may have been stopped. See ``gil.holders`` for what
    does.
    """

    def __init__(self) -> None:
        self.holders = Holders()
        self.last_scan = clock.monotonic()
        # (end, length) in seconds.
        self.gaps: deque[tuple[float, float]] = deque(maxlen=16)
        # Stacks of the requests that had held the GIL when this scan began, by their numbers.
        self.after: dict[int, Snapshot] = {}
        # Requests that held the GIL and have ended since the last scan, by their threads. Only
        # their names: a record would keep its request alive.
        self._ended: dict[int, str] = {}

    def asleep(self, seconds: float) -> None:
        """The hound is about to sleep for so many seconds."""
        self.holders.asleep(clock.monotonic() + seconds, _carrying)

    def begin_work(self) -> float:
        """From now on the hound works and does not wait for a disk; returns the time."""
        self.holders.wanted = now = clock.monotonic()
        return now

    def end_work(self) -> bool:
        """From now on it may wait for a disk; True when it could not run for long."""
        wanted = self.holders.wanted
        return wanted is not None and self.begin_scan(clock.monotonic(), wanted=wanted)

    def begin_scan(self, now: float, *, wanted: float | None = None) -> bool:
        """Remembers the time of a scan; True when the hound could not run for long before it.

        ``wanted``: since when it has wanted to run; None: since it should have woken.
        """
        gap = now - (self.last_scan if wanted is None else wanted)
        since = self.holders.wanted if wanted is None else wanted
        self.holders.wanted = None
        if wanted is None:
            self.after = {}
        elif gap <= LONG_GAP:
            return False  # nothing has come in between
        self.last_scan = now
        if gap > LONG_GAP:
            self.gaps.append((now, gap))
        if since is None:
            return False
        # Before anything that releases the GIL: after a C call CPython hands it over at once, so
        # the thread that held it is mostly still there. Where a third thread came in between it
        # has gone on, so its place is called the one afterwards.
        records = snapshot_in_flight()
        begun = {each.native_id: each.cpu_started for each in records}
        hold = self.holders.since(since, now, begun)
        if hold is not None:
            self._attribute(hold, now, records)
        return hold is not None

    def longest(self, record: Record, now: float) -> float:
        """The longest time within the request's life for which the hound did not run."""
        gaps = [length for end, length in list(self.gaps) if end > record.started]
        return max((now - self.last_scan, *gaps))

    def ending(self, record: Record, cpu: float) -> None:
        """Called by the request's own thread, whose CPU clock is at ``cpu``.

        It may end before the hound gets the GIL, and is then no longer in flight.
        """
        if record.gil_hold or shares_thread(record):
            return
        held = self.holders.held_by(record.native_id, cpu, record.cpu_started)
        if held:
            record.gil_hold = min(held, record.took)
            self._ended[record.native_id] = _name(record)

    def _attribute(self, hold: EndedHold, now: float, records: list[Record]) -> None:
        """Attributes the wait of each request to the thread that held the GIL, if one is found."""
        ended, self._ended = self._ended, {}
        if not hold.used:
            return
        suspects = [each for each in records if each.native_id in hold.used and is_running(each)]
        named = list(ended.values())
        for record in suspects:
            stack = stack_of(record)
            held = min(hold.seconds, record.age(now))
            # Of several that used the CPU it is not known which one held the GIL.
            if len(hold.used) == 1:
                record.gil_hold += held
                if stack is not None:
                    self.after[record.number] = Snapshot(record.age(), stack, after_hold=held)
            where = f", afterwards at {innermost(stack)}" if stack else ""
            named.append(_name(record) + where)
        others = hold.used.keys() - ended.keys() - {each.native_id for each in suspects}
        named += _threads(others)
        for record in records:
            if record not in suspects and named:
                record.gil_wait += min(hold.seconds, record.age(now))
                record.gil_held_by = " or ".join(named)


def _name(record: Record) -> str:
    return f"{record.id} {record.view or path_of(record)}"


def _carrying() -> set[int]:
    return {record.native_id for record in snapshot_in_flight()}


def _threads(native_ids: Iterable[int]) -> list[str]:
    """The names of threads that carry no request, and where they are."""
    wanted = set(native_ids)
    if not wanted:
        return []
    frames = current_frames()
    found = []
    for ident, thread in python_threads().items():
        native_id = native_id_of(thread)
        if native_id in wanted:
            where = innermost(from_frame(frames.get(ident)))
            found.append(f"thread {short_text(clean(thread.name))}, afterwards at {where}")
            wanted.discard(native_id)
    return found + [f"thread {each}" for each in wanted]
