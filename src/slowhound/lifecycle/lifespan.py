"""ASGI's lifespan, watched for its end: then what waits in memory is sent.

uvicorn ends itself by a signal inside its event loop, where neither ``atexit`` nor a finalizer
runs; ``lifespan.shutdown`` is the last that a process hears. Django's application has no lifespan
and says so by an exception: in its place this answers, and does nothing at the start. What an
application with a lifespan of its own receives and sends is not changed.
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
    """The application's lifespan, or one in its place."""
    spoke = False

    async def received() -> Message:
        nonlocal spoke
        spoke = True
        return await receive()

    async def sent(message: Message) -> None:
        nonlocal spoke
        spoke = True
        if as_text(message.get("type")) in _LAST:
            _settle()  # before: after it the server may be gone
        await send(message)

    try:
        await application(scope, received, sent)
    except Exception:
        if spoke:
            raise
    if not spoke:
        await _in_its_place(receive, send)


async def _in_its_place(receive: Receive, send: Send) -> None:
    """For an application that knows of no lifespan."""
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
