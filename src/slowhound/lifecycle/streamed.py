"""Counts the parts of a streamed body as they pass, without changing them."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from types import BuiltinMethodType, GeneratorType
from typing import Any

from slowhound.core.record import Record
from slowhound.instrument.exception import fields_of
from slowhound.lifecycle.asgi_data import bytes_in
from slowhound.lifecycle.cancellation import is_cancelled
from slowhound.recorder import process
from slowhound.runtime.clocks import clock
from slowhound.runtime.unpatched import is_greenlet_exit
from slowhound.system.guard import guard

_guard = guard("middleware")


class Body:
    """What has been sent of a response; once another response replaces it, nothing counts.

    Args:
        record: the request's.
        length: the declared length of the body.
    """

    def __init__(self, record: Record, length: int | None) -> None:
        self.record = record
        self.turn = record.turn
        self._length = length
        # The server sends no body, and may not even iterate over all of it.
        self._is_left_out = record.has_no_body
        self._sent = record.sent = 0

    def presume(self) -> None:
        """Assumes that the body is sent as a whole, until a part of it passes here."""
        if not self._is_left_out and (not self.record.by_server or self.record.task is not None):
            self.record.sent = self._length

    @property
    def _counts(self) -> bool:
        return self.record.turn == self.turn

    def part(self, part: Any) -> None:
        """The application has made a part."""
        if not self._counts:
            return
        try:
            record = self.record
            if record.first_byte is None:
                record.first_byte = clock.monotonic() - record.started
            size = len(part) if type(part) is bytes else bytes_in(part)
            if not self._is_left_out:
                self._sent += size
                record.sent = self._sent
            if size:  # also where the server iterates over the body of a HEAD and sends nothing
                record.part_sent()
        except Exception as exc:
            if _guard.failed(exc):
                raise
        else:
            if _guard.streak:
                _guard.streak = 0

    def taken(self) -> None:
        """The server wants the next part: the one before is sent, and may have been the last.

        If it was the last, the client may leave, and work that follows is not response time.
        """
        record, length = self.record, self._length
        if length is None or self._is_left_out or not self._counts or record.scope is not None:
            return  # with an ASGI scope, ``slowhound.asgi`` sees what is sent
        if self._sent >= length:
            record.finished_sending()

    def closed(self) -> None:
        """The body is closed before its end: the client has left."""
        if self._counts and not self._is_left_out and not self.record.complete:
            self.record.outcome = self.record.outcome or "disconnect"

    def failed(self, exc: BaseException) -> None:
        """The application has failed to make the next part, or its greenlet was killed."""
        if self._counts:
            is_killed = is_greenlet_exit(exc)
            self.record.outcome = self.record.outcome or ("killed" if is_killed else "error")
            if self._is_unsent() and not is_killed:
                self.record.status = 500  # what the server sends in its place
            with _guard:
                self.record.exc = {**fields_of(exc), "exc_handled": False}

    def _is_unsent(self) -> bool:
        """True where the server can still send a 500: WSGI sends the head with the first part.

        ASGI sends the head before, and under Gunicorn its hooks read the status.
        """
        record = self.record
        return record.first_byte is None and record.task is None and not record.by_server

    def ended(self) -> None:
        """The last part is made: an inner request ends, for its response may never be closed."""
        if self._counts and self.record.is_inner:
            self.record.finished_sending()
            process.finish(self.record)

    def cancelled(self) -> None:
        """The task that sends the body was cancelled, for example because the client has left."""
        if self._counts and not self._is_left_out and not self.record.complete:
            self.record.outcome = self.record.outcome or "cancelled"


def counted(body: Body, parts: Iterator[bytes]) -> Iterator[bytes]:
    """The parts, unchanged."""
    try:
        for part in parts:
            body.part(part)
            yield part
            body.taken()
        body.part(b"")  # for an empty body, which has had no part
        body.ended()
    except GeneratorExit:
        body.closed()
        raise
    except BaseException as exc:
        body.failed(exc)
        raise


def is_counted(close: Any) -> bool:
    """True of the ``close`` method of a body that ``counted`` has made."""
    body = close.__self__ if type(close) is BuiltinMethodType else None
    return type(body) is GeneratorType and body.gi_code is counted.__code__


async def counted_async(body: Body, parts: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    """``counted`` for an async body."""
    try:
        async for part in parts:
            body.part(part)
            yield part
            body.taken()
        body.part(b"")
        body.ended()
    except BaseException as exc:
        if is_cancelled(exc):
            body.cancelled()
        elif issubclass(type(exc), GeneratorExit):
            body.closed()
        else:
            body.failed(exc)
        if body._counts and not body.record.by_server:
            process.finish(body.record)  # Django's ASGI handler does not close the response then
        raise
