"""Which trace a request belongs to: ``trace_id`` and ``span_id`` of all its events.

They are those of OpenTelemetry's current span where the application has one; else those of the
``traceparent`` header (https://www.w3.org/TR/trace-context/#traceparent-header), which are the
caller's; else those of Sentry's trace. Neither library is imported by slowhound: each is asked
once the application has imported it.
"""

from __future__ import annotations

import re
import weakref
from collections.abc import Callable
from types import ModuleType
from typing import Any

from slowhound.instrument.imports import when_imported
from slowhound.record import Ids, Record

# Version ff and ids of zeros are not valid; only a version above 00 may have more after the flags.
_PARENT = re.compile(
    r"(?!ff)[0-9a-f]{2}-(?!0{32})([0-9a-f]{32})-(?!0{16})([0-9a-f]{16})-[0-9a-f]{2}(-.*)?"
)
_LONGEST = 512  # characters of a header that is looked at

# What knows a current trace; empty until the application has imported such a library.
readers: list[Callable[[Record], bool]] = []


def install() -> None:
    """Waits for the libraries; costs nothing until one is there."""
    readers.clear()
    when_imported("opentelemetry.trace", _with_opentelemetry)
    when_imported("sentry_sdk", _with_sentry)


def uninstall() -> None:
    """Asks nobody any more."""
    readers.clear()


def _with_opentelemetry(module: ModuleType) -> None:
    current_span: Callable[[], Any] = module.get_current_span

    def read(record: Record) -> bool:
        span = current_span()
        context = span.get_span_context()
        if not context.is_valid:
            return False
        record.trace = f"{context.trace_id:032x}", f"{context.span_id:016x}"
        record.span = weakref.ref(span)
        return True

    readers.insert(0, read)


def _with_sentry(module: ModuleType) -> None:
    def read(record: Record) -> bool:
        if record.trace is not None or not module.get_client().is_active():
            return False
        parts = (module.get_traceparent() or "").split("-")
        if len(parts) < 2 or len(parts[0]) != 32 or len(parts[1]) != 16:
            return False
        record.trace = parts[0], parts[1]
        return True

    readers.append(read)


def see(record: Record) -> None:
    """Asks those who know; called in the request's own context, inside all middleware."""
    for read in readers:
        if read(record):
            return


def parse(header: str) -> Ids | None:
    """Trace and parent id of a ``traceparent`` header; None for anything that is not one."""
    found = _PARENT.fullmatch(header) if len(header) <= _LONGEST else None
    if found is None or (found[3] is not None and header.startswith("00")):
        return None
    return found[1], found[2]


def describe(record: Record, event: dict[str, Any]) -> None:
    """Adds nothing: the writer adds the ids to all events of a request."""
