"""One turn of the hound: what it does each time it wakes, and around its sleep."""

from __future__ import annotations

import threading

from slowhound.blackbox.layout import HEARTBEAT, HOUND
from slowhound.config.config import Config
from slowhound.flames.sampling.sampler import Sampler
from slowhound.recorder.own_box import OwnBox
from slowhound.runtime.clocks import clock
from slowhound.watch.hound import SHORTEST_TICK, tick_for
from slowhound.watch.slow_requests import SlowWatch


class WorkerTurn:
    """Lets the sampler and the watch do what is due; ``tick`` is the longest sleep, in seconds.

    Args:
        config: the settings.
        watch: checks all requests in flight, once a tick.
        sampler: samples the few that last, more often.
        own_box: gets the hound's thread, and a sign of life.
        heartbeat: a cell that the parent sees, which gets that sign, too.
    """

    def __init__(
        self,
        config: Config,
        watch: SlowWatch,
        sampler: Sampler,
        own_box: OwnBox,
        heartbeat: memoryview[int] | None,
    ) -> None:
        self.tick = tick_for(min(watch.shortest, config.sample_after))
        self._watch = watch
        self._sampler = sampler
        self._own_box = own_box
        self._heartbeat = heartbeat
        self._watch_due = 0.0

    def scan(self, now: float) -> float:
        """Does what is due; returns when it is to be called again, on the monotonic clock."""
        due = self._sampler.scan(now)
        if now >= self._watch_due:
            # The sampler wakes more often than all requests in flight need to be checked.
            next_scan = max(self._watch.scan(now), now + SHORTEST_TICK)
            self._watch_due = min(next_scan, now + self.tick)
        self._watch.starvation.end_work()
        return min(due, self._watch_due, self._sampler.writer.write(now))

    def asleep(self, seconds: float) -> None:
        """The hound is about to sleep for so long."""
        box = self._own_box.box
        if box is not None:
            box.cells[HOUND] = threading.get_native_id()
        self._watch.starvation.asleep(seconds)

    def awake(self) -> None:
        """The hound has slept."""
        self._sampler.awake()
        now = clock.monotonic_ns()
        box = self._own_box.box
        if box is not None:
            box.cells[HEARTBEAT] = now
        if self._heartbeat is not None:
            self._heartbeat[0] = now
