"""One sink as the delivery thread sees it: made when it is needed, left in peace while it fails."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

from slowhound.core.report import Report
from slowhound.runtime.clocks import clock
from slowhound.system.guard import guard
from slowhound.system.losses import lost

if TYPE_CHECKING:
    from slowhound.delivery.sink import Sink

LONGEST_PAUSE = 300.0
# Not random.random(): an application may count on its own sequence of that.
_random = random.SystemRandom()


def pause_after(failures: int) -> float:
    """Seconds to the next try: doubling from 2 up to 300, with up to the half taken off at random.

    Many workers whose server was away shall not all come back in the same moment.
    """
    return min(2.0 ** min(failures, 16), LONGEST_PAUSE) * _random.uniform(0.5, 1.0)


class BackoffSink:
    """A sink, and when it may be tried again.

    Args:
        name: of the sink, for messages and for the spool.
        make: makes it; may raise, and is tried again then.
    """

    def __init__(self, name: str, make: Callable[[], Sink]) -> None:
        self.name = name
        self._make = make
        self._sink: Sink | None = None
        self._guard = guard(f"sink {name}")
        self._failures = 0
        self.resume_at = 0.0  # monotonic

    @property
    def takes_events(self) -> bool:
        """False also while it could not be made."""
        return hasattr(self._sink, "take_event")

    def make(self) -> bool:
        """True when there is a sink now."""
        with self._guard:
            self._sink = self._sink or self._make()
        return self._sink is not None

    def ready(self, now: float) -> bool:
        """True unless it has failed a moment ago."""
        return now >= self.resume_at

    def send(self, report: Report, follow_up: bool) -> bool:
        """True when the sink has it; else the sink is left in peace for a while."""
        if self.make() and self._send(report, follow_up):
            self._failures = 0
            return True
        self._failures += 1
        self.resume_at = clock.monotonic() + pause_after(self._failures)
        return False

    def _send(self, report: Report, follow_up: bool) -> bool:
        sink: Any = self._sink
        with self._guard:
            if not follow_up:
                sink.deliver(report)
            elif hasattr(sink, "follow_up"):
                sink.follow_up(report)
            return True
        return False  # the guard has caught something

    def tell_sent(self, told: Callable[[int], object]) -> bool:
        """True when the sink itself tells what has arrived; else what it has taken has."""
        if not hasattr(self._sink, "on_sent"):
            return False
        self._sink.on_sent = told  # type: ignore[union-attr]
        return True

    def take(self, events: Iterable[dict[str, Any]]) -> None:
        """Hands over events; they are not tried again."""
        sink: Any = self._sink
        for event in events:
            if self._guard.off:
                lost("events for sinks", f"{self.name} is off")
                continue
            with self._guard:
                sink.take_event(event)

    def close(self) -> None:
        """Closes the sink, if there is one."""
        if self._sink is not None:
            with self._guard:
                self._sink.close()
