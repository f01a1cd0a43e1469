"""What was seen of one request while it ran, and to whom the time in between is put down.

Each look gives the time since the last one, backward, to the stack now seen: samples are weighed by
elapsed time, for while the GIL is held nobody can look, and counting would be wrong by half.

A look that comes late, because one thread kept the GIL, needs more care. CPython lets go of the
GIL after a call into C, at the start of a frame, and where a loop turns back. So a late look sees
its culprit when that is a call; else it was an operator (``x in big_list``) of a frame that is
still there, or of one that has returned since, and the time is blind: it is put down to the
frames that were there for certain, and to no function in them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from slowhound.flames.profile import State
from slowhound.flames.sampling.stack_keys import Key, Seen, ends_another, of_stack, starts
from slowhound.system.wait_states import ThreadState

if TYPE_CHECKING:
    from slowhound.core.observations import Sample

# Of a look's gap: what is less is none, more is all of it.
LITTLE, NEARLY_ALL = 0.05, 0.98
# Seconds, or twice the switch interval if that is longer: less says nothing of the GIL.
LATE = 0.002
# A thread kept the GIL when it used so much of that time, and all others no more than the rest.
KEPT = 0.8
# After so many entries only each second look is taken, then each fourth: at 20 a second a request
# that changes all the time gets there in four minutes, and has 40,000 entries after two days.
HALVED_AFTER = 5_000


class Round(NamedTuple):
    """One round of looks, times in seconds on the monotonic clock.

    ``late`` is how long after it was due the sampler had the GIL, and ``held`` how much of that it
    did not wait for a CPU; ``took`` how long it was then until it had looked; ``switch`` for how
    long one waits for a thread that runs bytecode; ``others`` the CPU time of the whole process
    since the last round, without the sampler's own.
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
    late: bool = False  # nobody could look; a stack that another process read is better


class Samples:
    """The looks at one request.

    Args:
        started: when the request began, on the monotonic clock.
        begun: when the sampling did; its first look is given the time since then.
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
        self.name = ""  # of the file that they will be in
        self.there = False  # that file, without them so far
        self.entries: list[Entry] = []
        self.taken = 0
        self.left_out = 0
        self.read = self.unplaced = 0  # looks from outside, see `splice`
        self.longest_gap = 0.0
        self.squares = 0.0  # of the seconds in which something changed, for the estimate of error
        self._cpu = cpu
        self._waiting = waiting
        self._queue = queue
        self._queued: tuple[int | None, float] = (None, 0.0)  # what `queue` said of the thread
        self.last = begun
        self._thread: int | None = None
        self._used: float | None = None  # CPU seconds of that thread, at the last look
        self._skip = 0

    def prime(self, thread: int) -> None:
        """The sampling begins while this thread carries the request."""
        self._since_last(thread)
        self._queued_since_last(thread)

    def seed(self, looks: Sequence[Sample]) -> None:
        """What the hound saw of it for its verdict, before the sampling began."""
        for each in looks:
            gap = self.started + each.age - self.last
            if gap <= 0:
                continue
            self.taken += 1
            self.longest_gap = max(self.longest_gap, gap)
            key = of_stack(each.stack)
            self._note_change(key, gap)
            waiting = None if _wants_to_run(each.waiting) else each.waiting
            state: State = "running" if waiting is None else "waiting"
            self.last += gap
            self._keep(Entry(self.last, gap, key, state, waiting))

    def wanted(self) -> bool:
        """False for a look that is left out, because there are many already."""
        self._skip += 1
        return self._skip % (1 << len(self.entries) // HALVED_AFTER) == 0

    def skip(self) -> None:
        """A look was due and not taken; the next one is given its time."""
        self.left_out += 1

    def add(self, this: Round, seen: Seen) -> None:
        """One look."""
        gap = this.now - self.last
        if gap <= 0 or not seen.key:
            return
        self.taken += 1
        self.longest_gap = max(self.longest_gap, gap)
        used, queued = self._since_last(seen.thread), self._queued_since_last(seen.thread)
        key = seen.key
        just_begun = seen.thread is not None and starts(key[-1])
        if just_begun:
            key = key[:-1] or key
        if this.took > this.switch and this.late > self._patience(this):
            # The sampler may have lost the GIL again, and its keeper gone on, before it looked.
            self._note_change((), gap - this.late)
            self._keep(Entry(this.now, gap, (), "blind", late=True))
        elif self._is_culprit(this, seen, used, queued):
            late = this.held > self._patience(this)
            proven = not late or (not just_begun and self._is_proven(seen))
            open_for = max(gap - max(this.late - this.switch, 0.0), 0.0)
            self._note_change(key, open_for)
            if self.entries:
                # Somewhere in the time that is open its thread came here, on average in the
                # middle. All of it would be too much: such a look never comes before the end, and
                # so gives nothing back (10 points with calls of 5 ms).
                gap -= open_for / 2
                self._more_of_last(open_for / 2)
            self._keep(Entry(this.now, gap, key, "running" if proven else "blind", late=late))
        else:
            self._note_change(key, gap)
            self._add_usual(this, gap, Seen(key, seen.thread), used, queued)
        self.last = this.now

    def _more_of_last(self, seconds: float) -> None:
        last = self.entries[-1]
        last.at += seconds
        last.weight += seconds

    def _since_last(self, thread: int | None) -> float | None:
        """CPU seconds of the thread since the last look; None when that saw another one."""
        before, was = self._used, self._thread
        self._thread, self._used = thread, None if thread is None else self._cpu(thread)
        if before is None or self._used is None or thread != was:
            return None
        return max(self._used - before, 0.0)

    @staticmethod
    def _patience(this: Round) -> float:
        return max(2 * this.switch, LATE)

    def _is_culprit(self, this: Round, seen: Seen, used: float | None, queued: float) -> bool:
        """True when its thread, and no other, kept the sampler waiting for the GIL."""
        # A thread that has no CPU keeps the GIL as well, wherever it stands.
        held = this.held - queued
        if seen.thread is None or used is None or held <= this.switch * 1.5:
            return False
        return used >= held * KEPT and this.others - used <= held * (1 - KEPT)

    def _is_proven(self, seen: Seen) -> bool:
        """True when who kept the GIL is still at it, in a call: not after an operator."""
        assert seen.thread is not None
        return not ends_another(seen.key[-1]) and _wants_to_run(self._waiting(seen.thread))

    def _note_change(self, key: Key, open_for: float) -> None:
        if self.entries and key is not self.entries[-1].key:
            last = self.entries[-1].key
            if [code for code, _ in last] != [code for code, _ in key]:
                self.squares += open_for**2

    def _add_usual(
        self, this: Round, gap: float, seen: Seen, used: float | None, queued: float
    ) -> None:
        now, (key, thread) = this.now, seen
        if thread is None:
            self._keep(Entry(now, gap, key, "waiting"))
            return
        if used is None or used < gap * NEARLY_ALL:
            waiting = self._waiting(thread)
            if not _wants_to_run(waiting):
                self._keep(Entry(now, gap, key, "waiting", waiting))
                return
        # It wanted to run. What kept it from that: no CPU, or other threads with the GIL.
        starved = 0.0
        if used is not None:
            starved = min(max(gap - used, 0.0), queued + max(this.others - used, 0.0))
        if starved > gap * NEARLY_ALL:
            self._keep(Entry(now, gap, key, "starved"))
            return
        if starved > gap * LITTLE:
            self._keep(Entry(now - gap + starved, starved, key, "starved"))
            gap -= starved
        self._keep(Entry(now, gap, key, "running"))

    def _queued_since_last(self, thread: int | None) -> float:
        before = self._queued
        self._queued = thread, 0.0 if thread is None else self._queue(thread)
        return max(self._queued[1] - before[1], 0.0) if before[0] == thread else 0.0

    def _keep(self, entry: Entry) -> None:
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
        """The request has ended: what nobody saw of its end is blind, when that is long."""
        tail = ended - self.last
        self.longest_gap = max(self.longest_gap, tail)
        if tail > 2 * interval:
            self.entries.append(Entry(ended - self.started, tail, (), "blind", late=True))
            self.last = ended

    @property
    def duration(self) -> float:
        """Seconds that the entries cover."""
        return self.last - self.begun


def _wants_to_run(state: ThreadState | None) -> bool:
    return state is None or state.runs  # None: it cannot be known
