"""Holds all requests in flight, and finds the current one.

Two dict writes begin a record, two end it; no lock is taken, each write is one bytecode.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any

from slowhound.core.record import Record

if TYPE_CHECKING:
    from slowhound.blackbox.slots import Slot


# In a forked child: what has ended its parent's records.
_FORKED = object()

in_flight: dict[int, Record] = {}
current_record: ContextVar[Record | None] = ContextVar("slowhound_record", default=None)


def current() -> Record | None:
    """The record of the request that this code runs for, or None outside a request."""
    return unfinished(current_record.get())


def unfinished(record: Record | None) -> Record | None:
    """The record, or the one around it once it has ended; None when all of them have ended."""
    while record is not None and record.done:
        record = record.outer
    return record


def lenders() -> Iterator[list[Slot]]:
    """The slots in the black box of those records that yield theirs, as the box takes them."""
    for record in snapshot_in_flight():
        if record.yields and record.taken:
            yield record.taken


def snapshot_in_flight() -> list[Record]:
    """All records in flight; safe while other threads begin and finish."""
    return list(in_flight.values())


def take_span(req_id: object) -> Any:
    """OpenTelemetry's span of a request in flight, once; None when it has none, or it has ended."""
    for record in snapshot_in_flight():
        if record.id == req_id and record.span is not None:
            span, record.span = record.span(), None
            return span if span is not None and span.is_recording() else None
    return None


def _forget_after_fork() -> None:
    # A forked child shares none of its parent's requests: the parent will finish them.
    for record in in_flight.values():
        record.ender, record.done = _FORKED, True
    in_flight.clear()
    current_record.set(None)


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget_after_fork)
