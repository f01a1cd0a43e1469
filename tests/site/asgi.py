"""The site as ASGI applications: with and without slowhound's wrap, beside others than Django."""

from __future__ import annotations

import os
from typing import Any

from django.core.asgi import get_asgi_application

from tests.site.options import OPTIONS, SCRATCH, import_views, is_soon_slow

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "tests.site.settings")
django_application = get_asgi_application()


def tell(what: str) -> None:
    with (SCRATCH / "lifespan.txt").open("a") as told:
        told.write(f"{what}\n")


async def lifespan(scope: Any, receive: Any, send: Any) -> None:
    """Tells what the server asked for, and in which words."""
    for moment in ("startup", "shutdown"):
        message = await receive()
        tell(f"{sorted(scope)} {message}")
        await send({"type": f"lifespan.{moment}.complete"})


async def echo(scope: Any, receive: Any, send: Any) -> None:
    """A websocket that says everything back."""
    assert (await receive())["type"] == "websocket.connect"
    if scope["path"] == "/ws/refused/":
        await send({"type": "websocket.close"})
        return
    await send({"type": "websocket.accept"})
    while True:
        message = await receive()
        if message["type"] == "websocket.disconnect":
            return
        if message.get("text") == "fail":
            raise RuntimeError("the websocket fails")
        said = {"text": message["text"]} if message.get("text") else {"bytes": message["bytes"]}
        await send({"type": "websocket.send", **said})


async def elsewhere(scope: Any, receive: Any, send: Any) -> None:
    """Answers what Django never sees."""
    if scope["path"] == "/elsewhere/raises/":
        raise RuntimeError("before any answer")
    headers = [(b"content-type", b"text/plain"), (b"content-length", b"9")]
    await send({"type": "http.response.start", "status": 203, "headers": headers})
    await send({"type": "http.response.body", "body": b"else", "more_body": True})
    await send({"type": "http.response.body", "body": b"where"})


def told(path: str, receive: Any) -> Any:
    """The same, and a file at the moment in which the server tells that the client has left."""

    async def telling() -> Any:
        message = await receive()
        if message["type"] == "http.disconnect":
            (SCRATCH / f"{path.strip('/').replace('/', '.')}.left").touch()
        return message

    return telling


async def application(scope: Any, receive: Any, send: Any) -> None:
    """Django, and what stands beside it."""
    if scope["type"] == "lifespan":
        await lifespan(scope, receive, send)
    elif scope["type"] == "websocket":
        await echo(scope, receive, send)
    elif scope["path"].startswith("/elsewhere/"):
        await elsewhere(scope, receive, send)
    elif scope["path"].startswith("/gate/"):
        await django_application(scope, told(scope["path"], receive), send)
    else:
        await django_application(scope, receive, send)


if is_soon_slow():
    import_views()
if OPTIONS.get("slowhound") is not None:
    from slowhound.asgi import wrap

    wrapped = wrap(application)
