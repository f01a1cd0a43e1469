"""The ``partial_failure`` event: something failed and the request went on without it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from slowhound.core.record import current
from slowhound.event.formats import logfmt
from slowhound.instrument.exception import fields_of
from slowhound.recorder import process
from slowhound.system.guard import guarded, shown
from slowhound.system.losses import warn


@guarded("on_error", runs_others=True)
def emit(exc: Exception, logger_func: Callable[[str], object] | None) -> None:
    """Writes the event of one survived exception."""
    record = current()
    event: dict[str, Any] = {
        "event_type": "partial_failure",
        "req_id": record.id if record is not None else None,
        **fields_of(exc),
    }
    if logger_func is not None:
        logger_func(logfmt(event))
        return
    active = process.get()
    if active is not None:
        active.emit(event, trace=record.trace if record is not None else None)
    else:  # a management command: nothing records here, but nothing is hidden either
        said = "slowhound: a failure was survived outside a request\n%s"
        warn(said, shown(exc))
