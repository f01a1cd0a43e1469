"""ASGI: ``application = slowhound.asgi.wrap(get_asgi_application())``.

The outermost place under a server that has no hooks (uvicorn, hypercorn, granian, daphne): it sees
each request's first and last byte, the client that goes away, and the task that is cancelled.
What passes through is never changed.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from slowhound import recorder
from slowhound.conf import get_config
from slowhound.guard import guard
from slowhound.record import Record, current_record

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Application = Callable[[Scope, Receive, Send], Awaitable[None]]

# A worker can have any number in flight; those beyond this many have no place in the black box.
SLOTS = 254
_guard = guard("asgi")


def wrap(application: Application) -> Application:
    """The same application, with one record for each request and each websocket.

    Lifespan and unknown scopes pass through untouched.
    """

    async def wrapped(scope: Scope, receive: Receive, send: Send) -> None:
        record = _begin(scope) if scope["type"] in ("http", "websocket") else None
        if record is None:
            await application(scope, receive, send)
            return
        exchange = _Exchange(record, receive, send)
        try:
            await application(scope, exchange.receive, exchange.send)
        except asyncio.CancelledError:
            record.outcome = "cancelled"
            raise
        except BaseException:
            record.outcome = record.outcome or "error"
            raise
        finally:
            exchange.end()

    return wrapped


def _begin(scope: Scope) -> Record | None:
    """A new record, or the one that the server's own hooks have begun."""
    with _guard:
        record = current_record.get()
        if record is not None and not record.done and record.by_server:
            return record
        active = recorder.get() or recorder.start(get_config(), recorder.Server("asgi", SLOTS))
        if active is None:
            return None
        method = scope["method"] if scope["type"] == "http" else "WEBSOCKET"
        record = active.begin(method, scope["path"], _environ(scope))
        record.by_server = True
        record.long_lived = scope["type"] == "websocket"
        record.begun_by_wrap = True
        return record
    return None


def _environ(scope: Scope) -> dict[str, str]:
    """What a record reads of a request, under the names of WSGI."""
    environ = {
        "wsgi.url_scheme": scope.get("scheme", "http"),
        "QUERY_STRING": scope.get("query_string", b"").decode("latin-1"),
    }
    client = scope.get("client")
    if client:
        environ["REMOTE_ADDR"] = str(client[0])
    for name, value in scope["headers"]:
        wanted = _HEADERS.get(name)
        if wanted is not None:
            environ[wanted] = value.decode("latin-1")
    return environ


_HEADERS = {
    b"host": "HTTP_HOST",
    b"referer": "HTTP_REFERER",
    b"user-agent": "HTTP_USER_AGENT",
    b"content-length": "CONTENT_LENGTH",
    b"x-request-start": "HTTP_X_REQUEST_START",
    b"x-queue-start": "HTTP_X_QUEUE_START",
    b"traceparent": "HTTP_TRACEPARENT",
}


class _Exchange:
    """Looks at the messages of one request as they pass."""

    def __init__(self, record: Record, receive: Receive, send: Send) -> None:
        self.record = record
        self._receive = receive
        self._send = send
        self._sent = 0
        self._complete = False

    async def receive(self) -> Message:
        """The server's next message."""
        message = await self._receive()
        if message["type"] == "http.disconnect" and not self._complete:
            self.record.outcome = self.record.outcome or "disconnect"
        return message

    async def send(self, message: Message) -> None:
        """Hands the application's message on; what it says counts once the server has taken it."""
        try:
            await self._send(message)
        except OSError:  # the server's way to say that the client is gone (ASGI 2.4)
            self.record.outcome = self.record.outcome or "disconnect"
            raise
        try:
            self._note(message)
        except Exception as exc:  # noqa: BLE001  inlined guard: this runs for each part of a body
            _guard.failed(exc)

    def _note(self, message: Message) -> None:
        record, kind = self.record, message["type"]
        if kind == "http.response.start":
            record.status = message["status"]
        elif kind in ("http.response.body", "http.response.pathsend", "http.response.zerocopysend"):
            if record.first_byte is None:
                record.first_byte = time.monotonic() - record.started
            self._sent += len(message.get("body", b""))
            self._complete = not message.get("more_body", False)
        elif kind == "websocket.accept":
            record.status = 101
        elif kind == "websocket.send":
            self._sent += len(message.get("bytes") or message.get("text") or b"")
        elif kind == "websocket.close" and record.status is None:
            record.status = 403  # what the server answers to a handshake that is refused

    def end(self) -> None:
        """The application has returned, or was made to."""
        with _guard:
            record = self.record
            record.sent = self._sent
            if self._complete and record.outcome == "disconnect":
                record.outcome = None
            if record.begun_by_wrap:
                recorder.finish(record)
