"""How late a round of looks is, and why: for the GIL, or for a CPU."""

from __future__ import annotations

import random
import sys
import threading

from slowhound.flames.sampling.attribution import Round
from slowhound.runtime.clocks import clock
from slowhound.system.thread_state import run_queue_wait

# Of the average pause: longer ones, 1 in 150, would leave holes.
LONGEST_PAUSE = 5.0
# Of our own: an application may count on the sequence of the module's.
_random = random.Random()  # noqa: S311


def pause(average: float) -> float:
    """Seconds until the next look, exponentially distributed.

    What happens does not depend then on when the last look was. It has to be so: after a call that
    kept the GIL the look falls exactly on its end, and with any regular pause a phase that is
    shorter than that, and follows such a call, would never be seen: 10 points of error, measured.
    """
    return min(_random.expovariate(1 / average), LONGEST_PAUSE * average)


class Rounds:
    """The clocks of one sampling thread that is about to start, and what they said last."""

    def __init__(self) -> None:
        self._queued = self._own = 0.0
        self._process = clock.process_time()

    def over(self, due: float, awake: float, looked: float) -> Round:
        """A round that was ``due``, whose thread was ``awake`` and had ``looked`` (monotonic).

        Called when the first look is taken: each instruction before that is one in which another
        thread may get the GIL, and leave the place where it kept it.
        """
        queued = run_queue_wait(threading.get_native_id())
        process, own = clock.process_time(), clock.thread_time()
        # One that waits for a CPU is late as well, but other threads run bytecode meanwhile.
        # What it did itself meanwhile (the hound's chores, a pause that was too short) is not late.
        late = max(awake - due - (own - self._own), 0.0)
        held = max(late - max(queued - self._queued, 0.0), 0.0)
        others = (process - self._process) - (own - self._own)
        self._queued, self._process, self._own = queued, process, own
        switch = sys.getswitchinterval()
        return Round(looked, late, held, looked - awake, switch, max(others, 0.0))


# Seconds that may be saved up, for a burst.
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
        """Takes off what was used; it may become a debt."""
        self._saved -= seconds
