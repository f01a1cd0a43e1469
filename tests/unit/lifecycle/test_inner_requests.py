"""An application that requests another page of itself, in process, has two events."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import pytest
from asgiref.sync import sync_to_async
from django.core.handlers.asgi import ASGIHandler
from django.core.handlers.wsgi import WSGIHandler, WSGIRequest
from django.db import connection
from django.http import HttpRequest, HttpResponse, StreamingHttpResponse
from django.test import AsyncRequestFactory, Client, RequestFactory
from django.test.utils import override_settings
from django.urls import path

from slowhound import Context, current
from slowhound.asgi import wrap
from slowhound.config.from_django import get_config
from slowhound.core.in_flight import in_flight
from slowhound.recorder import process
from slowhound.testing import capture_events
from tests.harness.gunicorn_worker import ask, sync_worker

Ask = Callable[[HttpRequest], object]
kept: list[Any] = []
gates: list[asyncio.Event] = []


def inner(request: HttpRequest) -> HttpResponse:
    query()
    return HttpResponse("inner", status=404)


def inner_stream(request: HttpRequest) -> StreamingHttpResponse:
    query()
    return StreamingHttpResponse([b"in", b"ner"])


async def inner_later(request: HttpRequest) -> HttpResponse:
    await asyncio.sleep(0)
    return HttpResponse("inner", status=404)


async def waits(request: HttpRequest) -> HttpResponse:
    await gates[-1].wait()
    return HttpResponse("inner")


def query() -> None:
    with connection.cursor() as cursor:
        cursor.execute("SELECT 1")


def get(address: str) -> Any:
    return WSGIHandler().get_response(RequestFactory().get(address))


def is_not_closed(request: HttpRequest) -> None:
    assert get("/inner/").content == b"inner"


def is_kept(request: HttpRequest) -> None:
    kept.append(get("/inner/"))


def is_closed(request: HttpRequest) -> None:
    get("/inner/").close()


def by_client(request: HttpRequest) -> None:
    assert Client().get("/inner/").content == b"inner"


def of_copied_environ(request: WSGIRequest) -> None:
    again = WSGIRequest({**request.environ, "PATH_INFO": "/inner/"})
    WSGIHandler().get_response(again).close()


def stream_is_read(request: HttpRequest) -> None:
    assert b"".join(get("/inner-stream/")) == b"inner"


def stream_is_kept(request: HttpRequest) -> None:
    kept.append(get("/inner-stream/"))


ASKS: dict[str, Ask] = {
    each.__name__: each  # type: ignore[attr-defined]
    for each in (
        is_not_closed,
        is_kept,
        is_closed,
        by_client,
        of_copied_environ,
        stream_is_read,
        stream_is_kept,
    )
}


def outer(request: HttpRequest, how: str) -> HttpResponse:
    """Makes an inner request, and then goes on with its own work."""
    ASKS[how](request)
    for _ in range(3):
        query()
    Context.set("who", "outer")
    return HttpResponse("outer of all")


def assembled(request: WSGIRequest) -> StreamingHttpResponse:
    """A body made of other pages."""

    def parts() -> Iterator[bytes]:
        query()
        yield b"outer "
        again = WSGIRequest({**request.environ, "PATH_INFO": "/inner/"})
        got = WSGIHandler().get_response(again)
        yield got.content
        got.close()
        query()
        Context.set("who", "outer")
        query()
        yield b"."

    return StreamingHttpResponse(parts())


async def assembled_later(request: Any) -> StreamingHttpResponse:
    async def parts() -> AsyncIterator[bytes]:
        yield b"outer"
        await serve(application, {**request.scope, "path": "/inner-later/"})
        Context.set("who", "outer")
        yield b"."

    return StreamingHttpResponse(parts())


async def outer_later(request: Any, how: str) -> HttpResponse:
    """The same under ASGI, with two inner requests at once."""
    scopes = {
        "copied": lambda: {**request.scope, "path": "/inner-later/", "raw_path": b"/inner-later/"},
        "forwarded": lambda: {**scope_of("/inner-later/"), "headers": request.scope["headers"]},
    }
    await asyncio.gather(*(serve(application, scopes[how]()) for _ in range(2)))
    Context.set("who", "outer")
    return HttpResponse("outer of all")


urlpatterns = [
    path("inner/", inner),
    path("inner-stream/", inner_stream),
    path("inner-later/", inner_later),
    path("api/inner-later/", inner_later),
    path("waits/", waits),
    path("outer/assembled/", assembled),
    path("assembled-later/", assembled_later),
    path("outer/<how>/", outer),
    path("outer-later/<how>/", outer_later),
]


async def application(scope: Any, receive: Any, send: Any) -> None:
    await wrap(ASGIHandler())(scope, receive, send)


def scope_of(address: str, kind: str = "http") -> dict[str, Any]:
    return {
        "type": kind,
        "method": "GET",
        "path": address,
        "raw_path": address.encode(),
        "query_string": b"",
        "headers": [(b"host", b"testserver")],
    }


def client_that_stays(kind: str = "http") -> Any:
    """Receives an empty body, and then no more messages."""
    asked = False

    async def receive() -> dict[str, Any]:
        nonlocal asked
        if asked and kind == "http":
            await asyncio.Event().wait()
        asked = True
        return {"type": f"{kind}.request", "body": b""}

    return receive


async def serve(app: Any, scope: Any) -> None:
    """Serves a request as an ASGI server does."""

    async def send(message: Any) -> None:
        await asyncio.sleep(0)

    await app(scope, client_that_stays(scope["type"]), send)


@pytest.fixture(autouse=True)
def _urls() -> Iterator[None]:
    kept.clear()
    with override_settings(ROOT_URLCONF=__name__):
        yield


def check(events: list[dict[str, Any]], how: str) -> None:
    """Checks that each request has one event with its own counts."""
    assert not in_flight
    assert current() is None
    named = {event["req_path"]: event for event in events}
    own = named.pop(f"/outer/{how}/")
    ((address, other),) = named.items()
    assert len(events) == 2
    assert (own["db_queries"], own["app_who"]) == (3, "outer")
    assert (own["resp_status"], own["resp_bytes"]) == (200, 12)
    size = 0 if how == "stream_is_kept" else 5
    assert (other["db_queries"], other["resp_bytes"]) == (1, size), address
    assert "app_who" not in other


@pytest.mark.parametrize("how", ASKS)
def test_work_after_an_inner_request_counts_for_the_outer_one(how: str) -> None:
    """The outer request goes on after an inner one, even if that response is never closed."""
    with capture_events() as events:
        assert Client().get(f"/outer/{how}/").content == b"outer of all"
    check(events, how)


@pytest.mark.parametrize("how", ASKS)
def test_the_same_under_gunicorn(how: str) -> None:
    """Under Gunicorn an inner request does not take the server's record."""
    with capture_events() as events, sync_worker() as worker:
        process.start(get_config())
        assert b"outer of all" in ask(worker, f"/outer/{how}/")
    check(events, how)


@pytest.mark.parametrize("server", ["none", "gunicorn"])
def test_body_that_is_made_of_other_pages(server: str) -> None:
    """Pages that are requested while a body is sent have their own events."""
    with capture_events() as events:
        if server == "none":
            assert Client().get("/outer/assembled/").getvalue() == b"outer inner."
        else:
            with sync_worker() as worker:
                process.start(get_config())
                assert b"inner" in ask(worker, "/outer/assembled/")
    check(events, "assembled")


def test_body_of_asgi_that_is_made_of_other_pages() -> None:
    """The same under ASGI, with a copy of the scope."""
    with capture_events() as events:
        asyncio.run(serve(application, scope_of("/assembled-later/")))
    inner, outer = events
    assert (inner["req_path"], inner["resp_bytes"]) == ("/inner-later/", 5)
    assert (outer["req_path"], outer["resp_bytes"]) == ("/assembled-later/", 6)
    assert outer["app_who"] == "outer"


def test_inner_request_that_goes_on_after_the_outer_one() -> None:
    """An inner request ends, even if its response is kept for longer than the outer one."""
    done: list[asyncio.Task[Any]] = []

    async def warms(scope: Any, receive: Any, send: Any) -> None:
        async def warm() -> None:
            request = AsyncRequestFactory().get("/waits/")
            kept.append(await ASGIHandler().get_response_async(request))

        done.append(asyncio.create_task(warm()))
        while len(in_flight) == 1:  # noqa: ASYNC110
            await asyncio.sleep(0)
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"outer"})

    async def both() -> None:
        gates.append(asyncio.Event())
        await serve(wrap(warms), scope_of("/warms/"))
        gates[-1].set()
        await done[0]

    with capture_events() as events:
        asyncio.run(both())
    assert [event["req_path"] for event in events] == ["/warms/", "/waits/"]
    assert not in_flight


@pytest.mark.parametrize("how", ["copied", "forwarded"])
def test_asgi_application_that_calls_itself_has_an_event_for_each(how: str) -> None:
    """An inner ASGI request has its event, with a copied scope or with copied headers."""
    with capture_events() as events:
        asyncio.run(serve(application, scope_of(f"/outer-later/{how}/")))
    assert sorted(event["req_path"] for event in events) == [
        "/inner-later/",
        "/inner-later/",
        f"/outer-later/{how}/",
    ]
    own = events[-1]
    assert (own["resp_status"], own["resp_bytes"], own["app_who"]) == (200, 12, "outer")
    assert not in_flight


async def route(scope: Any, receive: Any, send: Any) -> None:
    """An ASGI route that is not Django's, and makes a request to Django."""
    await receive()
    if scope["type"] == "websocket":
        await send({"type": "websocket.accept"})
    for _ in range(2):
        await sync_to_async(Client().post)("/inner/")
    if scope["type"] == "http":
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"route"})


@pytest.mark.parametrize(("kind", "method"), [("http", "GET"), ("websocket", "WEBSOCKET")])
def test_inner_request_of_another_framework_has_its_event(kind: str, method: str) -> None:
    """A request that a FastAPI route or a Channels consumer makes is an inner one."""
    with capture_events() as events:
        asyncio.run(serve(wrap(route), scope_of("/route/", kind)))
    found = sorted((event["req_method"], event["req_path"]) for event in events)
    assert found == sorted([("POST", "/inner/"), ("POST", "/inner/"), (method, "/route/")])
    assert not in_flight


def changes(app: Any, **changed: Any) -> Any:
    """Passes on a copy with another method or prefix, and the same list of headers."""

    async def middleware(scope: Any, receive: Any, send: Any) -> None:
        await app({**scope, **changed}, receive, send)

    return middleware


def adds_a_header(app: Any, *, prefix: str = "") -> Any:
    """A middleware that changes a copy of the scope, as ASGI requires."""

    async def middleware(scope: Any, receive: Any, send: Any) -> None:
        headers = [*scope["headers"], (b"x-correlation-id", b"1")]
        address = scope["path"].removeprefix(prefix)
        scope = {**scope, "headers": headers, "path": address, "raw_path": address.encode()}
        await app(scope, receive, send)

    return middleware


def tries_twice(app: Any) -> Any:
    """A middleware that sends its request twice, each time with another header."""

    async def middleware(scope: Any, receive: Any, send: Any) -> None:
        async def dropped(message: Any) -> None: ...

        for number, answer in enumerate((dropped, send)):
            headers = [*scope["headers"], (b"x-attempt", b"%d" % number)]
            await app({**scope, "headers": headers}, client_that_stays(), answer)

    return middleware


@pytest.mark.parametrize(
    ("app", "address"),
    [
        (wrap(adds_a_header(wrap(ASGIHandler()))), "/inner-later/"),
        (wrap(adds_a_header(ASGIHandler(), prefix="/api")), "/api/inner-later/"),
        (wrap(adds_a_header(wrap(ASGIHandler()), prefix="/api")), "/api/inner-later/"),
        (wrap(changes(ASGIHandler(), method="PUT")), "/inner-later/"),
        (wrap(changes(ASGIHandler(), path="/api/inner-later/")), "/inner-later/"),
        (wrap(changes(ASGIHandler(), path="/inner-later/")), "/inner-later"),
        (wrap(changes(ASGIHandler(), path="/inner-later/")), "/de/produkte/7/"),
        (wrap(tries_twice(ASGIHandler())), "/inner-later/"),
    ],
    ids=[
        *("header", "prefix", "prefix, wrapped again", "method", "prefix added", "slash"),
        *("another path", "retried"),
    ],
)
def test_copied_scope_is_the_same_request(app: Any, address: str) -> None:
    """A copied scope with another header, method, path or prefix is the same request."""
    with capture_events() as events:
        asyncio.run(serve(app, scope_of(address)))
    (event,) = events
    assert (event["resp_status"], event["resp_bytes"]) == (404, 5)
    assert event["resp_view"] == f"{__name__}.inner_later"
    assert not in_flight


def mounted(request: WSGIRequest) -> HttpResponse:
    """Passes its whole request to the application that it is part of."""
    if "again" in request.environ:
        return HttpResponse("inner", status=404)
    got = WSGIHandler().get_response(WSGIRequest({**request.environ, "again": True}))
    got.close()
    query()
    return HttpResponse("outer of all")


urlpatterns.append(path("mounted/", mounted))


def test_application_that_is_mounted_in_itself_has_one_event() -> None:
    """An application mounted in itself has one event, with the outer response."""
    with capture_events() as events:
        assert Client().get("/mounted/").status_code == 200
    (event,) = events
    assert (event["resp_status"], event["resp_bytes"], event["db_queries"]) == (200, 12, 1)


def filtered(request: WSGIRequest) -> HttpResponse:
    """Requests its own page with another query string."""
    if request.GET.get("page") == "2":
        return HttpResponse("inner", status=404)
    again = WSGIRequest({**request.environ, "QUERY_STRING": "page=2"})
    WSGIHandler().get_response(again).close()
    return HttpResponse("outer of all")


urlpatterns.append(path("filtered/", filtered))


def test_own_page_with_another_query_is_another_request() -> None:
    """A copy of the environ with another query string is a separate request."""
    with capture_events() as events:
        Client().get("/filtered/")
    assert [event["resp_status"] for event in events] == [404, 200]


def fails(request: HttpRequest) -> HttpResponse:
    raise LookupError("inner")


def calls_one_that_fails(request: WSGIRequest) -> HttpResponse:
    """Calls a handler without slowhound's middleware, as one of an embedded application."""
    asked = RequestFactory().get("/fails/")
    again = WSGIRequest({**request.environ, "PATH_INFO": "/fails/"})
    with override_settings(MIDDLEWARE=[]):
        handler = WSGIHandler()
    return HttpResponse(str([handler.get_response(each).status_code for each in (asked, again)]))


urlpatterns += [path("fails/", fails), path("calls/", calls_one_that_fails)]


def test_exception_of_an_inner_request_without_a_record_is_not_the_outer_ones() -> None:
    """The exception of an unrecorded inner request is not in the outer event."""
    with capture_events() as events:
        response = Client(raise_request_exception=False).get("/calls/")
    assert response.content == b"[500, 500]"
    (event,) = events
    assert (event["resp_status"], event.get("exc_type")) == (200, None)
