"""Finds the trace of a request: ``trace_id`` and ``span_id`` of all its events.

They are those of OpenTelemetry's current span where the application has one; else those of the
``traceparent`` header (https://www.w3.org/TR/trace-context/#traceparent-header), which are the
caller's; else those of Sentry's trace. slowhound imports neither library: each is used once the
application has imported it.
"""

from __future__ import annotations

import re
import weakref
from collections.abc import Callable
from functools import wraps
from importlib import import_module
from types import ModuleType
from typing import Any

from slowhound.core.in_flight import current_record
from slowhound.core.record import Ids, Record
from slowhound.instrument.imports import when_imported
from slowhound.system.guard import guard

# Version ff and ids of zeros are not valid; only a version above 00 may have more after the flags.
_PARENT = re.compile(
    r"(?!ff)[0-9a-f]{2}-(?!0{32})([0-9a-f]{32})-(?!0{16})([0-9a-f]{16})-[0-9a-f]{2}(-.*)?"
)
_HEADER_LIMIT = 512  # characters of a header that are read

_guard = guard("trace instrumenter")
# Functions that read the current trace; none until the application has imported such a library.
readers: list[Callable[[Record], bool]] = []
# OpenTelemetry's function that makes a span the current one: the library's own, and ours.
_attach: tuple[Callable[..., Any], Callable[..., Any]] | None = None
# OpenTelemetry's current span; None until the application has imported it.
_current_span: Callable[..., Any] | None = None
# The records that have a span, by its id.
_taken: weakref.WeakValueDictionary[int, Record] = weakref.WeakValueDictionary()


def install() -> None:
    """Waits for the libraries; costs nothing until one is imported."""
    readers.clear()
    when_imported("opentelemetry.trace", _with_opentelemetry)
    when_imported("sentry_sdk", _with_sentry)


def uninstall() -> None:
    """Reads no trace from now on."""
    global _attach, _current_span
    readers.clear()
    _current_span = None
    if _attach is not None:
        context: Any = import_module("opentelemetry.context")
        if context.attach is _attach[1]:
            context.attach = _attach[0]
        _attach = None


def _with_opentelemetry(module: ModuleType) -> None:
    global _attach, _current_span
    _current_span = module.get_current_span
    readers.insert(0, _read)
    context: Any = import_module("opentelemetry.context")
    if _attach is None:
        _attach = context.attach, _seeing(context.attach)
        context.attach = _attach[1]


def _read(record: Record) -> bool:
    return _current_span is not None and _take(record, _current_span())


def _seeing(attach: Callable[..., Any]) -> Callable[..., Any]:
    """Sees a span as it becomes current: where a middleware responds, no URL is resolved."""

    @wraps(attach)
    def seen(*args: Any, **kwargs: Any) -> Any:
        # Before it is attached: an exception in here would lose the token of the caller.
        record = current_record.get()
        if record is not None and not record.done and record.kind == "request":
            with _guard:
                _attached(record, args[0] if args else kwargs.get("context"))
        return attach(*args, **kwargs)

    return seen


def _attached(record: Record, context: Any) -> None:
    """The first span of a request is its own; a span within it, or of the view, is not."""
    if _current_span is None or record.is_resolved:
        return
    before = record.span() if record.span is not None else None
    if before is not None and before.is_recording():
        return
    span = _current_span(context)
    calls_others = getattr(getattr(span, "kind", None), "name", None) in ("CLIENT", "PRODUCER")
    if not (span.get_span_context().is_remote or (calls_others and record.trace is not None)):
        _take(record, span)


def _take(record: Record, span: Any) -> bool:
    context = span.get_span_context()
    if not context.is_valid:
        return False
    record.trace = f"{context.trace_id:032x}", f"{context.span_id:016x}"
    record.span = weakref.ref(span)
    _taken[context.span_id] = record
    return True


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


def begins(record: Record) -> None:
    """Takes the span in which the record begins, until its URL is resolved."""
    if record.kind == "task":
        see(record)
    elif _take_around(record):
        record.span = None  # until there is one of its own
    elif record.request is not None:
        in_django(record)


def in_django(record: Record) -> None:
    """Reads Sentry's trace, now that the middleware has the request.

    Its scope of the request is around Django. Outside of that, as in a server's hooks, its id is
    one of the process, the same for all requests. So it is not read at the end of a request.
    """
    with _guard:
        for read in readers:
            if read is not _read and record.trace is None and read(record):
                return


def see(record: Record) -> None:
    """Reads the current trace; called in the request's own context, inside all middleware."""
    for read in readers:
        if read(record):
            return


def ends(record: Record) -> None:
    """Reads OpenTelemetry's span a last time, for a request that a middleware responded to."""
    if record.trace is not None or record.is_resolved or current_record.get() is not record:
        return
    with _guard:
        _take_around(record)


def _take_around(record: Record) -> bool:
    """Takes the current span, unless a server has left it in the context of the next request."""
    if _current_span is None:
        return False
    span = _current_span()
    context = span.get_span_context()
    runs = bool(span.is_recording())
    # A span that is not sampled never records; one that has ended does not any more.
    if context.is_remote or not (runs or not context.trace_flags.sampled):
        return False
    taker = _taken.get(context.span_id)
    if taker is not None and taker is not record.outer and not (runs and taker.done):
        return False
    return _take(record, span)


def parse(header: str) -> Ids | None:
    """Trace and parent id of a ``traceparent`` header; None for anything that is not one."""
    found = _PARENT.fullmatch(header) if len(header) <= _HEADER_LIMIT else None
    if found is None or (found[3] is not None and header.startswith("00")):
        return None
    return found[1], found[2]


def describe(record: Record, event: dict[str, Any]) -> None:
    """Adds nothing: all events of a request get the ids when they are completed."""
