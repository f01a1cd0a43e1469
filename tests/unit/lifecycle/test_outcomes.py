"""The outcome of a request follows from what was sent, and from what ended it."""

from __future__ import annotations

import asyncio
import contextvars
import gc
import pickle
import sys
import time
import weakref
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

import pytest
from asgiref.sync import markcoroutinefunction
from django.core.handlers.asgi import ASGIHandler
from django.http import HttpRequest, HttpResponse, StreamingHttpResponse
from django.middleware.gzip import GZipMiddleware
from django.test import Client, RequestFactory
from django.test.utils import override_settings
from django.urls import path

import slowhound
from slowhound.asgi import wrap
from slowhound.core.in_flight import current_record
from slowhound.core.record import Record
from slowhound.gunicorn import outcomes
from slowhound.middleware import SlowhoundMiddleware
from slowhound.recorder import completion
from slowhound.recorder.lost_responses import finish_lost
from slowhound.testing import capture_events
from tests.harness.gunicorn_worker import ask, sync_worker

OURS = "slowhound.middleware.SlowhoundMiddleware"
SCOPE = {"type": "http", "method": "GET", "path": "/", "query_string": b"", "headers": []}
kept: list[Any] = []


def fails_first() -> Iterator[bytes]:
    raise ValueError("before the first part")
    yield b""


def loses_its_backend() -> Iterator[bytes]:
    yield b"part"
    raise ConnectionResetError(104, "the cache's connection")


def first(request: HttpRequest) -> StreamingHttpResponse:
    return StreamingHttpResponse(fails_first())


def backend(request: HttpRequest) -> StreamingHttpResponse:
    return StreamingHttpResponse(loses_its_backend())


def plain(request: HttpRequest) -> HttpResponse:
    return HttpResponse("a" * 1000)


async def leaves(request: HttpRequest) -> HttpResponse:
    sys.exit(3)


async def waits(request: HttpRequest) -> HttpResponse:
    await asyncio.sleep(3600)
    return HttpResponse("late")


def keeps_its_context(request: HttpRequest) -> HttpResponse:
    kept.append(contextvars.copy_context())
    request.upload = kept_alive = Upload()  # type: ignore[attr-defined]
    kept.append(weakref.ref(kept_alive))
    return HttpResponse("ok")


class Upload:
    """An object that a request or a stream holds."""


urlpatterns = [
    path("first/", first),
    path("backend/", backend),
    path("plain/", plain),
    path("context/", keeps_its_context),
    path("leaves/", leaves),
    path("waits/", waits),
]


@pytest.fixture(autouse=True)
def _urls() -> Iterator[None]:
    kept.clear()
    with override_settings(ROOT_URLCONF=__name__):
        yield


class Limits:
    """Middleware in front, which does what the test has set."""

    async_capable, sync_capable = True, False
    limits: Any = None

    def __init__(self, get_response: Any) -> None:
        self.get_response = get_response
        markcoroutinefunction(self)

    async def __call__(self, request: Any) -> Any:
        return await Limits.limits(self.get_response, request)


async def serve(application: Any, scope: dict[str, Any]) -> None:
    """Serves one request without a body, whose client stays."""
    messages = [{"type": "http.request", "body": b""}]

    async def receive() -> dict[str, Any]:
        if not messages:
            await asyncio.Event().wait()
        return messages.pop()

    async def send(message: Any) -> None: ...

    await application(scope, receive, send)


@contextmanager
def one_event() -> Iterator[dict[str, Any]]:
    found: dict[str, Any] = {}
    with capture_events() as events:
        yield found
    (event,) = (each for each in events if each["event_type"] == "request")
    found.update(event)


def test_stream_that_fails_before_its_first_part_is_answered_by_the_server() -> None:
    """A stream that fails before its first part has a 500, for its head was not sent."""
    with sync_worker() as worker, one_event() as event:
        assert b"500 Internal Server Error" in ask(worker, "/first/")
    assert (event["resp_status"], event["resp_outcome"]) == (500, "error")
    with one_event() as event, suppress(ValueError):
        list(Client().get("/first/"))
    assert (event["resp_status"], event["resp_outcome"]) == (500, "error")


def test_broken_connection_to_a_backend_is_no_disconnect() -> None:
    """A broken connection to a database or a cache is an error, and no disconnect."""
    with sync_worker() as worker, one_event() as event:
        assert b"part" in ask(worker, "/backend/")
    assert (event["resp_outcome"], event["exc_type"]) == ("error", "ConnectionResetError")
    assert event["exc_loc"].endswith(":loses_its_backend")


def test_only_the_sync_worker_sends_a_response_after_sys_exit() -> None:
    """After ``sys.exit()`` only the sync worker sends a 500; others close the connection."""
    with sync_worker() as worker, one_event() as event, suppress(SystemExit):
        ask(worker, "/leaves/")
    assert (event["resp_status"], event["resp_outcome"]) == (500, "error")
    record = Record("GET", "/leaves/", 0.0)
    record.outcome = "error"
    outcomes.set_status_of_failure(record, None, SystemExit(3), object())
    assert record.status is None


def test_sys_exit_in_an_async_view_is_an_error() -> None:
    """``sys.exit()`` in an async view is an error, though its loop cancels all tasks."""
    with one_event() as event, suppress(SystemExit):
        asyncio.run(serve(wrap(ASGIHandler()), {**SCOPE, "path": "/leaves/"}))
    assert (event["resp_status"], event["resp_outcome"]) == (500, "error")
    assert event["exc_type"] == "SystemExit"


@pytest.mark.parametrize(("status", "outcome"), [(200, "ok"), (504, "error")])
def test_time_limit_in_front_has_the_outcome_of_its_response(status: int, outcome: str) -> None:
    """If middleware cancels the view and responds, the outcome is that of its response."""

    async def limits(get_response: Any, request: Any) -> HttpResponse:
        with suppress(TimeoutError):
            async with asyncio.timeout(0):
                await get_response(request)
        return HttpResponse("instead", status=status)

    with override_settings(MIDDLEWARE=[f"{__name__}.Limits", OURS]):
        Limits.limits = limits
        with one_event() as event:
            asyncio.run(serve(wrap(ASGIHandler()), {**SCOPE, "path": "/waits/"}))
    assert (event["resp_status"], event["resp_outcome"]) == (status, outcome)


async def awaits_what_it_has_cancelled() -> None:
    task = asyncio.ensure_future(asyncio.sleep(3600))
    task.cancel()
    await task


async def is_asked_to_end() -> None:
    task = asyncio.current_task()
    assert task is not None
    task.cancel()
    await asyncio.sleep(3600)


ENDS = [(awaits_what_it_has_cancelled, "error"), (is_asked_to_end, "cancelled")]


@pytest.mark.parametrize(("ends", "outcome"), ENDS)
def test_request_is_cancelled_only_from_outside(ends: Any, outcome: str) -> None:
    """Awaiting a task that the request itself has cancelled is an error."""

    async def application(scope: Any, receive: Any, send: Any) -> None:
        await ends()

    with one_event() as event, suppress(asyncio.CancelledError):
        asyncio.run(wrap(application)(SCOPE, None, None))
    assert event["resp_outcome"] == outcome
    assert event.get("exc_type") == ("CancelledError" if outcome == "error" else None)


@pytest.mark.parametrize(("ends", "outcome"), ENDS)
def test_task_is_cancelled_only_from_outside(ends: Any, outcome: str) -> None:
    """The same for background tasks."""
    with capture_events() as events, suppress(asyncio.CancelledError):
        asyncio.run(slowhound.task(ends)())
    assert [event["resp_outcome"] for event in events] == [outcome]


@pytest.mark.parametrize("head", [{"status": 304}, {"status": 204}, {"length": b"0"}], ids=str)
def test_response_without_a_body_is_whole_with_its_head(head: dict[str, Any]) -> None:
    """A response without a body is complete with its head, before the application ends it."""
    length = head.get("length")
    headers = [] if length is None else [(b"content-length", length)]

    async def application(scope: Any, receive: Any, send: Any) -> None:
        status = head.get("status", 200)
        await send({"type": "http.response.start", "status": status, "headers": headers})
        assert (await receive())["type"] == "http.disconnect"

    async def receive() -> dict[str, Any]:
        return {"type": "http.disconnect"}

    async def send(message: Any) -> None: ...

    with one_event() as event:
        asyncio.run(wrap(application)(SCOPE, receive, send))
    assert event["resp_outcome"] == "ok"


def test_frames_to_a_client_that_has_left_are_not_counted() -> None:
    """After a disconnect, servers drop what the application sends, so it is not counted."""
    received = [{"type": "websocket.connect"}, {"type": "websocket.disconnect"}]

    async def application(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        await send({"type": "websocket.accept"})
        await send({"type": "websocket.send", "text": "seen"})
        await receive()
        await send({"type": "websocket.send", "text": "not seen"})

    async def receive() -> dict[str, Any]:
        return received.pop(0)

    async def send(message: Any) -> None: ...

    with one_event() as event:
        asyncio.run(wrap(application)({**SCOPE, "type": "websocket"}, receive, send))
    assert event["resp_bytes"] == 4


class Busy(GZipMiddleware):
    """Changes the status and the body of the response in place."""

    def process_response(self, request: Any, response: Any) -> Any:
        response.status_code = 503
        return super().process_response(request, response)


@override_settings(MIDDLEWARE=[f"{__name__}.Busy", OURS])
def test_response_that_is_changed_in_place_is_recorded_as_it_was_sent() -> None:
    """A response that middleware changes in place is read again when it is closed."""
    with one_event() as event:
        response = Client(headers={"accept-encoding": "gzip"}).get("/plain/")
    assert response.headers["Content-Encoding"] == "gzip"
    assert (event["resp_status"], event["resp_bytes"]) == (503, len(response.content))


def test_pickled_response_has_nothing_of_slowhounds() -> None:
    """A pickled response has nothing of slowhound's, for another process may read it."""
    request = RequestFactory().get("/plain/")
    response = SlowhoundMiddleware(plain)(request)
    assert b"slowhound" not in pickle.dumps(response)
    pickle.loads(pickle.dumps(response)).close()
    response.close()


def dropped() -> weakref.ref[Upload]:
    """A reference to what a replaced stream holds."""
    held = Upload()

    def parts(own: Upload) -> Iterator[str]:
        yield str(own)

    stream = parts(held)
    SlowhoundMiddleware(lambda _: StreamingHttpResponse(stream))(RequestFactory().get("/stream/"))
    return weakref.ref(held)


def test_stream_that_is_dropped_frees_what_it_holds_at_once() -> None:
    """A dropped stream frees what it holds, such as a cursor, without a collection."""
    Client().get("/plain/")  # starts slowhound
    gc.disable()
    try:
        assert dropped()() is None
    finally:
        gc.enable()


def test_time_of_a_response_that_nobody_closes_ends_when_it_is_freed() -> None:
    """A response that is freed without a close ends its request at that moment."""
    with capture_events() as events:
        SlowhoundMiddleware(plain)(RequestFactory().get("/plain/"))
        active = slowhound.recorder.process.get()
        assert active is not None
        record = current_record.get()
        assert record is not None
        assert record.complete
        record.started -= 3600  # the hound finds it an hour later
        finish_lost(active.finish)
    (event,) = events
    assert event["resp_time"] < 3600
    assert "resp_after_time" not in event


def test_copied_context_does_not_keep_the_request() -> None:
    """A copied context, such as that of a connection on asyncio, does not keep the request."""
    assert Client().get("/context/").status_code == 200
    context, upload = kept
    gc.collect()
    assert upload() is None
    assert context[current_record].request is None


def lasts(request: HttpRequest) -> HttpResponse:
    kept.append(weakref.ref(request))
    record = slowhound.current()
    assert record is not None
    record.started -= 3600
    return HttpResponse("late")


urlpatterns.append(path("lasts/", lasts, name="lasts"))


def test_hound_that_reports_the_end_first_takes_nothing_from_the_event(
    configure: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """If the hound reports the end first, the event still has all fields, and is then freed."""
    configure(SLOW_AFTER=5)
    Client().get("/plain/")
    active = slowhound.recorder.process.get()
    assert active is not None
    active.hound.stop()
    terminal = completion.events.terminal

    def after_the_hound(record: Record, rate: float) -> Any:
        active.watch.scan(time.monotonic())
        return terminal(record, rate)

    monkeypatch.setattr(completion.events, "terminal", after_the_hound)
    with one_event() as event:
        Client().get("/lasts/")
    assert (event["resp_view"], event["resp_status"], event["slow_after"]) == ("lasts", 200, 5)
    active.watch.scan(time.monotonic())
    gc.collect()
    assert kept[0]() is None
