"""Adds to an event what each one has: time, process, release, trace, losses, number and version.

The process itself writes it, or another one in its place, while it hangs or after its death.
"""

from __future__ import annotations

from typing import NamedTuple

from slowhound.event.fields import VERSION, Event
from slowhound.runtime.clocks import clock


class Origin(NamedTuple):
    """The process that an event comes from; None: not known, or not set."""

    host: str | None
    pid: int
    service: str | None
    release: str | None


def add_envelope(
    event: Event,
    origin: Origin,
    trace: tuple[str, str] | None,
    seq: int | None,
    lost: tuple[int, int] = (0, 0),
) -> None:
    """Adds the fields from ``ts`` to ``v``, in the table's order.

    Args:
        event: the event.
        origin: the process it comes from.
        trace: a trace id and a span id, if it has them.
        seq: its number; None for one that another process writes beside those of a living one.
        lost: how many lines, events and reports the process has lost (``rec_dropped``), and how
            often slowhound itself has failed in it (``rec_errors``).
    """
    event["ts"] = clock.time()
    event["host"] = origin.host
    event["pid"] = origin.pid
    if origin.service is not None:
        event["service"] = origin.service
    if origin.release is not None:
        event["release"] = origin.release
    if trace is not None:
        event["trace_id"], event["span_id"] = trace
    dropped, errors = lost
    if dropped:
        event["rec_dropped"] = dropped
    if errors:
        event["rec_errors"] = errors
    if seq is not None:
        event["seq"] = seq
    event["v"] = VERSION
