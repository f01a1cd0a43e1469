"""A streamed body: its parts pass unchanged, and are counted for its record as they do."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from typing import Any

from slowhound import recorder
from slowhound.clocks import clock
from slowhound.guard import guard
from slowhound.instrument.exception import fields_of
from slowhound.record import Record

_guard = guard("middleware")


class Body:
    """What has been sent of one response of a record's; of one that was replaced, nothing counts.

    Args:
        record: of the request.
        length: how long the body is said to be.
    """

    def __init__(self, record: Record, length: int | None) -> None:
        self.record = record
        self.turn = record.turn
        self._length = length
        # A server leaves the body out, and may not even ask for all of it.
        self._is_head = record.method == "HEAD"
        record.sent = 0

    @property
    def _counts(self) -> bool:
        return self.record.turn == self.turn

    def part(self, part: Any) -> None:
        """The application has made one."""
        if not self._counts:
            return
        try:
            record = self.record
            if record.first_byte is None:
                record.first_byte = clock.monotonic() - record.started
            if not self._is_head:
                size = len(part)
                record.sent = (record.sent or 0) + size
                if size:
                    record.part_sent()
        except Exception as exc:
            if _guard.failed(exc):
                raise
        else:
            if _guard.streak:
                _guard.streak = 0

    def taken(self) -> None:
        """The server asks for the next one: the last one is sent, and may have been all there is.

        Then the client may go, and work that follows is no part of the response.
        """
        record, length = self.record, self._length
        if length is None or self._is_head or not self._counts or record.scope is not None:
            return  # where there is a scope, what is sent is seen
        if (record.sent or 0) >= length:
            record.finished_sending()

    def closed(self) -> None:
        """Before its end: the client has gone away."""
        if self._counts and not self._is_head and not self.record.complete:
            self.record.outcome = self.record.outcome or "disconnect"

    def failed(self, exc: BaseException) -> None:
        """The application cannot go on with it."""
        if self._counts:
            self.record.outcome = self.record.outcome or "error"
            with _guard:
                self.record.exc = {**fields_of(exc), "exc_handled": False}

    def cancelled(self) -> None:
        """The task that sends it was ended, by the server when the client had gone, or else."""
        if self._counts and not self._is_head and not self.record.complete:
            self.record.outcome = self.record.outcome or "cancelled"


def counted(body: Body, parts: Iterator[bytes]) -> Iterator[bytes]:
    """The parts themselves."""
    try:
        for part in parts:
            body.part(part)
            yield part
            body.taken()
        body.part(b"")  # an empty body has had no part
    except GeneratorExit:
        body.closed()
        raise
    except Exception as exc:
        body.failed(exc)
        raise


async def counted_async(body: Body, parts: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    """The same of a body that is awaited."""
    try:
        async for part in parts:
            body.part(part)
            yield part
            body.taken()
        body.part(b"")
    except BaseException as exc:
        if isinstance(exc, asyncio.CancelledError):
            body.cancelled()
        elif isinstance(exc, GeneratorExit):
            body.closed()
        else:
            body.failed(exc)
        if body._counts and not body.record.by_server:
            recorder.finish(body.record)  # Django's ASGI handler does not close such a response
        raise
