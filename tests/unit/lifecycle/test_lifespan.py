"""The end of an ASGI application's lifespan sends what waits; nothing else is changed."""

from __future__ import annotations

import asyncio
from typing import Any, ClassVar

import pytest
from django.core.asgi import get_asgi_application

from slowhound.asgi import wrap
from slowhound.config.from_django import get_config
from slowhound.core.record import Record
from slowhound.recorder import process
from slowhound.runtime.clocks import clock

ENDS = ["lifespan.startup", "lifespan.shutdown"]


def served(application: Any, messages: list[str]) -> tuple[list[str], list[bool], Exception | None]:
    """The messages to the server, each with whether a recorder was running; and the exception."""
    left, sent, recorded = list(messages), [], []

    async def receive() -> dict[str, Any]:
        return {"type": left.pop(0)}

    async def send(message: dict[str, Any]) -> None:
        sent.append(message["type"])
        recorded.append(process.get() is not None)

    try:
        asyncio.run(wrap(application)({"type": "lifespan"}, receive, send))  # type: ignore[arg-type]
    except Exception as exc:
        return sent, recorded, exc
    return sent, recorded, None


async def returns(scope: Any, receive: Any, send: Any) -> None:
    """An application that ignores the lifespan."""


@pytest.mark.parametrize("application", [get_asgi_application(), returns])
def test_application_without_a_lifespan_has_one(configure: Any, application: Any) -> None:
    """What waits is delivered at shutdown, before the server gets the last message."""
    configure()
    assert process.start(get_config()) is not None
    sent, recorded, raised = served(application, ENDS)
    assert sent == ["lifespan.startup.complete", "lifespan.shutdown.complete"]
    assert recorded == [True, False]
    assert raised is None


def test_lifespan_of_an_application_is_not_changed(configure: Any) -> None:
    """All messages and exceptions are those of the application that has a lifespan."""
    configure()
    process.start(get_config())
    heard: list[str] = []

    async def application(scope: Any, receive: Any, send: Any) -> None:
        heard.append((await receive())["type"])
        await send({"type": "lifespan.startup.complete"})
        heard.append((await receive())["type"])
        await send({"type": "lifespan.shutdown.failed"})
        raise RuntimeError("its own")

    sent, recorded, raised = served(application, ENDS)
    assert heard == ENDS
    assert sent == ["lifespan.startup.complete", "lifespan.shutdown.failed"]
    assert recorded == [True, False]
    assert str(raised) == "its own"


class Keeps:
    """A sink of an application."""

    taken: ClassVar[list[str]] = []

    def deliver(self, report: Any) -> None:
        """Is never called: nothing is slow here."""

    def take_event(self, event: dict[str, Any]) -> None:
        self.taken.append(event["req_path"])

    def close(self) -> None:
        """Has nothing to close."""


def test_application_is_served_as_it_is_where_slowhound_is_off(configure: Any) -> None:
    """With ENABLED = False the server gets the application's exception."""
    configure(ENABLED=False)

    async def breaks(scope: Any, receive: Any, send: Any) -> None:
        raise RuntimeError("no database")

    assert str(served(breaks, ENDS)[2]) == "no database"


def test_end_while_a_request_lasts_sends_the_others(configure: Any) -> None:
    """The recorder runs until the last request has ended, and then sends its event."""
    configure(SINKS=[f"{__name__}.Keeps"])
    Keeps.taken.clear()
    active = process.start(get_config())
    assert active is not None
    lasts, done = (Record("GET", path, clock.monotonic()) for path in ("/lasts/", "/done/"))
    active.begin(lasts)
    active.begin(done)
    active.finish(done)
    assert served(returns, ENDS)[1] == [True, True]
    assert Keeps.taken == ["/done/"]
    active.finish(lasts)
    process.stop()
    assert Keeps.taken == ["/done/", "/lasts/"]


def test_startup_that_fails_is_seen_by_the_server(configure: Any) -> None:
    """The server gets the exception of an application that fails during startup."""
    configure()

    async def application(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        raise RuntimeError("no database")

    sent, _, raised = served(application, ENDS)
    assert sent == []
    assert str(raised) == "no database"
