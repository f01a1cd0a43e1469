"""When the view has returned: describes the response, and has the record end with its close.

Nothing of the response is touched but the list of what it closes, and a body that streams.
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
    "what a stream holds that nobody closes is freed late",
)
CLOSERS = "django.http.response.HttpResponseBase:_resource_closers"
ENDS_EARLY = "a request ends with its view, and not with its body"


def on_response(record: Record, response: Any, *, in_handler: bool) -> None:
    """The middleware hands its response on. Whatever fails in here, the record has its end.

    Args:
        record: of the request.
        response: what the application has returned, which need not be a response.
        in_handler: the middleware was loaded by Django's handler, which has the last word on the
            response; a response that is closed before is thrown away.

    Raises:
        Exception: only what was raised into this from outside.
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
                record.outcome = "error"  # a server answers 500 in its place
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
    """What it streams, as bytes, by an iterator that does not hold it.

    Django's own does: what the iterator holds, as a cursor, would only be freed by a collection.
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
    """True when something will end the record."""
    is_stream = streams(response)
    if record.is_inner and not is_stream:
        return False
    closers = getattr(response, "_resource_closers", None)
    if type(closers) is not list:
        missing(CLOSERS, ENDS_EARLY)
        return False
    record.response = weakref.ref(response, partial(_is_freed, record, record.turn))
    if record.scope is not None:
        return True  # what is sent is seen, and its end
    closer = partial(Closer, record, response=record.response, in_handler=in_handler)
    if closers and (not is_stream or is_file(response)):
        # What the application closes takes its time after the last byte. A body that is counted is
        # closed first, which says whether its client was there to the end.
        own = [closers.pop()] if is_stream and is_counted(closers[-1]) else []
        closers[:0] = [*own, closer(ends=False)]
    closers.append(closer())
    if record.is_inner:
        step_out(record)
    return True


def _is_freed(record: Record, turn: int, _ref: object) -> None:
    """Nobody will close it any more; the hound sees that later."""
    if record.turn == turn and record.left and not (record.by_server or record.done):
        record.forgotten()
