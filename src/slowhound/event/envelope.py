"""Adds to an event what each one has: time, host, process, release and trace.

The process itself writes it, or another one in its place after its death.
"""

from __future__ import annotations

from typing import NamedTuple

from slowhound.event.fields import Event
from slowhound.runtime.clocks import clock


class Origin(NamedTuple):
    """The process that an event comes from; None: not known, or not set."""

    host: str | None
    pid: int
    service: str | None
    release: str | None


def add_envelope(event: Event, origin: Origin, trace: tuple[str, str] | None) -> None:
    """Adds ``ts`` to ``span_id`` in the table's order; ``trace`` is a trace id and a span id."""
    event["ts"] = clock.time()
    event["host"] = origin.host
    event["pid"] = origin.pid
    if origin.service is not None:
        event["service"] = origin.service
    if origin.release is not None:
        event["release"] = origin.release
    if trace is not None:
        event["trace_id"], event["span_id"] = trace
