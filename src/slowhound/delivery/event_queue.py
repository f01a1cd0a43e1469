"""Events that wait for the sinks that want them, and how far each of these sinks has got."""

from __future__ import annotations

import contextlib
import os
from collections import deque
from collections.abc import Callable, Iterable
from functools import partial
from typing import Any

from slowhound.blackbox.layout import NO_SINKS
from slowhound.delivery.backoff import BackoffSink
from slowhound.system.losses import lost

QUEUED_EVENTS_LIMIT = 10_000


def last_own_seq(events: Iterable[dict[str, Any]], pid: int) -> int | None:
    """The highest ``seq`` of this process's events; None when none of them is its own.

    An event that a peer has written about this process has no number of its own.
    """
    own = [event["seq"] for event in events if event.get("pid") == pid and "seq" in event]
    return max(own, default=None)


class EventQueue:
    """A bounded queue of events.

    ``sent`` is the ``seq`` of the last event of this process that all sinks have; ``on_sent`` is
    called with it, by whichever thread sends.
    """

    def __init__(self) -> None:
        self.on_sent: Callable[[int], object] = int
        self.wanted = True
        self.begin()

    def begin(self) -> None:
        """Empties it; also in a forked child, whose parent sends what waited."""
        self._pid = os.getpid()
        self._waiting: deque[dict[str, Any]] = deque()
        self._sinks: list[BackoffSink] = []
        self._progress: dict[str, int] = {}
        self.sent = 0

    def __bool__(self) -> bool:
        return bool(self._waiting)

    def feed_to(self, sinks: list[BackoffSink]) -> None:
        """Hands events to these sinks from now on."""
        self._sinks = sinks
        self._progress = dict.fromkeys((sink.name for sink in sinks), self.sent)

    def put(self, event: dict[str, Any]) -> None:
        """Takes an event, on the request's own thread; a full queue drops its oldest."""
        if not self.wanted:
            return
        if len(self._waiting) >= QUEUED_EVENTS_LIMIT:
            with contextlib.suppress(IndexError):  # the delivery thread has just emptied it
                self._waiting.popleft()
                lost("events for sinks", "the queue is full")
        self._waiting.append(event)

    def takers(self) -> list[BackoffSink]:
        """The sinks that want events."""
        return [sink for sink in self._sinks if sink.takes_events]

    def close(self) -> None:
        """Keeps no more events: no sink wants them."""
        self.wanted = False
        self._waiting.clear()
        self._update_sent()

    def hand_over(self) -> None:
        """Hands what waits to the sinks, on the delivery thread."""
        events: list[dict[str, Any]] = []
        with contextlib.suppress(IndexError):  # a request may drop the oldest at the same time
            for _ in range(len(self._waiting)):
                events.append(self._waiting.popleft())  # noqa: PERF401  what was taken is kept
        last = last_own_seq(events, self._pid)
        for sink in self.takers():
            reports_itself = sink.set_on_sent(partial(self._has, sink.name))
            sink.take_events(events)
            if last is not None and not reports_itself:
                self._has(sink.name, last)

    def _has(self, sink: str, seq: int) -> None:
        """This sink has all events up to this one."""
        self._progress[sink] = max(seq, self._progress.get(sink, 0))
        self._update_sent()

    def _update_sent(self) -> None:
        names = [sink.name for sink in self.takers()]
        sent = min((self._progress.get(name, 0) for name in names), default=NO_SINKS)
        if sent != self.sent:
            self.sent = sent
            self.on_sent(sent)
