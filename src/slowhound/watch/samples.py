"""The looks at requests that last: for the black box, and for the verdict.

Each tick, a request older than ``LOOK_AFTER`` has its stack taken. It goes into the black box, for
it may be its last, and into the record, so that a report can say at once whether the request is
stuck or slow.
"""

from __future__ import annotations

from collections.abc import Sequence

from slowhound.core.box_payloads import stack_note
from slowhound.core.observations import Sample
from slowhound.core.record import Record
from slowhound.frames.frames import current_frames
from slowhound.runtime.clocks import clock
from slowhound.stacks.capture import Look, look, shares_thread
from slowhound.system.guard import guard
from slowhound.system.thread_state import cpu_seconds, waiting_for
from slowhound.watch.deadlocks import deadlocks
from slowhound.watch.verdict import Verdict, verdict

# Seconds. A look costs 70 µs, and most requests are over by then.
LOOK_AFTER = 0.2
# Of a thousand requests in flight, so many are looked at in one tick: 3 ms of CPU.
LOOKS_PER_SCAN = 32
# Seconds from one round of looks to the next, also while the hound scans more often for reports.
ROUND = 0.1
# Looks kept of one request. When there are more, every second one goes: they cover all its life.
KEPT = 16
# Seconds. Two looks nearer to each other would say nothing about whether a stack moves.
APART = 0.05


class Looks:
    """Takes its looks in turn when there are too many requests for one tick."""

    def __init__(self) -> None:
        self._turns = [0, 0]  # of requests, and of websockets
        self._next_round = 0.0
        self._watch = guard("looks")

    def take(self, records: Sequence[Record], now: float) -> None:
        """One look at each of those that last."""
        if now < self._next_round:
            return
        self._next_round = now + ROUND
        lasting = [record for record in records if record.age(now) >= LOOK_AFTER]
        # Idle websockets by the thousand must not keep a request waiting for its turn.
        first = self._in_turn([each for each in lasting if not each.yields], 0, LOOKS_PER_SCAN)
        left = LOOKS_PER_SCAN - len(first)
        for record in first + self._in_turn([each for each in lasting if each.yields], 1, left):
            with self._watch:  # one that cannot be looked at does not hide the others
                self._look(record)

    def _in_turn(self, records: list[Record], queue: int, room: int) -> list[Record]:
        """So many of these, each time others."""
        if len(records) <= room:
            return records
        start = self._turns[queue] % len(records)
        self._turns[queue] = start + room
        return (records + records)[start : start + room]

    @staticmethod
    def _look(record: Record) -> None:
        seen = look(record)
        if seen is not None:
            keep_look(record, seen)
            if record.slot is not None:
                note = stack_note(record, seen.stack, clock.monotonic())
                record.slot.note_stack(record.number, note)


def keep_look(record: Record, seen: Look) -> None:
    """Adds a stack that was taken right now, and what its thread does."""
    thread = seen.thread
    waiting = waiting_for(thread) if thread is not None else None
    # Of a thread that carries several requests in turn, the time is nobody's own.
    cpu = None if thread is None or shares_thread(record) else cpu_seconds(thread)
    _keep(record, Sample(record.age(), seen.stack, waiting, cpu, record.parts))


def _keep(record: Record, sample: Sample) -> None:
    samples = record.samples
    if samples is None:
        samples = record.samples = []
    elif sample.age - samples[-1].age < APART:
        samples.pop()
    elif len(samples) >= KEPT:
        del samples[1::2]
    samples.append(sample)


def judge(record: Record) -> Verdict:
    """Stuck or slow, in what, waiting for what; all that the looks so far say."""
    samples = list(record.samples or ())
    waiting = samples[-1].waiting if samples else None
    is_at_lock = waiting is not None and waiting.waits_for_lock
    deadlock = _deadlock(record.thread_id) if is_at_lock else None
    return verdict(samples, deadlock, record.gil_hold)


def _deadlock(thread: int) -> str | None:
    """The circle of threads that this one is part of, if any."""
    for circle in deadlocks(current_frames()):
        if any(wait.thread == thread for wait in circle):
            return "; ".join(str(wait) for wait in circle)
    return None
