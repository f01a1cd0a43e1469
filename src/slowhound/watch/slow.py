"""Slow requests: a report when one passes its threshold, again at each doubling, and at its end."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable
from types import FrameType
from typing import Any, NamedTuple, Protocol

from slowhound.config import Config
from slowhound.frames import Stack, fingerprint, innermost
from slowhound.losses import lost
from slowhound.override import Override
from slowhound.record import Record, snapshot_in_flight
from slowhound.report import (
    Report,
    Snapshot,
    describe_others,
    end_text,
    later_text,
    request_line,
    without_literals,
)
from slowhound.stacks import look
from slowhound.watch.locals import locals_of
from slowhound.watch.looks import Looks, judge, keep_look, keep_snapshot
from slowhound.watch.loops import Loops
from slowhound.watch.stalls import BusyThreads
from slowhound.watch.starved import Starvation

# When everything is slow at once the hound still looks at all that is in flight, each tick.
REPORTS_PER_SCAN = 50
ENDS_PER_SCAN = 50
ENDED_LIMIT = 1000


class Files(Protocol):
    """Where reports are written."""

    def name(self, number: int) -> str: ...
    def given(self, number: int) -> str | None: ...
    def create(self, name: str, text: str) -> bool: ...
    def append(self, name: str, text: str) -> None: ...


class Outlets(NamedTuple):
    """Where what the watch finds goes to.

    ``describe`` makes the ``slow`` event of a record that is so many seconds old, ``emit`` writes
    it, ``deliver`` hands a report to the sinks and must not block. ``threads`` is how many threads
    this worker has for requests, ``tell`` writes an event that is about none.
    """

    describe: Callable[[Record, float], dict[str, Any]]
    emit: Callable[[dict[str, Any], Record], None]
    files: Files
    deliver: Callable[[Report], None]
    threads: Callable[[], int | None]
    tell: Callable[[dict[str, Any]], None]


class Slow:
    """What the watch knows of one slow request; hangs on its record.

    ``blind`` is None for a request that was looked at while it ran. Else it is for how many
    seconds the hound had not run when the request ended.
    """

    def __init__(self, threshold: float, loc: str | None, group: str) -> None:
        self.threshold = threshold
        self.loc = loc
        self.fingerprint = group
        self.next_age = threshold
        self.report: str | None = None  # file name, once it is written
        self.given = False  # another process has written it, see ``neighbours``
        self.blind: float | None = None
        self.stack: Stack = ()  # the last one taken
        self.by = "hound"  # the way the first one was taken
        self.dump: Snapshot | None = None  # of a request that ended before the hound could look
        self.verdict: str | None = None  # "stuck", "slow" or "unknown"
        self.ended = False

    def claim(self, record: Record) -> bool:
        """Makes this the record's; False when another thread was first (one dict operation)."""
        return record.__dict__.setdefault("slow", self) is self

    def fields(self) -> dict[str, Any]:
        """The ``slow_*`` fields and ``report``, for the events of the request."""
        return {
            "slow_after": self.threshold,
            "slow_loc": self.loc,
            "slow_stack_by": self.by if self.loc is not None else None,
            "slow_verdict": self.verdict,
            "slow_fingerprint": self.fingerprint,
            "report": self.report,
        }


class SlowWatch:
    """Looks at all requests in flight; runs on the hound's thread only.

    Args:
        config: thresholds, what to ignore, whether to show locals.
        out: where reports go.
        starvation: knows when the GIL was held.
        loops: knows which event loops stand still.
    """

    def __init__(self, config: Config, out: Outlets, starvation: Starvation, loops: Loops) -> None:
        self.config = config
        self.out = out
        self.files = out.files
        self.starvation = starvation
        self.loops = loops
        self.override = Override()
        self._usual = config.shortest_threshold()
        # Filled by the threads of ending requests, emptied by the hound.
        self.ended: deque[Record] = deque()
        self._looks = Looks()
        self._busy = BusyThreads(out.threads, out.tell)
        self._reports_left = 0

    @property
    def shortest(self) -> float:
        """Seconds that a request must at least be old to be slow; one comparison rules out most."""
        lowered = self.override.shortest()
        return self._usual if lowered is None else min(self._usual, lowered)

    def scan(self, now: float) -> float:
        """One look at everything in flight, and at what ended since the last one.

        Returns when the next request will pass its threshold (monotonic), or infinity.
        """
        late = self.starvation.begin_scan(now)
        due = float("inf")
        self._reports_left = REPORTS_PER_SCAN
        records = snapshot_in_flight()
        shortest = self.shortest
        self._looks.take(records, now)
        for record in records:
            age = record.age(now)
            slow = record.slow
            if slow is not None:
                if age >= slow.next_age:
                    self._look_again(record, slow, age)
                due = min(due, record.started + slow.next_age)
            elif age >= shortest:
                due = min(due, self._consider(record, age))
            else:
                due = min(due, record.started + shortest)
        for _ in range(ENDS_PER_SCAN):
            if not self.ended:
                break
            self._end(self.ended.popleft())
        self._busy.look(records, now)
        self.loops.look(records, now)
        if late:
            self.starvation.deadman.clear_all()
        return due

    def _consider(self, record: Record, age: float) -> float:
        threshold = self._threshold(record)
        if age < threshold:
            return record.started + threshold
        if self._reports_left <= 0:
            return 0.0  # at the next look, which is due at once
        self._reports_left -= 1
        self._report(record, threshold)
        return record.started + threshold * 2

    def _threshold(self, record: Record) -> float:
        """The record's threshold in seconds; infinity when it is ignored."""
        if not self.config.watch or record.long_lived:
            return float("inf")
        names = record.names()
        if self.config.ignored(record.path, names):
            return float("inf")
        found = self.override.threshold(names)
        return self.config.threshold(names) if found is None else found

    def ending(self, record: Record, now: float) -> None:
        """Called by the request's own thread: was it slow, and has the hound seen it?"""
        if record.slow is None and record.took >= self.shortest:
            threshold = self._threshold(record)
            if record.took >= threshold:
                # Nobody looked: while C code holds the GIL the hound cannot run either.
                slow = self._begin(record, threshold, self.starvation.dump_of(record))
                slow.blind = self.starvation.longest(record, now)
                if slow.dump is not None:
                    keep_snapshot(record, slow.dump)
                slow.verdict = judge(record).word
                self._name_report(record, slow)
                slow.claim(record)
        if record.slow is None:
            return
        if len(self.ended) < ENDED_LIMIT:
            self.ended.append(record)
        else:
            lost("the ends of slow reports", "too many at once")

    def _snapshot(self, record: Record) -> Snapshot | None:
        variables: list[tuple[str, list[tuple[str, str]]]] = []

        def keep_locals(frame: FrameType) -> None:
            variables[:] = locals_of(frame, record.request)

        seen = look(record, keep_locals if self.config.locals else None)
        if seen is None:
            return None
        keep_look(record, seen)
        return Snapshot(
            record.age(), seen.stack, variables=variables if self.config.locals else None
        )

    def _report(self, record: Record, threshold: float) -> None:
        now = self._snapshot(record)
        if now is None:
            return
        # What it did while nobody could look says more than what it does afterwards.
        snapshot = self.starvation.dumps.get(record.number) or now
        slow = self._begin(record, threshold, snapshot)
        slow.next_age = _next(threshold, now.age)
        # Before the claim: a request that ends from now on names the report that will be there.
        self._name_report(record, slow)
        if slow.claim(record):
            self._write(record, slow, snapshot)
            if snapshot is not now and slow.report is not None:
                self.files.append(slow.report, later_text(now, slow.stack, ""))
                slow.stack = now.stack
            if record.done:  # it ended meanwhile, and did not see the report
                self.ended.append(record)

    @staticmethod
    def _begin(record: Record, threshold: float, snapshot: Snapshot | None) -> Slow:
        stack = snapshot.stack if snapshot is not None else ()
        place = innermost(stack)
        loc = None if place is None else str(place)
        slow = Slow(threshold, loc, fingerprint(record.view, stack))
        if snapshot is not None:
            slow.stack, slow.by, slow.dump = stack, snapshot.by, snapshot
        return slow

    def _name_report(self, record: Record, slow: Slow) -> None:
        slow.given = record.slot is not None and record.slot.reported(record.number)
        name = self.files.given(record.number) if slow.given else self.files.name(record.number)
        slow.report = name or None

    def _write(self, record: Record, slow: Slow, snapshot: Snapshot | None) -> None:
        """The report file and the ``slow`` event, unless another process has written them."""
        said = judge(record)
        slow.verdict = said.word
        event = self.out.describe(record, snapshot.age if snapshot else record.took)
        report = self._compose(record, snapshot, event, said.text)
        if not slow.given:
            if slow.report is not None and not self.files.create(slow.report, report.text()):
                slow.report = event["report"] = None
            self.out.emit(event, record)
        self.out.deliver(report)

    def _compose(
        self, record: Record, snapshot: Snapshot | None, event: dict[str, Any], verdict: str
    ) -> Report:
        started = time.time() - record.age()
        return Report(
            event=event,
            request_line=request_line(record),
            started=started,
            intercepted=started + event["resp_time"],
            host=self.config.host,
            thread_id=record.thread_id,
            snapshot=snapshot,
            verdict=verdict,
            blind=(record.slow.blind or 0.0) if record.slow else 0.0,
            timeline=[without_literals(moment) for moment in record.moments()],
            timeline_left_out=record.timeline_left_out,
            others=describe_others(record, snapshot_in_flight(), time.monotonic()),
        )

    def _look_again(self, record: Record, slow: Slow, age: float) -> None:
        slow.next_age = _next(slow.next_age, age)
        said = judge(record)
        slow.verdict = said.word
        for snapshot in (self.starvation.dumps.get(record.number), self._snapshot(record)):
            if snapshot is not None and slow.report is not None:
                self.files.append(slow.report, later_text(snapshot, slow.stack, said.text))
                slow.stack = snapshot.stack

    def _end(self, record: Record) -> None:
        slow = record.slow
        if slow is not None and not slow.ended:
            slow.ended = True
            if slow.blind is not None:
                self._write(record, slow, slow.dump)
            if slow.report is not None:
                self.files.append(slow.report, end_text(record, judge(record).text))


def _next(this: float, age: float) -> float:
    """The age of the next look: double, from a threshold of 0 on a second later."""
    following = this * 2 if this > 0 else 1.0
    while following <= age:
        following *= 2
    return following
