"""Completes events: adds what the worker and the process know to what a record knows."""

from __future__ import annotations

import itertools
import os
from collections.abc import Mapping
from typing import Any

from slowhound.config.config import Config
from slowhound.core.in_flight import in_flight
from slowhound.core.record import Ids, Record
from slowhound.event.envelope import Origin, add_envelope
from slowhound.event.fields import Event
from slowhound.instrument import db, events
from slowhound.instrument.saturation import Saturation
from slowhound.redaction.structures import masked
from slowhound.runtime.clocks import clock
from slowhound.system import guard, losses


class Completion:
    """Completes the events of one process.

    Args:
        config: says what each event says of its process.
        saturation: knows how busy the worker is.
    """

    def __init__(self, config: Config, saturation: Saturation) -> None:
        self._origin = Origin(config.host, os.getpid(), config.service, config.release)
        self._saturation = saturation
        self._started = clock.monotonic()
        # Counts that several threads draw from: next() is atomic, += is not.
        self._numbers = itertools.count(1)
        self._served = itertools.count(1)

    def count_served(self) -> int:
        """How many requests this process has served, with the one that has just ended."""
        return next(self._served)

    def terminal(self, record: Record, rate: float, *, nr: int, since: float) -> Event:
        """The event of a request that has ended, all but what ``complete`` adds.

        Args:
            record: the request's.
            rate: the share of such requests that is kept.
            nr: how many requests this process has served.
            since: when its end began, on the monotonic clock.
        """
        event = events.terminal(record, rate)
        self.add_worker(event, len(in_flight) + 1)
        event["w_nr"] = nr
        event["rec_overhead"] = record.overhead + clock.monotonic() - since
        return event

    def add_worker(self, event: Event, busy: int) -> None:
        """How busy its worker is; ``busy`` is how many requests are in flight."""
        event.update(self._saturation.fields)
        if self._saturation.pool is not None:
            event.update(self._saturation.inside(busy))
        event["w_age"] = clock.monotonic() - self._started
        if self._saturation.rss:
            event["w_rss"] = self._saturation.rss

    def complete(
        self, event: Event, record: Record | None = None, trace: Ids | None = None
    ) -> dict[str, Any] | None:
        """Completes one event; returns the fields that only JSON can hold, if it has any.

        ``trace`` is for an event of a request that does not have all that its record has.
        """
        add_envelope(
            event,
            self._origin,
            record.trace if record is not None else trace,
            next(self._numbers),
            (losses.dropped, guard.total),
        )
        if record is None:
            return None
        extras = record.extras
        if extras is not None:
            # A copy, which is one call of C: of a slow request its own thread adds to them.
            event.update(masked(extras.copy()))
        return db.details(record) if record.queries is not None else None


def kept_rate(sampling: Mapping[str, float], record: Record) -> float | None:
    """The rate at which requests like this one are kept; None when this one is not."""
    rate = sampling.get(record.outcome or "", 1.0)
    asked_for = record.slow is not None or record.on_end is not None
    if rate >= 1.0 or asked_for or record.kind != "request":
        return 1.0
    # Not random.random(): an application may count on its own sequence of that.
    return rate if int.from_bytes(os.urandom(2)) < rate * 0x10000 else None
