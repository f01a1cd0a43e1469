"""The middleware hands a response on, and its record ends where the response is closed.

By the server, or by who asked in process; before that, middleware in front may still throw it away
and have the view run again. Nothing of it but the list of what it closes is touched, and the body
that streams.
"""

from __future__ import annotations

import sys
import weakref
from collections.abc import Callable, Iterator
from contextvars import ContextVar
from functools import partial
from types import MethodType
from typing import Any

from django.core.signals import request_finished
from django.http import HttpRequest
from django.http.response import HttpResponseBase

from slowhound.core.ownership import is_closed, is_making_body, step_out
from slowhound.core.record import CLIENT_GONE, Owner, Record, current
from slowhound.instrument.exception import fields_of
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
# What was raised from outside while a response was being closed, where Django keeps it to itself.
_struck: ContextVar[Exception | None] = ContextVar("slowhound_struck", default=None)


def hand_on(record: Record, response: Any, *, in_handler: bool) -> None:
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
                ends = not _see_close(record, response, in_handler=in_handler)
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


def _see_close(record: Record, response: Any, *, in_handler: bool) -> bool:
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


class Closer:
    """Sees that a response is closed: its record ends, if no server ends it.

    A response may be pickled, by a cache middleware around ours: then nothing of this goes along.
    """

    def __init__(
        self,
        record: Record,
        response: Callable[[], Any],
        *,
        in_handler: bool,
        ends: bool = True,
    ) -> None:
        self.record = record
        self.turn = record.turn
        self._response = response
        self._in_handler = in_handler
        self._ends = ends

    def __call__(self) -> None:
        if _struck.get() is not None:
            _struck.set(None)  # of a close before, whose signal another receiver has cut short
        try:
            self._closes()
        except Exception as exc:
            if _guard.failed(exc):
                # Django keeps to itself what is raised here; ``finished`` comes next and raises it.
                _struck.set(exc)
                raise

    def _closes(self) -> None:
        record, response = self.record, self._response()
        is_sent = not self._in_handler or self._was_handed_out(response)
        if self._is_anothers(response):
            return
        if record.turn != self.turn:
            # Another one was made after it; but this one is sent, as the better of the two.
            if not (is_sent and self._in_handler and record.left) or record.done:
                return
            _describe_again(record, response)
        elif not is_sent:
            if self._ends:
                record.thrown, record.response = True, None
            return
        elif not record.by_server:
            _describe_again(record, response)  # middleware in front may have changed it in place
        record.finished_sending()
        if self._ends and not record.by_server:
            if is_file(response):
                _see_failure(record, sys.exception())
            process.finish(record)

    def _was_handed_out(self, response: Any) -> bool:
        """True once Django's handler has returned it: it adds to what is closed last."""
        closers = getattr(response, "_resource_closers", None)
        found = list(closers) if type(closers) is list else []
        if not any(each is self for each in found):
            return True  # of a response that is sent to several, and was closed for another one
        return any(
            type(each) is MethodType
            and each.__func__.__name__ == "close"
            and issubclass(type(each.__self__), HttpRequest)
            for each in found
        )

    def _is_anothers(self, response: Any) -> bool:
        """True when one response is sent to several: it is the other's that is closed."""
        now = current()
        if now is None or now is self.record or now.response is None:
            return False
        return response is not None and now.response() is response

    def __reduce__(self) -> tuple[Any, ...]:
        # What reads it, as a worker that shares the cache, need not have slowhound.
        return partial, (int,)


def _describe_again(record: Record, response: Any) -> None:
    if streams(response) and record.first_byte is None and record.outcome == "error":
        return  # it is not sent: the server answers in its place
    record.status = status_of(response)
    if not record.by_server and not streams(response):
        record.sent = 0 if record.method == "HEAD" else size_of(response)


def _is_freed(record: Record, turn: int, _ref: object) -> None:
    """Nobody will close it any more; the hound sees that later."""
    if record.turn == turn and record.left and not (record.by_server or record.done):
        record.forgotten()


def _see_failure(record: Record, exc: BaseException | None) -> None:
    """A file could not be read, or sent, to its end: that is why it is closed now."""
    if exc is None:
        return
    is_gone = isinstance(exc, OSError) and exc.errno in CLIENT_GONE
    if is_gone and record.method == "HEAD":
        return  # wsgiref sends a body for it as well, for which no client waits
    record.outcome = record.outcome or ("disconnect" if is_gone else "error")
    if not is_gone:
        with _guard:
            record.exc = {**fields_of(exc), "exc_handled": False}


def finished(sender: Any = None, **_kwargs: object) -> None:
    """For Django's signal ``request_finished``, which comes when a response has been closed.

    It ends what no closer has ended: the record of a response that is sent to several, and was
    closed for another one meanwhile, or of one in whose place another one was sent.

    Args:
        sender: the class of the handler, where that has sent the response.

    Raises:
        Exception: what was raised from outside while the response was being closed.
    """
    exc = _struck.get()
    if exc is not None:
        _struck.set(None)
        raise exc
    record = current()
    if record is None or record.owner is not Owner.MIDDLEWARE or not record.left:
        return
    if record.thrown:
        record.thrown = False  # it was this one's signal
        return
    try:
        if is_closed(record):
            process.finish(record)
        elif not is_making_body(record):
            _see_replaced(record, sender)
    except Exception as failure:
        if _guard.failed(failure):
            raise


def _see_replaced(record: Record, sender: Any) -> None:
    """What was closed is not the response that the middleware has handed on."""
    response = record.response() if record.response is not None else None
    if response is not None and sender is None:
        return  # of a request made in process, say
    if record.body is None or record.first_byte is None:
        failed = record.exc is not None and not record.exc.get("exc_handled")
        record.status, record.sent = 500 if failed else None, None
    process.finish(record)


def watch() -> None:
    """From now on, once a process."""
    request_finished.connect(finished, dispatch_uid=__name__)
