"""The middleware counts the bytes of a stream, and notices when the response is complete."""

from __future__ import annotations

import asyncio
import io
from collections.abc import AsyncIterator, Iterator
from contextlib import suppress
from typing import Any

import pytest
from django.http import FileResponse, HttpResponse, StreamingHttpResponse
from django.test import RequestFactory

import slowhound
from slowhound import Context
from slowhound.core.in_flight import in_flight
from slowhound.middleware import SlowhoundMiddleware
from slowhound.testing import capture_events

SIZED = {"Content-Length": "4"}
AN_HOUR = 3600


def an_hour_passes() -> None:
    record = slowhound.current()
    assert record is not None
    record.started -= AN_HOUR


def parts() -> Iterator[bytes]:
    yield b"bo"
    yield b"dy"
    an_hour_passes()


async def parts_later() -> AsyncIterator[bytes]:
    for part in parts():
        await asyncio.sleep(0)
        yield part


def event_of(response: Any, asked: int | None = None, method: str = "GET") -> dict[str, Any]:
    """The event of a response of which the server reads this many parts, or all."""
    request = RequestFactory().generic(method, "/")
    with capture_events() as events:
        answer = SlowhoundMiddleware(lambda request: response)(request)
        if getattr(answer, "is_async", False):
            asyncio.run(read_later(answer, asked))
        else:
            body = iter(answer)
            for _ in range(asked) if asked is not None else body:
                if asked is not None:
                    next(body)
        answer.close()
    assert not in_flight
    (event,) = (each for each in events if each["event_type"] == "request")
    return event


async def read_later(answer: Any, asked: int | None) -> None:
    """Reads as Django does; then the task is cancelled."""
    body = aiter(answer)
    if asked is None:
        async for _ in body:
            pass
        return
    for _ in range(asked):
        await anext(body)
    task = asyncio.ensure_future(anext(body))
    await asyncio.sleep(0)
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task


@pytest.mark.parametrize("source", [parts, parts_later])
def test_response_is_whole_with_as_many_bytes_as_were_declared(source: Any) -> None:
    """With a declared length the response ends at that many bytes; else at its close."""
    event = event_of(StreamingHttpResponse(source(), headers=SIZED))
    assert event["resp_time"] < AN_HOUR <= event["resp_after_time"]
    assert (event["resp_bytes"], event["resp_outcome"]) == (4, "ok")
    event = event_of(StreamingHttpResponse(source()))
    assert event["resp_time"] > AN_HOUR
    assert "resp_after_time" not in event


@pytest.mark.parametrize(("source", "outcome"), [(parts, "disconnect"), (parts_later, "cancelled")])
def test_head_is_whole_without_a_body(source: Any, outcome: str) -> None:
    """A HEAD has 0 bytes, and is no disconnect if the server does not read the whole body."""
    for asked in (None, 0, 1):
        event = event_of(StreamingHttpResponse(source()), asked, method="HEAD")
        assert (event["resp_bytes"], event["resp_outcome"]) == (0, "ok")
    event = event_of(StreamingHttpResponse(source()), 1)
    assert (event["resp_bytes"], event["resp_outcome"]) == (2, outcome)


def test_head_of_a_file_has_no_bytes() -> None:
    """The HEAD of a file has no bytes; a GET has the file's size, without reading it."""
    for method, size in (("GET", 4), ("HEAD", 0)):
        response = FileResponse(iter([b"body"]), headers=SIZED)
        assert event_of(response, method=method)["resp_bytes"] == size


@pytest.mark.parametrize("closes", ["file", "closer"])
def test_closing_after_the_last_byte_is_no_response_time(closes: str) -> None:
    """Work after the last byte, such as closing a file or an upstream, is no response time."""

    class File(io.BytesIO):
        def close(self) -> None:
            if not self.closed:
                an_hour_passes()
            super().close()

    if closes == "file":
        response: Any = FileResponse(File(b"body"))
    else:
        response = HttpResponse(b"body")
        response._resource_closers.append(an_hour_passes)
    event = event_of(response)
    assert event["resp_time"] < AN_HOUR <= event["resp_after_time"]
    assert event["resp_bytes"] == 4


@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_request_is_current_to_the_end_of_its_body(method: str) -> None:
    """After a task that runs before or after the last byte, the request is current again."""
    ids: list[Any] = []

    def with_tasks() -> Iterator[bytes]:
        for part in (b"bo", b"dy", b""):
            slowhound.task(lambda: None)()
            ids.append(Context.get("id", namespace="req"))
            yield part

    response = StreamingHttpResponse(with_tasks(), headers=SIZED)
    event = event_of(response, method=method)
    assert ids == [event["req_id"]] * 3
