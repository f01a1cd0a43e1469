"""Describes the response that a view has returned, and arranges that its close ends the record.

Of the response only two things are changed: its list of closers, and a streaming body.
"""

from __future__ import annotations

import weakref
from collections.abc import Iterator
from functools import partial
from typing import Any

from django.http.response import HttpResponseBase

from slowhound.core.ownership import step_out
from slowhound.core.record import Record
from slowhound.lifecycle.closing import Closer
from slowhound.lifecycle.responses import (
    is_file,
    length_of,
    sends_as_django_does,
    size_of,
    status_of,
    streams,
)
from slowhound.lifecycle.streamed import Body, counted, counted_async, is_counted
from slowhound.recorder import process
from slowhound.runtime.attributes import attribute_or
from slowhound.runtime.clocks import clock
from slowhound.runtime.library_names import find, missing
from slowhound.system.guard import guard

_guard = guard("middleware")
_HAS_ITERATOR = find(
    "django.http.response.StreamingHttpResponse:_iterator",
    "what an unclosed stream holds is freed late",
)
CLOSERS = "django.http.response.HttpResponseBase:_resource_closers"
ENDS_EARLY = "a request ends with its view, and not with its body"


def on_response(record: Record, response: Any, *, in_handler: bool) -> None:
    """The middleware is about to return this response. Whatever fails in here, the record ends.

    Args:
        record: the request's.
        response: what the application has returned, which need not be a response.
        in_handler: the middleware was loaded by Django's handler, so a response that is closed
            before the handler has returned it was discarded.

    Raises:
        Exception: only one that was raised into this from outside, as by a signal handler.
    """
    record.turn += 1
    record.left = True
    ends = True
    try:
        try:
            if issubclass(type(response), HttpResponseBase):
                _describe(record, response)
                ends = not _end_with_close(record, response, in_handler=in_handler)
            else:
                record.outcome = "error"  # the server sends a 500 in its place
        finally:
            if ends and not record.by_server:
                process.finish(record)
    except Exception as exc:
        if _guard.failed(exc):
            raise
    else:
        if _guard.streak:
            _guard.streak = 0


def _describe(record: Record, response: Any) -> None:
    record.status = status_of(response)
    if streams(response):
        _watch_body(record, response)
        return
    record.first_byte = clock.monotonic() - record.started
    if _counts(record):
        record.sent = 0 if record.method == "HEAD" else size_of(response)


def _counts(record: Record) -> bool:
    """Gunicorn's ASGI worker knows the size only where its access log is on."""
    return not record.by_server or record.task is not None


def _watch_body(record: Record, response: Any) -> None:
    body = Body(record, length_of(response))
    if not sends_as_django_does(type(response)):
        record.first_byte = clock.monotonic() - record.started
        body.presume()
        return
    parts: Any
    if response.is_async:
        parts = counted_async(body, aiter(response.streaming_content))
    else:
        parts = counted(body, _parts_of(response))
    record.body = weakref.ref(parts)
    if is_file(response):
        body.presume()  # where the server sends the file itself, its parts do not pass here
        file = response.file_to_stream
        response.streaming_content = parts
        response.file_to_stream = file
    else:
        response.streaming_content = parts


def _parts_of(response: Any) -> Iterator[bytes]:
    """The parts of a streaming response, as bytes, by an iterator that does not hold the response.

    Django's own iterator holds it: in that cycle, what the stream holds (a cursor, say) would only
    be freed by the garbage collector.
    """
    parts = attribute_or(response, "_iterator") if _HAS_ITERATOR else None
    if parts is None:
        return iter(response.streaming_content)
    found = weakref.ref(response)

    def as_bytes(part: Any) -> bytes:
        whose = None if type(part) is bytes else found()
        made: bytes = part if whose is None else whose.make_bytes(part)
        return made

    return map(as_bytes, parts)


def _end_with_close(record: Record, response: Any, *, in_handler: bool) -> bool:
    """Adds what ends the record when the response is closed; False if nothing will end it."""
    is_stream = streams(response)
    if record.is_inner and not is_stream:
        return False
    closers = getattr(response, "_resource_closers", None)
    if type(closers) is not list:
        missing(CLOSERS, ENDS_EARLY)
        return False
    record.response = weakref.ref(response, partial(_is_freed, record, record.turn))
    if record.scope is not None:
        return True  # ``slowhound.asgi`` sees what is sent, and the end
    closer = partial(Closer, record, response=record.response, in_handler=in_handler)
    if closers and (not is_stream or is_file(response)):
        # The application's own closers run after the last byte, and their time is not response
        # time. A counted body is closed first: that shows whether the client stayed to the end.
        own = [closers.pop()] if is_stream and is_counted(closers[-1]) else []
        closers[:0] = [*own, closer(ends=False)]
    closers.append(closer())
    if record.is_inner:
        step_out(record)
    return True


def _is_freed(record: Record, turn: int, _ref: object) -> None:
    """The response was freed without being closed: the hound will find and end its record."""
    if record.turn == turn and record.left and not (record.by_server or record.done):
        record.forgotten()
