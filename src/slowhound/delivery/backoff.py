"""Wraps one sink: makes it when it is needed, and pauses after it has failed."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable
from typing import Any

from slowhound.core.report import Report
from slowhound.delivery.sink import Sink, build, path_of
from slowhound.runtime.clocks import clock
from slowhound.system.guard import guard
from slowhound.system.losses import lost

LONGEST_BACKOFF = 300.0
# Not random.random(): an application may rely on the sequence of that.
_random = random.SystemRandom()


def pause_after(failures: int) -> float:
    """Seconds until the next try: from 2 doubling up to 300, less up to half of it at random.

    Otherwise many workers whose server was away would come back in the same moment.
    """
    return min(2.0 ** min(failures, 16), LONGEST_BACKOFF) * _random.uniform(0.5, 1.0)


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
        """True when the sink has it; otherwise the sink is not ready for a while."""
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

    def set_on_sent(self, on_sent: Callable[[int], object]) -> bool:
        """True when the sink calls ``on_sent`` itself; otherwise what it has taken has arrived."""
        if not hasattr(self._sink, "on_sent"):
            return False
        self._sink.on_sent = on_sent  # type: ignore[union-attr]
        return True

    def take_events(self, events: Iterable[dict[str, Any]]) -> None:
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


def sinks_of(specs: tuple[Any, ...]) -> list[BackoffSink]:
    """One for each entry of ``SINKS``; the second one of a class is called ``path#2``."""
    sinks: list[BackoffSink] = []
    paths: list[str] = []
    for spec in specs:
        path = path_of(spec)
        paths.append(path)
        name = path if paths.count(path) == 1 else f"{path}#{paths.count(path)}"
        sinks.append(BackoffSink(name, lambda spec=spec: build(spec)))  # type: ignore[misc]
    return sinks
