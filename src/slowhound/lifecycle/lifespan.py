"""Sends what waits in memory when ASGI's lifespan ends.

uvicorn ends itself with a signal inside its event loop, where neither ``atexit`` nor a finalizer
runs; ``lifespan.shutdown`` is the last message that a process receives. Django's application does
not support the lifespan and raises an exception: this module then answers in its place, and does
nothing at startup. The messages of an application that does support the lifespan are not changed.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from slowhound.recorder import process
from slowhound.redaction.plain_data import as_text
from slowhound.system.guard import guard

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Application = Callable[[Any, Receive, Send], Awaitable[None]]

_guard = guard("lifespan")
_LAST = ("lifespan.shutdown.complete", "lifespan.shutdown.failed")


async def watched(application: Application, scope: Any, receive: Receive, send: Send) -> None:
    """Runs the application's lifespan, or a minimal one in its place."""
    is_supported = False

    async def received() -> Message:
        nonlocal is_supported
        is_supported = True
        return await receive()

    async def sent(message: Message) -> None:
        nonlocal is_supported
        is_supported = True
        if as_text(message.get("type")) in _LAST:
            _settle()  # before sending: afterwards the server may be gone
        await send(message)

    try:
        await application(scope, received, sent)
    except Exception:
        if is_supported:
            raise
    if not is_supported:
        await _minimal_lifespan(receive, send)


async def _minimal_lifespan(receive: Receive, send: Send) -> None:
    """Answers the server for an application that does not support the lifespan."""
    while True:
        message = await receive()
        if message["type"] == "lifespan.startup":
            await send({"type": "lifespan.startup.complete"})
        elif message["type"] == "lifespan.shutdown":
            _settle()
            await send({"type": "lifespan.shutdown.complete"})
            return


def _settle() -> None:
    with _guard:
        process.settle()
