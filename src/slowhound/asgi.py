"""ASGI: ``application = slowhound.asgi.wrap(get_asgi_application())``.

For servers that have no hooks (uvicorn, hypercorn, granian, daphne). The wrapper is outermost, so
it sees each request's first and last byte, the client that leaves, and the task that is cancelled.
The messages that pass through are never changed.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from slowhound.config.from_django import get_config
from slowhound.core.ownership import of_scope
from slowhound.core.record import Owner, Record
from slowhound.instrument.exception import fields_of
from slowhound.lifecycle import lifespan
from slowhound.lifecycle.asgi_data import environ_of as _environ
from slowhound.lifecycle.asgi_data import length_of as _length
from slowhound.lifecycle.asgi_data import size_of as _size
from slowhound.lifecycle.cancellation import is_cancelled
from slowhound.recorder import process
from slowhound.redaction.plain_data import as_int
from slowhound.runtime.clocks import clock
from slowhound.system.guard import guard

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Application = Callable[[Scope, Receive, Send], Awaitable[None]]

# A worker can have any number of requests in flight; this many get a slot of the black box.
ASGI_SLOTS = 254
_guard = guard("asgi")
_START = ("http.response.start", "websocket.http.response.start")
_BODY = ("http.response.body", "http.response.pathsend", "http.response.zerocopysend")


def wrap(application: Application) -> Application:
    """The same application, with one record for each request and each websocket.

    Unknown scopes pass through untouched; for the lifespan see ``slowhound.lifecycle.lifespan``.
    """

    async def wrapped(scope: Scope, receive: Receive, send: Send) -> None:
        if process.get() is None and not get_config().enabled:
            await application(scope, receive, send)
            return
        if scope["type"] == "lifespan":
            await lifespan.watched(application, scope, receive, send)
            return
        if scope["type"] not in ("http", "websocket"):
            await application(scope, receive, send)
            return
        exchange = _Exchange(receive, send)
        try:
            scope = exchange.begin(scope)
            if exchange.record is None:
                await application(scope, receive, send)
            else:
                await application(scope, exchange.receive, exchange.send)
                exchange.end(None)
        except BaseException as exc:
            exchange.end(exc)
            raise

    return wrapped


class _Exchange:
    """Reads the messages of one request and its response as they pass."""

    def __init__(self, receive: Receive, send: Send) -> None:
        self.record: Record | None = None
        self._receive = receive
        self._send = send
        self._is_own = False
        self._method: Any = None
        self._started = False
        self._sent = 0
        self._has_left = False  # the client of a websocket
        self._length: int | None = None

    def begin(self, scope: Scope) -> Scope:
        """Begins the request's record unless it has one; returns the scope for the application."""
        try:
            return self._begin(scope)
        except Exception as exc:
            if _guard.failed(exc):
                raise
            return scope

    def _begin(self, scope: Scope) -> Scope:
        headers = scope.get("headers")
        if type(headers) is not list:
            # ASGI allows any iterable, and some are empty once they have been read.
            scope = {**scope, "headers": list(headers or ())}
        active = process.get() or process.start(get_config(), process.Server("asgi", ASGI_SLOTS))
        record = of_scope(scope)
        if active is None or (record is not None and record.scope is not None):
            return scope  # off, or this application is inside another one that is wrapped
        self._is_own = record is None
        if record is None:
            method = scope["method"] if scope["type"] == "http" else "WEBSOCKET"
            record = Record(method, scope["path"], clock.monotonic())
            record.owner = Owner.WRAP
            record.environ = _environ(scope)
        record.scope = scope
        record.long_lived = scope["type"] == "websocket"
        self._method = scope.get("method")
        self.record = record
        if self._is_own:
            active.begin(record)
        return scope

    async def receive(self) -> Message:
        """The server's next message."""
        message = await self._receive()
        record = self.record
        if record is not None:
            kind = message["type"]
            self._has_left = self._has_left or kind == "websocket.disconnect"
            left = kind == "http.disconnect" and not record.complete
            if left or (kind == "websocket.disconnect" and not self._started):
                record.outcome = record.outcome or "disconnect"
        return message

    async def send(self, message: Message) -> None:
        """Passes the application's message to the server, and then records what it contains.

        After the application has received a disconnect, a server accepts its messages and drops
        them.
        """
        record = self.record
        dropped = self._has_left or (record is not None and record.outcome == "disconnect")
        try:
            await self._send(message)
        except OSError:  # the client has left (ASGI 2.4)
            if record is not None:
                record.outcome = record.outcome or "disconnect"
            raise
        try:
            if record is not None:
                self._record_sent(record, message, dropped=dropped)
        except Exception as exc:
            if _guard.failed(exc):
                raise
        else:
            if _guard.streak:
                _guard.streak = 0

    def _record_sent(self, record: Record, message: Message, *, dropped: bool) -> None:
        kind = message["type"]
        if kind in _START:
            record.status = as_int(message["status"])
            self._started = True
            self._length = _length(message)
            if not dropped and (record.has_no_body or self._length == 0):
                record.finished_sending()  # a server may not even read a body
        elif dropped:
            return
        elif kind in _BODY or kind == "websocket.http.response.body":
            self._record_part(record, kind, message)
        elif kind == "websocket.accept":
            record.status = 101
            self._started = True
        elif kind == "websocket.send":
            self._sent += _size(kind, message)
        elif kind == "websocket.close" and not self._started:
            record.status = 403  # the server sends this where the handshake is refused
            self._started = True

    def _record_part(self, record: Record, kind: str, message: Message) -> None:
        if record.first_byte is None:
            record.first_byte = clock.monotonic() - record.started
        size = 0 if self._method == "HEAD" else _size(kind, message)
        self._sent += size
        if size:
            record.part_sent()
        # The client has the whole body once it has as many bytes as were declared; the server may
        # then go on with the next request of the connection.
        is_all = self._length is not None and self._sent >= self._length
        if is_all or not message.get("more_body", False):
            record.finished_sending()

    def end(self, exc: BaseException | None) -> None:
        """The application has returned or raised. A second call does nothing."""
        record = self.record
        if record is None:
            return
        try:
            self._describe(record, exc)
        except Exception as failure:
            if _guard.failed(failure):
                raise
        finally:
            if self._is_own:
                process.finish(record)

    def _describe(self, record: Record, exc: BaseException | None) -> None:
        record.sent = self._sent
        if record.complete and issubclass(type(exc), asyncio.CancelledError):
            pass  # it was cancelled in what it did after the response
        elif is_cancelled(exc) and not record.has_left_loop:
            record.outcome = "cancelled"
        elif exc is not None and record.outcome is None:
            record.outcome = "error"
            fields = record.exc if record.exc is not None else fields_of(exc)
            record.exc = {**fields, "exc_handled": False}
        if record.complete and record.outcome == "disconnect":
            record.outcome = None
        is_whole = record.complete or (record.long_lived and self._started)
        if not is_whole and record.outcome in (None, "error"):
            # The server sends a 500 in the application's place, or closes the connection.
            record.outcome = "error"
            record.status = record.status or 500
