"""Plans when to sample, and measures how late a sample is: because of the GIL, or of the CPU."""

from __future__ import annotations

import random
import sys
import threading

from slowhound.flames.sampling.attribution import Timing
from slowhound.runtime.clocks import clock
from slowhound.system.thread_state import run_queue_wait

# In averages: without it, 1 pause in 150 would be long enough to leave a hole.
LONGEST_PAUSE_AVERAGES = 5.0
# Our own generator: an application may rely on the sequence of the module's.
_random = random.Random()  # noqa: S311


def pause(average: float) -> float:
    """Seconds until the next sample, exponentially distributed.

    So what the request does has no influence on when it is sampled. It has to be so: after a call
    that held the GIL, the sample is taken exactly at its end. With a regular pause, a phase that is
    shorter than that pause and follows such a call would never be sampled: an error of 10 points,
    measured.
    """
    return min(_random.expovariate(1 / average), LONGEST_PAUSE_AVERAGES * average)


class Schedule:
    """The clocks of a sampling thread that is about to start, and what they showed last."""

    def __init__(self) -> None:
        self._queued = self._own = 0.0
        self._process = clock.process_time()

    def timing(self, due: float, awake: float, sampled: float) -> Timing:
        """How late a sample was (all times monotonic).

        Call it after the first stack is taken: at each instruction before that, another thread may
        get the GIL and move on from where it held it.

        Args:
            due: when the sample was due.
            awake: when the thread had the GIL.
            sampled: when it had taken the stack.
        """
        queued = run_queue_wait(threading.get_native_id())
        process, own = clock.process_time(), clock.thread_time()
        # A thread that waits for a CPU is late as well, but then other threads run bytecode.
        # Work of its own (the hound's tasks, a pause that was too short) does not count as late.
        late = max(awake - due - (own - self._own), 0.0)
        held = max(late - max(queued - self._queued, 0.0), 0.0)
        others = (process - self._process) - (own - self._own)
        self._queued, self._process, self._own = queued, process, own
        switch = sys.getswitchinterval()
        return Timing(sampled, late, held, sampled - awake, switch, max(others, 0.0))


# Seconds that can be saved for a burst.
BURST = 0.05


class Budget:
    """Seconds of work that may be done: ``share`` of the time that passes since ``now``."""

    def __init__(self, share: float, now: float) -> None:
        self._share = share
        self._saved = BURST
        self._at = now

    def left(self, now: float) -> bool:
        """True while there is some."""
        self._saved = min(self._saved + (now - self._at) * self._share, BURST)
        self._at = now
        return self._saved > 0.0

    def spend(self, seconds: float) -> None:
        """Subtracts what was used; the result may be negative."""
        self._saved -= seconds
