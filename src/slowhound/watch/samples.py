"""Samples requests that last, for the black box and for the verdict.

Each tick, the stack of a request older than ``WATCH_AFTER`` is captured. It goes into the black
box, for it may be the request's last, and into the record, so that a report can say at once whether
the request is stuck or slow.
"""

from __future__ import annotations

from collections.abc import Sequence

from slowhound.core.box_payloads import stack_payload
from slowhound.core.observations import Sample
from slowhound.core.record import Record
from slowhound.frames.frames import current_frames
from slowhound.runtime.clocks import clock
from slowhound.stacks.capture import CapturedStack, capture_stack, shares_thread
from slowhound.system.guard import guard
from slowhound.system.thread_state import cpu_seconds, waiting_for
from slowhound.watch.deadlocks import deadlocks
from slowhound.watch.verdict import Verdict, verdict

# Seconds. A sample costs 70 µs, and most requests are over by then.
WATCH_AFTER = 0.2
# Of a thousand requests in flight, so many are sampled in one tick: 3 ms of CPU.
SAMPLES_PER_SCAN = 32
# Seconds from one set of samples to the next, also while the hound scans more often for reports.
SAMPLE_EVERY = 0.1
# Samples kept of one request. When there are more, every second one goes: they cover all its life.
KEPT_SAMPLES = 16
# Seconds. Two samples nearer to each other would say nothing about whether a stack moves.
LEAST_APART = 0.05


class WatchSampler:
    """Samples requests in turn when there are too many for one tick."""

    def __init__(self) -> None:
        self._turns = [0, 0]  # of requests, and of websockets
        self._due = 0.0
        self._watch = guard("samples")

    def sample(self, records: Sequence[Record], now: float) -> None:
        """One sample of each request that lasts, when it is time for that."""
        if now < self._due:
            return
        self._due = now + SAMPLE_EVERY
        lasting = [record for record in records if record.age(now) >= WATCH_AFTER]
        # Idle websockets by the thousand must not keep a request waiting for its turn.
        first = self._in_turn([each for each in lasting if not each.yields], 0, SAMPLES_PER_SCAN)
        left = SAMPLES_PER_SCAN - len(first)
        for record in first + self._in_turn([each for each in lasting if each.yields], 1, left):
            with self._watch:  # one that cannot be sampled does not hide the others
                self._sample(record)

    def _in_turn(self, records: list[Record], queue: int, room: int) -> list[Record]:
        """At most ``room`` of these, others each time."""
        if len(records) <= room:
            return records
        start = self._turns[queue] % len(records)
        self._turns[queue] = start + room
        return (records + records)[start : start + room]

    @staticmethod
    def _sample(record: Record) -> None:
        captured = capture_stack(record)
        if captured is not None:
            keep_sample(record, captured)
            if record.slot is not None:
                note = stack_payload(record, captured.stack, clock.monotonic())
                record.slot.write_stack(record.number, note)


def keep_sample(record: Record, captured: CapturedStack) -> None:
    """Adds a stack that was captured right now, and what its thread does."""
    thread = captured.thread
    waiting = waiting_for(thread) if thread is not None else None
    # The CPU time of a thread that carries several requests belongs to none of them alone.
    cpu = None if thread is None or shares_thread(record) else cpu_seconds(thread)
    _keep(record, Sample(record.age(), captured.stack, waiting, cpu, record.parts))


def _keep(record: Record, sample: Sample) -> None:
    samples = record.samples
    if samples is None:
        samples = record.samples = []
    elif sample.age - samples[-1].age < LEAST_APART:
        samples.pop()
    elif len(samples) >= KEPT_SAMPLES:
        del samples[1::2]
    samples.append(sample)


def judge(record: Record) -> Verdict:
    """Stuck or slow, in what, waiting for what, by all samples so far."""
    samples = list(record.samples or ())
    waiting = samples[-1].waiting if samples else None
    is_at_lock = waiting is not None and waiting.waits_for_lock
    deadlock = _deadlock(record.thread_id) if is_at_lock else None
    return verdict(samples, deadlock, record.gil_hold)


def _deadlock(thread: int) -> str | None:
    """The cycle of waiting threads that this one is part of, if any."""
    for cycle in deadlocks(current_frames()):
        if any(wait.thread == thread for wait in cycle):
            return "; ".join(str(wait) for wait in cycle)
    return None
