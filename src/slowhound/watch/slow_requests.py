"""Reports slow requests: at their threshold, again at each doubling of it, and at their end."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from types import FrameType

from slowhound.config.config import Config
from slowhound.config.overrides import Override
from slowhound.core.in_flight import snapshot_in_flight
from slowhound.core.observations import Snapshot
from slowhound.core.record import Record
from slowhound.core.slow import Slow
from slowhound.runtime.clocks import clock
from slowhound.stacks.capture import capture_stack
from slowhound.system.guard import guard
from slowhound.system.losses import lost
from slowhound.watch.busy_threads import BusyThreads
from slowhound.watch.event_loops import Loops
from slowhound.watch.locals import locals_of
from slowhound.watch.reporter import Reporter, begin
from slowhound.watch.samples import WatchSampler, judge, keep_sample
from slowhound.watch.starvation import Starvation

# When everything is slow at once the hound still checks all that is in flight, each tick.
REPORTS_PER_SCAN = 10
# Samples of requests that have a report. Each takes 0.1 ms, and requests that began together are
# all due together again.
LATER_SAMPLES_PER_SCAN = 32
ENDS_PER_SCAN = 50
ENDED_LIMIT = 1000


class SlowWatch:
    """Finds slow requests among those in flight; runs on the hound's thread only.

    Args:
        config: thresholds, what to ignore, whether to show locals.
        reporter: writes the reports.
        starvation: knows when the GIL was held.
        loops: knows which event loops are blocked.
        busy: knows when all threads are in slow requests.
    """

    def __init__(
        self,
        config: Config,
        reporter: Reporter,
        starvation: Starvation,
        loops: Loops,
        busy: BusyThreads,
    ) -> None:
        self.config = config
        self.reporter = reporter
        self.starvation = starvation
        self.loops = loops
        self._busy = busy
        self.override = Override()
        self._usual = config.shortest_threshold()
        # Filled by the threads of ending requests, emptied by the hound.
        self.ended: deque[Record] = deque()
        # The same, with records that only the hound may still be reading.
        self._left: deque[Record] = deque()
        self._sampler = WatchSampler()
        self._reports_left = 0
        self._watch = guard("slow requests")
        # Gives a record the name of its flame graph, for its event; set by the recorder.
        self.announce: Callable[[Record], object] = lambda _: None
        # How another process is kept from reporting at the same time; set with the black box.
        self.reporting: Callable[[], AbstractContextManager[bool]] = lambda: nullcontext(True)

    @property
    def shortest(self) -> float:
        """Seconds that a request must at least be old to be slow; one comparison rules out most."""
        lowered = self.override.shortest()
        return self._usual if lowered is None else min(self._usual, lowered)

    def expect(self, threshold: float) -> None:
        """From now on there are records whose own threshold is as short as this."""
        self._usual = min(self._usual, threshold)

    def scan(self, now: float) -> float:
        """Checks everything in flight, and what ended since the last scan.

        Returns when the next request will pass its threshold (monotonic), or infinity.
        """
        self.starvation.begin_scan(now)
        due = float("inf")
        self._reports_left = REPORTS_PER_SCAN
        samples_left = LATER_SAMPLES_PER_SCAN
        records = snapshot_in_flight()
        shortest = self.shortest
        now = self._sample(records, now)
        for record in records:
            if record.complete:  # what is done after the last byte makes no request slow
                continue
            with self._watch:  # one that cannot be checked does not hide those behind it
                age, quiet = record.age(now), record.quiet(now)
                slow = record.slow
                if slow is not None:
                    if age >= slow.next_age and samples_left > 0:
                        samples_left -= 1
                        self._sample_again(record, slow, age)
                    due = min(due, record.started + slow.next_age)
                elif quiet >= shortest:
                    due = min(due, self._consider(record, quiet))
                else:
                    due = min(due, now - quiet + shortest)
        for _ in range(ENDS_PER_SCAN):
            if not self.ended:
                break
            self._end(self.ended.popleft())
        for _ in range(len(self._left)):
            self._release(self._left.popleft())
        self._busy.check(records, now)
        self.loops.check(records, now)
        return due

    def _sample(self, records: list[Record], now: float) -> float:
        """Takes the samples; the time afterwards. The GIL may be lost meanwhile, and held."""
        self.starvation.begin_work()
        self._sampler.sample(records, now)
        starved = self.starvation.end_work()
        after = self.starvation.begin_work()
        return after if starved else now

    def _consider(self, record: Record, quiet: float) -> float:
        """Reports a record that is slow; when it is to be considered again.

        A response is slow while no part of it comes: as a whole, a stream may take any time.
        """
        threshold = self._threshold(record)
        if quiet < threshold:
            return (record.last_part or record.started) + threshold
        if self._reports_left <= 0:
            return 0.0  # at the next scan, which is due at once
        with self.reporting() as free:
            if not free:
                return 0.0  # a peer is just writing the report
            self._reports_left -= 1
            self._report(record, threshold)
        return record.started + threshold * 2

    def watches(self, record: Record) -> bool:
        """False for a request that is ignored, or sent, and for what is open and not slow."""
        return not record.complete and self._threshold(record) < float("inf")

    def _threshold(self, record: Record) -> float:
        """The record's threshold in seconds; infinity when it is ignored."""
        if not self.config.watch or record.long_lived:
            return float("inf")
        if record.slow_after is not None:
            return record.slow_after
        names = record.names()
        if self.config.ignored(record.path, names):
            return float("inf")
        found = self.override.threshold(names)
        return self.config.threshold(names) if found is None else found

    def ending(self, record: Record, now: float) -> None:
        """Called by the request's own thread: was it slow, and has the hound sampled it?"""
        self.starvation.ending(record, clock.thread_time())
        if record.slow is None and record.took >= self.shortest:
            threshold = self._threshold(record)
            if record.longest_quiet() >= threshold:
                # Not sampled: while C code holds the GIL the hound cannot run either.
                slow = begin(record, threshold, None)
                slow.unsampled = self.starvation.longest(record, now)
                slow.verdict = judge(record).word
                self.reporter.name(record, slow)
                record.claim_slow(slow)
        if record.slow is None:
            return
        if len(self.ended) < ENDED_LIMIT:
            self.ended.append(record)
        else:
            record.slow.ended = True
            lost("the ends of slow reports", "too many at once")

    def _snapshot(self, record: Record) -> Snapshot | None:
        variables: list[tuple[str, list[tuple[str, str]]]] = []

        def keep_locals(frame: FrameType) -> None:
            variables[:] = locals_of(frame, record.request)

        captured = capture_stack(record, keep_locals if self.config.locals else None)
        if captured is None:
            return None
        keep_sample(record, captured)
        return Snapshot(
            record.age(), captured.stack, variables=variables if self.config.locals else None
        )

    def _report(self, record: Record, threshold: float) -> None:
        now = self._snapshot(record)
        if now is None:
            return
        # What it did right after it had held the GIL says more than what it does a moment later.
        snapshot = self.starvation.after.get(record.number) or now
        slow = begin(record, threshold, snapshot)
        slow.next_age = _next(threshold, now.age)
        self.announce(record)
        # Before the claim: a request that ends from now on names the report that will be there.
        self.reporter.name(record, slow)
        if record.claim_slow(slow):
            if record.slot is not None:
                record.slot.report(record.number)
            self.reporter.write(record, slow, snapshot)
            if slow.by_peer:  # the file has what a peer has seen
                self.reporter.again(record, slow, snapshot)
            if snapshot is not now:  # that of the hold's end has no variables
                self.reporter.again(record, slow, now)
            if record.done:  # it ended meanwhile, and did not see the report
                self.ended.append(record)

    def _sample_again(self, record: Record, slow: Slow, age: float) -> None:
        slow.next_age = _next(slow.next_age, age)
        verdict = judge(record)
        slow.verdict = verdict.word
        snapshot = self.starvation.after.get(record.number) or self._snapshot(record)
        if snapshot is not None:
            self.reporter.again(record, slow, snapshot, verdict.text)

    def _end(self, record: Record) -> None:
        slow = record.slow
        if slow is None or slow.ended:
            return
        # Only the report of a request that was never sampled is written here.
        with nullcontext(True) if slow.unsampled is None else self.reporting() as free:
            if not free:
                self.ended.append(record)  # a peer is just writing its report
                return
            slow.ended = True
            self.reporter.end(record, slow)

    def leave(self, record: Record) -> None:
        """The request's own thread no longer needs the record.

        The hound reads only records of requests that last, and releases these itself, between two
        scans.
        """
        quick = record.slow is None and record.took < self.shortest
        if quick or len(self._left) >= ENDED_LIMIT:
            record.drop_references()
        else:
            self._left.append(record)

    def _release(self, record: Record) -> None:
        if record.slow is None or record.slow.ended:
            record.drop_references()
        else:
            self._left.append(record)  # its end is still to be reported


def _next(this: float, age: float) -> float:
    """The age at the next sample: double, or a second after a threshold of 0."""
    following = this * 2 if this > 0 else 1.0
    while following <= age:
        following *= 2
    return following
