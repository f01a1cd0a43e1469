"""Tests of what ``slowhound.asgi.wrap`` records of the messages that pass through it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from django.core.handlers.asgi import ASGIHandler
from django.http import HttpRequest, StreamingHttpResponse
from django.test.utils import override_settings
from django.urls import path

import slowhound
from slowhound import Context
from slowhound.asgi import wrap
from slowhound.core.in_flight import in_flight
from slowhound.recorder import process
from slowhound.testing import capture_events

Send = Callable[[dict[str, Any]], Awaitable[None]]
START = {"type": "http.response.start", "status": 200, "headers": []}
SIZED = {**START, "headers": [(b"Content-Length", b"4")]}
ACCEPT = {"type": "websocket.accept"}
DENIED = {"type": "websocket.http.response.start", "status": 429, "headers": []}


def body(part: bytes = b"", kind: str = "http.response.body", **more: Any) -> dict[str, Any]:
    return {"type": kind, "body": part, **more}


def event_of(
    *messages: dict[str, Any] | BaseException | Callable[[], Any],
    kind: str = "http",
    method: str = "GET",
) -> dict[str, Any]:
    """The event of a request whose application sends, raises or calls these in order."""

    async def application(scope: Any, receive: Any, send: Send) -> None:
        for each in messages:
            if isinstance(each, asyncio.CancelledError):
                asyncio.current_task().cancel()  # type: ignore[union-attr]
                await asyncio.sleep(0)
            if isinstance(each, BaseException):
                raise each
            if callable(each):
                each()
            else:
                await send(each)

    async def send(message: Any) -> None:
        sent.append(message)

    async def receive() -> dict[str, Any]:
        return {"type": f"{kind}.disconnect"}

    sent: list[Any] = []
    scope = {"type": kind, "method": method, "path": "/", "query_string": b"", "headers": []}
    if kind == "websocket":
        del scope["method"]
    with capture_events() as events, suppress(ValueError, asyncio.CancelledError):
        asyncio.run(wrap(application)(scope, receive, send))
    assert sent == [each for each in messages if isinstance(each, dict)]
    assert not in_flight
    (event,) = (each for each in events if each["event_type"] == "request")
    return event


def test_denied_websocket_has_the_status_that_was_sent() -> None:
    """A denied websocket (`websocket.http.response.*`) has its status, and its bytes."""
    part = "websocket.http.response.body"
    event = event_of(
        DENIED, body(b"too", part, more_body=True), body(b"many", part), kind="websocket"
    )
    assert (event["resp_status"], event["resp_bytes"], event["resp_outcome"]) == (429, 7, "ok")
    assert event_of({"type": "websocket.close"}, kind="websocket")["resp_status"] == 403


@pytest.mark.parametrize("kind", ["http", "websocket"])
def test_headers_of_any_iterable_can_be_read_by_the_application(kind: str) -> None:
    """Headers that can only be iterated once are passed on as a list."""
    seen: list[Any] = []

    async def application(scope: Any, receive: Any, send: Send) -> None:
        seen.extend(scope["headers"])

    given = [(b"user-agent", b"curl"), (b"x-own", b"1")]
    scope = {"type": kind, "method": "GET", "path": "/", "headers": iter(given)}
    with capture_events() as events:
        asyncio.run(wrap(application)(scope, nothing, nothing))
    assert seen == given
    assert events[-1]["req_user_agent"] == "curl"


async def nothing(*_: Any) -> Any:
    """For applications that neither receive nor send."""


@pytest.mark.parametrize("kind", ["http", "websocket"])
def test_exception_of_an_application_or_consumer_is_named(kind: str) -> None:
    """The event has an exception that Django has not seen, as of a websocket."""
    event = event_of(ValueError("no such room"), kind=kind)
    assert (event["exc_type"], event["exc_msg"]) == ("ValueError", "no such room")
    assert event["exc_loc"].endswith(":application")


@pytest.mark.parametrize("headers", [[], [(b"content-length", b"9")], iter(())])
def test_head_has_no_bytes(headers: Any, tmp_path: Path) -> None:
    """A HEAD has 0 bytes, and is ok if the server cancels the application after its head."""
    path = tmp_path / "file"
    path.write_bytes(b"whole")
    start = {**START, "headers": headers}
    sends = {"type": "http.response.pathsend", "path": str(path)}
    for messages in ((start, body(b"part", more_body=True), body(b"rest!")), (start, sends)):
        assert event_of(*messages, method="HEAD")["resp_bytes"] == 0
    event = event_of(start, body(b"part", more_body=True), asyncio.CancelledError(), method="HEAD")
    assert (event["resp_bytes"], event["resp_outcome"]) == (0, "ok")


def test_file_that_the_server_sends_counts(tmp_path: Path) -> None:
    """`pathsend` counts the file's size, `zerocopysend` the part that it names."""
    path = tmp_path / "file"
    path.write_bytes(b"0123456789")
    pathsend = {"type": "http.response.pathsend", "path": str(path)}
    assert event_of(START, pathsend)["resp_bytes"] == 10
    with path.open("rb") as file:
        part = {"type": "http.response.zerocopysend", "file": file}
        for more, size in (({}, 10), ({"offset": 4}, 6), ({"offset": 4, "count": 3}, 3)):
            assert event_of(START, {**part, **more})["resp_bytes"] == size
        assert event_of(START, {**part, "count": 99})["resp_bytes"] == 10


def test_text_frames_count_in_utf8() -> None:
    """Text frames count as the bytes of their UTF-8."""
    frames = [
        {"type": "websocket.send", "text": "\u00fc\u20ac\U0001f415"},
        {"type": "websocket.send", "text": "\udcff"},
        {"type": "websocket.send", "bytes": b"\x00\xff", "text": None},
        {"type": "websocket.send", "bytes": None, "text": "a"},
    ]
    event = event_of(ACCEPT, *frames, kind="websocket")
    assert event["resp_bytes"] == (2 + 3 + 4) + 3 + 2 + 1


@pytest.mark.parametrize(
    ("messages", "status"),
    [
        ((), 500),
        ((START,), 200),
        ((START, body(b"half", more_body=True)), 200),
        ((SIZED, body(b"hal", more_body=True)), 200),
        ((ValueError("before any response"),), 500),
        ((START, body(b"half", more_body=True), ValueError("broken off")), 200),
    ],
)
def test_incomplete_response_is_an_error(messages: Any, status: int) -> None:
    """An incomplete response is an error; without a head the server sends a 500."""
    event = event_of(*messages)
    assert (event["resp_status"], event["resp_outcome"]) == (status, "error")


@pytest.mark.parametrize(
    ("response", "rest"),
    [
        ((START, body(b"body")), ()),
        ((SIZED, body(b"bo", more_body=True), body(b"dy", more_body=True)), (body(),)),
    ],
)
def test_work_after_the_last_byte_is_no_response_time(
    response: Any, rest: Any, configure: Any
) -> None:
    """Work after the last byte has its own field, and does not make the request slow."""
    directory = configure(SLOW_AFTER=5)

    def an_hour_passes() -> None:
        record, active = slowhound.current(), process.get()
        assert record is not None
        assert active is not None
        record.started -= 3600
        active.watch.scan(time.monotonic())

    event = event_of(*response, an_hour_passes, *rest)
    assert event["resp_time"] < 5
    assert event["resp_after_time"] > 3600
    assert event["resp_bytes"] == 4
    assert "slow_after" not in event
    assert not list(directory.glob("reports/*"))
    event = event_of(an_hour_passes, *response, *rest)
    assert event["resp_time"] > 3600
    assert event["slow_after"] == 5


def test_messages_after_a_disconnect_are_not_counted() -> None:
    """Messages after a disconnect are not counted, for the server drops them."""

    async def application(scope: Any, receive: Any, send: Any) -> None:
        assert (await receive())["type"] == "http.disconnect"
        await send(SIZED)
        await send(body(b"body"))

    async def receive() -> dict[str, Any]:
        return {"type": "http.disconnect"}

    async def send(message: Any) -> None: ...

    scope = {"type": "http", "method": "GET", "path": "/", "query_string": b"", "headers": []}
    with capture_events() as events:
        asyncio.run(wrap(application)(scope, receive, send))
    (event,) = events
    assert (event["resp_outcome"], event["resp_status"]) == ("disconnect", 200)
    assert event.get("resp_bytes") == 0


def test_client_that_leaves_after_the_last_byte_is_no_disconnect() -> None:
    """A client that leaves after the declared number of bytes has received everything."""
    ends = asyncio.CancelledError()
    whole = event_of(SIZED, body(b"body", more_body=True), ends)
    assert (whole["resp_status"], whole["resp_bytes"], whole["resp_outcome"]) == (200, 4, "ok")
    part = event_of(SIZED, body(b"bod", more_body=True), ends)
    assert (part["resp_bytes"], part["resp_outcome"]) == (3, "cancelled")


seen: list[Any] = []


@slowhound.task
def task() -> None:
    """A background task within the request."""


async def streams(request: HttpRequest) -> StreamingHttpResponse:
    """Runs a task before its last byte and after it."""

    async def parts() -> AsyncIterator[bytes]:
        for part in (b"bo", b"dy", b""):
            task()
            seen.append(Context.get("id", namespace="req"))
            yield part

    return StreamingHttpResponse(parts(), headers={"Content-Length": "4"})


urlpatterns = [path("", streams)]


@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_request_is_current_to_the_end_of_its_body(method: str) -> None:
    """The request is current in the view's asyncio task, and in the outer one for its body."""
    seen.clear()

    async def receive() -> dict[str, Any]:
        if not asked:
            asked.append(1)
            return {"type": "http.request", "body": b"", "more_body": False}
        await asyncio.Event().wait()
        raise AssertionError("unreachable")

    async def send(message: Any) -> None:
        sent.append(message)

    asked: list[int] = []
    sent: list[Any] = []
    scope = {"type": "http", "method": method, "path": "/", "query_string": b"", "headers": []}
    with capture_events() as events, override_settings(ROOT_URLCONF=__name__):
        asyncio.run(wrap(ASGIHandler())(scope, receive, send))
    assert [each.get("body") for each in sent] == [None, b"bo", b"dy", b"", None]
    (event,) = (each for each in events if each["event_type"] == "request")
    assert seen == [event["req_id"]] * 3
    assert not in_flight
