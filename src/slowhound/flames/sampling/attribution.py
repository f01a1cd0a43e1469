"""The samples of one request, and to what each attributes the time since the one before.

A sample attributes the time since the last one, backward, to the stack that it found. So samples
are weighted by elapsed time: nothing can be sampled while the GIL is held, and counting samples
would be wrong by half.

A sample that is late because one thread held the GIL needs more care. CPython releases the GIL
after a call into C, at the start of a frame, and where a loop jumps back. So a late sample finds
what held the GIL if that was a call. Else it was an operator (``x in big_list``), of a frame that
is still there or of one that has returned since. Then the time is unsampled: it is attributed to
the frames that were certainly there, and to no function in them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from slowhound.flames.profile import UNSAMPLED, State
from slowhound.flames.sampling.stack_keys import (
    Key,
    StackSample,
    has_just_begun,
    key_of_stack,
    may_follow_operator,
)
from slowhound.system.wait_states import ThreadState

if TYPE_CHECKING:
    from slowhound.core.observations import Sample

# Shares of the time between two samples: starved for less is not counted, for more counts as all.
LITTLE, NEARLY_ALL = 0.05, 0.98
# Seconds, or twice the switch interval if that is longer: a shorter delay is not due to the GIL.
LATE_AFTER = 0.002
# A thread held the GIL when it used this share of the time, and all others no more than the rest.
HOLDER_SHARE = 0.8
# After so many entries every second sample is skipped, then three of four: at 20 a second, a
# request whose stack always changes gets there in four minutes, and has 40,000 entries after two
# days.
HALVED_AFTER = 5_000


class Timing(NamedTuple):
    """How late samples were that were taken together; seconds.

    Args:
        now: when, on the monotonic clock.
        late: how long after they were due the sampler had the GIL.
        held: of that, what the sampler did not wait for a CPU.
        took: from having the GIL to having sampled.
        switch: how long a thread waits for another one that runs bytecode.
        others: CPU time of the process since the last ones, without the sampler's own.
    """

    now: float
    late: float = 0.0
    held: float = 0.0
    took: float = 0.0
    switch: float = 0.005
    others: float = 0.0


@dataclass(slots=True)
class Entry:
    """``weight`` seconds that ended ``at``, seconds of the request's age."""

    at: float
    weight: float
    key: Key
    state: State
    waiting: ThreadState | None = None  # what its thread waited for
    late: bool = False  # sampled late; a stack that another process read is better


class Samples:
    """The samples of one request.

    Args:
        started: when the request began, on the monotonic clock.
        begun: when the sampling began; the first sample attributes the time since then.
        cpu: the CPU time in seconds of a thread, by the system's id of it.
        waiting: what a thread does or waits for.
        queue: for how many seconds a thread has waited for a CPU.
    """

    def __init__(
        self,
        started: float,
        begun: float,
        cpu: Callable[[int], float | None],
        waiting: Callable[[int], ThreadState | None],
        queue: Callable[[int], float],
    ) -> None:
        self.started = started
        self.begun = begun
        self.file_name = ""
        self.has_file = False  # a first one, with what was sampled until then
        self.entries: list[Entry] = []
        self.taken = 0
        self.left_out = 0
        # Of samples that another process took, see `merge_external`.
        self.external_taken = self.external_dropped = 0
        self.longest_gap = 0.0
        # Sum of the squared seconds in which the stack changed, for the estimate of the error.
        self.squared_error = 0.0
        self._cpu = cpu
        self._waiting = waiting
        self._queue = queue
        self._queued: tuple[int | None, float] = (None, 0.0)  # the last result of `queue`
        self.last = begun
        self._thread: int | None = None
        self._used: float | None = None  # CPU seconds of that thread, at the last sample
        self._skip = 0

    def prime(self, thread: int) -> None:
        """The sampling begins while this thread carries the request."""
        self._since_last(thread)
        self._queued_since_last(thread)

    def seed(self, observed: Sequence[Sample]) -> None:
        """Adds the samples that the hound took for its verdict, before this sampling began."""
        for each in observed:
            gap = self.started + each.age - self.last
            if gap <= 0:
                continue
            self.taken += 1
            self.longest_gap = max(self.longest_gap, gap)
            key = key_of_stack(each.stack)
            self._count_change(key, gap)
            waiting = None if _wants_to_run(each.waiting) else each.waiting
            state: State = "running" if waiting is None else "waiting"
            self.last += gap
            self._append(Entry(self.last, gap, key, state, waiting))

    def wanted(self) -> bool:
        """False for a sample that is skipped because there are many already."""
        self._skip += 1
        return self._skip % (1 << len(self.entries) // HALVED_AFTER) == 0

    def skip(self) -> None:
        """A sample was due and not taken; the next one attributes its time as well."""
        self.left_out += 1

    def add(self, timing: Timing, sample: StackSample) -> None:
        """Attributes the time since the last sample."""
        gap = timing.now - self.last
        if gap <= 0 or not sample.key:
            return
        self.taken += 1
        self.longest_gap = max(self.longest_gap, gap)
        used = self._since_last(sample.thread)
        queued = self._queued_since_last(sample.thread)
        key = sample.key
        just_begun = sample.thread is not None and has_just_begun(key[-1])
        if just_begun:
            key = key[:-1] or key
        if timing.took > timing.switch and timing.late > self._tolerance(timing):
            # The sampler may have lost the GIL again, and the thread that held it moved on.
            self._count_change((), gap - timing.late)
            self._append(Entry(timing.now, gap, (), UNSAMPLED, late=True))
        elif self._held_the_gil(timing, sample, used, queued):
            late = timing.held > self._tolerance(timing)
            proven = not late or (not just_begun and self._is_still_in_call(sample))
            open_for = max(gap - max(timing.late - timing.switch, 0.0), 0.0)
            self._count_change(key, open_for)
            if self.entries:
                # Somewhere in the time that is open its thread came here, on average in the
                # middle. All of it would be too much: such a sample is never taken before the end,
                # and so gives nothing back (10 points with calls of 5 ms).
                gap -= open_for / 2
                self._extend_last(open_for / 2)
            state: State = "running" if proven else UNSAMPLED
            self._append(Entry(timing.now, gap, key, state, late=late))
        else:
            self._count_change(key, gap)
            self._add_usual(timing, gap, StackSample(key, sample.thread), used, queued)
        self.last = timing.now

    def _extend_last(self, seconds: float) -> None:
        last = self.entries[-1]
        last.at += seconds
        last.weight += seconds

    def _since_last(self, thread: int | None) -> float | None:
        """CPU seconds of the thread since the last sample; None if that was of another thread."""
        before, was = self._used, self._thread
        self._thread, self._used = thread, None if thread is None else self._cpu(thread)
        if before is None or self._used is None or thread != was:
            return None
        return max(self._used - before, 0.0)

    @staticmethod
    def _tolerance(timing: Timing) -> float:
        return max(2 * timing.switch, LATE_AFTER)

    def _held_the_gil(
        self, timing: Timing, sample: StackSample, used: float | None, queued: float
    ) -> bool:
        """True when its thread, and no other, made the sampler wait for the GIL."""
        # A thread that has no CPU keeps the GIL as well, at any instruction.
        held = timing.held - queued
        if sample.thread is None or used is None or held <= timing.switch * 1.5:
            return False
        return used >= held * HOLDER_SHARE and timing.others - used <= held * (1 - HOLDER_SHARE)

    def _is_still_in_call(self, sample: StackSample) -> bool:
        """True when the thread that held the GIL is still in that call: not after an operator."""
        assert sample.thread is not None
        if may_follow_operator(sample.key[-1]):
            return False
        return _wants_to_run(self._waiting(sample.thread))

    def _count_change(self, key: Key, open_for: float) -> None:
        if self.entries and key is not self.entries[-1].key:
            last = self.entries[-1].key
            if [code for code, _ in last] != [code for code, _ in key]:
                self.squared_error += open_for**2

    def _add_usual(
        self, timing: Timing, gap: float, sample: StackSample, used: float | None, queued: float
    ) -> None:
        now, (key, thread) = timing.now, sample
        if thread is None:
            self._append(Entry(now, gap, key, "waiting"))
            return
        if used is None or used < gap * NEARLY_ALL:
            waiting = self._waiting(thread)
            if not _wants_to_run(waiting):
                self._append(Entry(now, gap, key, "waiting", waiting))
                return
        # It wanted to run, and had no CPU, or other threads had the GIL.
        starved = 0.0
        if used is not None:
            starved = min(max(gap - used, 0.0), queued + max(timing.others - used, 0.0))
        if starved > gap * NEARLY_ALL:
            self._append(Entry(now, gap, key, "starved"))
            return
        if starved > gap * LITTLE:
            self._append(Entry(now - gap + starved, starved, key, "starved"))
            gap -= starved
        self._append(Entry(now, gap, key, "running"))

    def _queued_since_last(self, thread: int | None) -> float:
        before = self._queued
        self._queued = thread, 0.0 if thread is None else self._queue(thread)
        return max(self._queued[1] - before[1], 0.0) if before[0] == thread else 0.0

    def _append(self, entry: Entry) -> None:
        if entry.weight <= 0:
            return
        entry.at -= self.started
        last = self.entries[-1] if self.entries else None
        if (
            last is not None
            and (last.state, last.waiting, last.late) == (entry.state, entry.waiting, False)
            and not entry.late
            and last.key == entry.key
        ):
            last.at = entry.at
            last.weight += entry.weight
        else:
            self.entries.append(entry)

    def end(self, ended: float, interval: float) -> None:
        """The request has ended: the time since the last sample is unsampled, when that is long."""
        tail = ended - self.last
        self.longest_gap = max(self.longest_gap, tail)
        if tail > 2 * interval:
            self.entries.append(Entry(ended - self.started, tail, (), UNSAMPLED, late=True))
            self.last = ended

    @property
    def duration(self) -> float:
        """Seconds that the entries cover."""
        return self.last - self.begun


def _wants_to_run(state: ThreadState | None) -> bool:
    return state is None or state.runs  # None: it cannot be known
