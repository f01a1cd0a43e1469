"""The site as ASGI applications, with and without slowhound's wrapper, beside non-Django ones."""

from __future__ import annotations

import os
from typing import Any

from django.core.asgi import get_asgi_application

from tests.site.options import OPTIONS, SCRATCH, import_views, is_soon_slow

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "tests.site.settings")
django_application = get_asgi_application()


def keep(text: str) -> None:
    with (SCRATCH / "lifespan.txt").open("a") as file:
        file.write(f"{text}\n")


async def lifespan(scope: Any, receive: Any, send: Any) -> None:
    """Keeps the messages of the server in a file, and answers them."""
    for moment in ("startup", "shutdown"):
        message = await receive()
        keep(f"{sorted(scope)} {message}")
        await send({"type": f"lifespan.{moment}.complete"})


async def echo(scope: Any, receive: Any, send: Any) -> None:
    """A websocket that sends everything back."""
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
        data = {"text": message["text"]} if message.get("text") else {"bytes": message["bytes"]}
        await send({"type": "websocket.send", **data})


async def elsewhere(scope: Any, receive: Any, send: Any) -> None:
    """Answers requests that Django never sees."""
    if scope["path"] == "/elsewhere/raises/":
        raise RuntimeError("before any response")
    headers = [(b"content-type", b"text/plain"), (b"content-length", b"9")]
    await send({"type": "http.response.start", "status": 203, "headers": headers})
    await send({"type": "http.response.body", "body": b"else", "more_body": True})
    await send({"type": "http.response.body", "body": b"where"})


def marking_departure(path: str, receive: Any) -> Any:
    """The same ``receive``, which makes a file when the server reports that the client has left."""

    async def marking() -> Any:
        message = await receive()
        if message["type"] == "http.disconnect":
            (SCRATCH / f"{path.strip('/').replace('/', '.')}.left").touch()
        return message

    return marking


async def application(scope: Any, receive: Any, send: Any) -> None:
    """Django, and the applications beside it."""
    if scope["type"] == "lifespan":
        await lifespan(scope, receive, send)
    elif scope["type"] == "websocket":
        await echo(scope, receive, send)
    elif scope["path"].startswith("/elsewhere/"):
        await elsewhere(scope, receive, send)
    elif scope["path"].startswith("/gate/"):
        await django_application(scope, marking_departure(scope["path"], receive), send)
    else:
        await django_application(scope, receive, send)


if is_soon_slow():
    import_views()
if OPTIONS.get("slowhound") is not None:
    from slowhound.asgi import wrap

    wrapped = wrap(application)
