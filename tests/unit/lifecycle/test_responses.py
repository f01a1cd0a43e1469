"""Responses of any kind end their record once, with the right status, size and time."""

from __future__ import annotations

import contextlib
import contextvars
import copy
import gc
import io
import json
import sys
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from django.core.wsgi import get_wsgi_application
from django.http import (
    FileResponse,
    HttpRequest,
    HttpResponse,
    HttpResponseNotAllowed,
    HttpResponseNotModified,
    HttpResponseRedirect,
    JsonResponse,
    StreamingHttpResponse,
)
from django.http.response import HttpResponseBase
from django.template import engines
from django.template.response import SimpleTemplateResponse
from django.test import Client, RequestFactory
from django.test.utils import override_settings
from django.urls import path

from slowhound import current
from slowhound.core.in_flight import in_flight
from slowhound.lifecycle.responses import size_of
from slowhound.middleware import SlowhoundMiddleware
from slowhound.recorder import process
from slowhound.recorder.lost_responses import finish_lost
from slowhound.system import guard
from slowhound.testing import capture_events

OURS = "slowhound.middleware.SlowhoundMiddleware"
ran: list[str] = []
SHARED: list[HttpResponse] = []


class OwnContent(HttpResponse):
    """A response class of the application, which records each access."""

    @property
    def content(self) -> bytes:  # type: ignore[override]
        ran.append("content")
        return b"".join(self)

    @content.setter
    def content(self, value: Any) -> None:
        HttpResponse.content.fset(self, value)  # type: ignore[attr-defined]


class OwnStatus(HttpResponse):
    @property  # type: ignore[misc]
    def status_code(self) -> int:  # type: ignore[override]
        ran.append("status")
        return 200

    @status_code.setter
    def status_code(self, value: int) -> None: ...


class OwnStream(HttpResponseBase):
    streaming = True

    def __iter__(self) -> Iterator[bytes]:
        return iter([b"own"])


class OwnParts(StreamingHttpResponse):
    def __iter__(self) -> Iterator[bytes]:
        return iter([b"own"])


class Lines(StreamingHttpResponse):
    """A stream whose parts are objects."""

    def make_bytes(self, value: Any) -> bytes:
        return json.dumps(value).encode()


class Loud(StreamingHttpResponse):
    """A stream that wraps its parts when they are set."""

    def _set_streaming_content(self, value: Any) -> None:
        super()._set_streaming_content(part + b"!" for part in value)  # type: ignore[misc]


class LimitError(BaseException):
    """Like gevent's Timeout: not an Exception."""


def stops() -> Iterator[bytes]:
    yield b"a"
    raise LimitError


def late() -> Iterator[bytes]:
    record = current()
    assert record is not None
    record.started -= 3600  # an hour passes
    yield b"late"


class Broken(io.BytesIO):
    """A file on a failing disk."""

    def read(self, size: int | None = -1, /) -> bytes:
        if self.tell() > 4096:
            raise OSError(5, "Input/output error")
        return super().read(size)


def lazily() -> SimpleTemplateResponse:
    return SimpleTemplateResponse(engines["django"].from_string("hello"))


VIEWS: dict[str, Callable[[], Any]] = {
    "content": lambda: OwnContent(b"own"),
    "status": lambda: OwnStatus(b"own"),
    "stream": OwnStream,
    "parts": lambda: OwnParts([b"other"]),
    "ok": lambda: HttpResponse(b"ok"),
    "lines": lambda: Lines(iter([{"a": 1}])),
    "loud": lambda: Loud([b"a", b"b"]),
    "exits": lambda: sys.exit(1),
    "better": lambda: (
        HttpResponse(b"good", status=202) if len(ran) == 1 else HttpResponse(status=503)
    ),
    "slow stream": lambda: StreamingHttpResponse(late()),
    "plain, then stream": lambda: (
        HttpResponse() if len(ran) == 1 else StreamingHttpResponse(late())
    ),
    "stops": lambda: StreamingHttpResponse(stops()),
    "file": lambda: FileResponse(io.BytesIO(b"file")),
    "broken": lambda: FileResponse(Broken(bytes(10000))),
    "shared": lambda: SHARED[0],
}


def view(request: HttpRequest, name: str) -> Any:
    ran.append("view")
    return VIEWS[name]()


urlpatterns = [path("<name>/", view, name="named")]


def renders(get_response: Callable[[HttpRequest], Any]) -> Any:
    """In front of slowhound's: renders a response that is not rendered yet."""

    def middleware(request: HttpRequest) -> Any:
        response = get_response(request)
        return response.render() if hasattr(response, "render") else response

    return middleware


def answers_lazily(get_response: Callable[[HttpRequest], Any]) -> Any:
    return lambda request: lazily()


def copies(get_response: Callable[[HttpRequest], Any]) -> Any:
    return lambda request: get_response(copy.copy(request))


def forgets(get_response: Callable[[HttpRequest], Any]) -> Any:
    return lambda request: get_response(request) and None


def runs_again(get_response: Callable[[HttpRequest], Any]) -> Any:
    """In front of slowhound's: closes the first response, and runs the view again."""

    def middleware(request: HttpRequest) -> Any:
        get_response(request).close()
        gc.collect()
        active = process.get()
        assert active is not None
        finish_lost(active.finish)  # as the hound may do at any time
        return get_response(request)

    return middleware


def answers_instead(get_response: Callable[[HttpRequest], Any]) -> Any:
    """In front of slowhound's: drops the response, and sends another one."""

    def middleware(request: HttpRequest) -> Any:
        get_response(request).close()
        return HttpResponse("instead")

    return middleware


def sends_the_first(get_response: Callable[[HttpRequest], Any]) -> Any:
    """In front of slowhound's: runs the view twice, and sends the first response."""

    def middleware(request: HttpRequest) -> Any:
        responses = [get_response(request) for _ in range(2)]
        return min(responses, key=lambda each: each.status_code)

    return middleware


def sends_the_second(get_response: Callable[[HttpRequest], Any]) -> Any:
    return lambda request: (get_response(request), get_response(request))[1]


def fails_after(get_response: Callable[[HttpRequest], Any]) -> Any:
    """In front of slowhound's: fails, and keeps its exception, as a debug page does."""

    def middleware(request: HttpRequest) -> Any:
        response = get_response(request)
        try:
            raise ValueError(response.status_code)
        except ValueError as exc:
            failures.append(exc)
            raise

    return middleware


failures: list[Exception] = []


@pytest.fixture(autouse=True)
def _urls() -> Iterator[None]:
    ran.clear()
    SHARED[:] = [HttpResponse(b"up")]
    with override_settings(ROOT_URLCONF=__name__, MIDDLEWARE=[OURS]):
        yield


def in_front(name: str) -> Any:
    return override_settings(MIDDLEWARE=[f"{__name__}.{name}", OURS])


def inside(name: str) -> Any:
    return override_settings(MIDDLEWARE=[OURS, f"{__name__}.{name}"])


def served(address: str, method: str = "GET", wrapper: Any = None) -> bytes:
    """The body as a WSGI server sends it: it is always closed."""
    environ = RequestFactory().generic(method, address).environ
    if wrapper is not None:
        environ["wsgi.file_wrapper"] = wrapper
    response = get_wsgi_application()(environ, lambda *_: None)
    try:
        return b"".join(response)
    finally:
        if hasattr(response, "close"):
            response.close()


def event_of(address: str, **how: Any) -> dict[str, Any]:
    with capture_events() as events:
        with contextlib.suppress(LimitError, OSError):
            served(address, **how)
        assert not in_flight
    (event,) = (each for each in events if each["event_type"] == "request")
    assert guard.total == 0
    return event


@pytest.mark.parametrize(
    ("name", "runs", "status", "size"),
    [
        ("content", ["view"], 200, None),
        ("stream", ["view"], 200, None),
        ("parts", ["view"], 200, None),
        ("lines", ["view"], 200, None),
        ("loud", ["view"], 200, None),
    ],
)
def test_response_class_of_the_application(
    name: str, runs: list[str], status: int, size: int | None
) -> None:
    """No code of a response class runs for slowhound; what would need it is left out."""
    event = event_of(f"/{name}/")
    assert ran == runs
    assert (event["resp_status"], event.get("resp_bytes")) == (status, size)
    assert event["resp_outcome"] == "ok"


@pytest.mark.parametrize(("name", "body"), [("lines", b'{"a": 1}'), ("loud", b"a!b!")])
def test_body_of_a_response_class_is_made_once(name: str, body: bytes) -> None:
    """A body that a class makes in its own way is made once, as without slowhound."""
    assert served(f"/{name}/") == body


def test_status_that_is_a_property_is_not_read() -> None:
    """Only Django reads a status that is a property."""
    response = OwnStatus(b"own")
    with capture_events() as events:
        SlowhoundMiddleware(lambda _: response)(RequestFactory().get("/")).close()
    assert ran == []
    assert events[0].get("resp_status") is None


@pytest.mark.parametrize(
    ("made", "size"),
    [
        (HttpResponse, 0),
        (HttpResponseNotModified, 0),
        (lambda: HttpResponseNotAllowed(["GET"]), 0),
        (lambda: HttpResponseRedirect("/"), 0),
        (lambda: JsonResponse({}), 2),
        (lambda: lazily().render(), 5),
    ],
    ids=["plain", "304", "405", "302", "json", "template"],
)
def test_djangos_classes_have_their_size(made: Callable[[], Any], size: int) -> None:
    """Django's own classes have a size, also those whose content cannot be set."""
    assert size_of(made()) == size


@pytest.mark.parametrize("times", [1, 12])
def test_response_that_is_rendered_by_middleware_in_front(times: int) -> None:
    """A response that is rendered by middleware in front has its final size."""
    with (
        override_settings(MIDDLEWARE=[f"{__name__}.renders", OURS, f"{__name__}.answers_lazily"]),
        capture_events() as events,
    ):
        for _ in range(times):
            assert Client().get("/ok/").content == b"hello"
    assert [event["resp_bytes"] for event in events] == [5] * times
    assert guard.total == 0


@pytest.mark.parametrize("what", [None, "text"])
def test_what_is_no_response(what: Any) -> None:
    """A return value that is no response ends the request; the server sends a 500."""
    with capture_events() as events:
        assert SlowhoundMiddleware(lambda _: what)(RequestFactory().get("/")) is what
    assert [event["resp_outcome"] for event in events] == ["error"]
    assert not in_flight


@pytest.mark.parametrize("name", ["stops", "broken"])
def test_body_that_breaks_off_is_an_error(name: str) -> None:
    """A body that ends with a BaseException or an unreadable file is an error."""
    event = event_of(f"/{name}/")
    assert event["resp_outcome"] == "error"
    assert event["exc_type"] in (f"{__name__}.LimitError", "LimitError", "OSError")
    assert event["resp_bytes"] < 10000


class Sends:
    """A server's file wrapper: the file's parts do not pass through Django."""

    def __init__(self, file: Any, size: int) -> None:
        self.file, self.size = file, size
        self.close = file.close

    def __iter__(self) -> Iterator[bytes]:
        return iter(lambda: self.file.read(self.size), b"")


def test_file_that_the_server_sends() -> None:
    """A file that the server sends is passed on unchanged, and counted as a whole."""
    assert served("/file/", wrapper=Sends) == b"file"
    event = event_of("/file/", wrapper=Sends)
    assert (event["resp_bytes"], event["resp_outcome"]) == (4, "ok")
    assert event_of("/broken/", wrapper=Sends)["resp_outcome"] == "error"
    assert event_of("/file/", wrapper=Sends, method="HEAD")["resp_bytes"] == 0


def test_response_that_is_sent_to_several() -> None:
    """Where one response object is sent to several requests, each ends with its own close."""
    count, threads = 300, 4
    application = get_wsgi_application()
    paths = [f"/shared/?{number}" for number in range(count * threads)]

    def work(mine: list[str]) -> None:
        for address in mine:
            response = application(RequestFactory().get(address).environ, lambda *_: None)
            assert b"".join(response) == b"up"
            response.close()

    with capture_events() as events:
        several = [threading.Thread(target=work, args=(paths[at::threads],)) for at in range(4)]
        for each in several:
            each.start()
        for each in several:
            each.join()
    assert len(events) == len(paths)
    assert not in_flight


def test_close_of_a_shared_response_is_that_of_the_request_that_is_closed() -> None:
    """A close ends its own request while another one is still being sent."""
    first, second = threading.Event(), threading.Event()
    application = get_wsgi_application()

    def sends() -> None:
        response = application(RequestFactory().get("/shared/").environ, lambda *_: None)
        first.set()
        assert second.wait(60)
        response.close()

    with capture_events() as events:
        thread = threading.Thread(target=sends)
        thread.start()
        assert first.wait(60)
        served("/shared/?other")
        assert len(events) == 1
        second.set()
        thread.join()
    assert len(events) == 2
    assert not in_flight


def test_response_that_is_closed_and_dropped_is_no_end() -> None:
    """A response that is closed and dropped ends nothing: the event has what was sent."""
    for _ in range(2):
        with in_front("runs_again"):
            event = event_of("/ok/")
        assert ran == ["view", "view"]
        assert (event["resp_status"], event["resp_bytes"]) == (200, 2)
        ran.clear()


def test_response_that_is_replaced_by_another_one() -> None:
    """The record ends when the other response, sent in its place, is closed."""
    with in_front("answers_instead"), capture_events() as events:
        assert Client().get("/ok/").content == b"instead"
        assert len(events) == 1
    assert not in_flight


def test_first_of_two_responses_is_sent() -> None:
    """If the first of two responses is sent, the event has that one."""
    with in_front("sends_the_first"):
        event = event_of("/better/")
    assert (event["resp_status"], event["resp_bytes"], event["resp_outcome"]) == (202, 4, "ok")


def test_first_byte_is_of_the_response_that_is_sent() -> None:
    """The first byte is that of the response that is sent, not of an earlier one."""
    with in_front("sends_the_second"):
        event = event_of("/plain, then stream/")
    assert event["resp_ttfb"] >= 3600


def test_middleware_in_front_that_fails() -> None:
    """If middleware in front fails, the request ends with Django's own response."""
    with in_front("fails_after"):
        event = event_of("/ok/")
    failures.clear()
    assert (event["resp_status"], event["resp_outcome"]) == (500, "error")
    assert event["exc_type"] == "ValueError"


def test_view_that_raises_a_base_exception() -> None:
    """A view that raises a BaseException has an error, with the exception's name."""
    with capture_events() as events, pytest.raises(SystemExit):
        served("/exits/")
    assert (events[0]["resp_outcome"], events[0]["exc_type"]) == ("error", "SystemExit")


def test_file_that_another_thread_sends() -> None:
    """A file may be closed after the next request of its thread has begun, as in waitress."""
    application = get_wsgi_application()

    def ask(address: str) -> Any:
        environ = {**RequestFactory().get(address).environ, "wsgi.file_wrapper": Sends}
        return application(environ, lambda *_: None)

    with capture_events() as events:
        file, response = ask("/file/"), ask("/slow stream/")
        contextvars.Context().run(file.close)
        assert b"".join(response) == b"late"
        response.close()
    assert [each["resp_bytes"] for each in events] == [4, 4]
    assert [each["resp_time"] >= 3600 for each in events] == [False, True]
    assert not in_flight


def test_copy_of_the_request_is_resolved() -> None:
    """If middleware passes on a copy of the request, the event has its view and route."""
    with inside("copies"):
        event = event_of("/ok/")
    assert (event["resp_view"], event["req_route"]) == ("named", "<name>/")


def test_middleware_that_forgets_the_response() -> None:
    """A middleware that returns nothing is an error, as Django has it."""
    with inside("forgets"), capture_events() as events, pytest.raises(AttributeError):
        served("/ok/")
    assert len(events) == 1
    assert not in_flight


def test_another_receiver_that_fails_keeps_no_request_in_flight() -> None:
    """If another receiver of Django's signal fails, the record has ended before."""
    from django.core.signals import request_finished

    def fails(**_: object) -> None:
        raise ValueError

    with capture_events() as events:
        request_finished.connect(fails)
        try:
            with pytest.raises(ValueError):
                served("/ok/")
        finally:
            request_finished.disconnect(fails)
    assert len(events) == 1


@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_stream_that_flows_makes_progress(method: str) -> None:
    """A stream that yields parts is not stuck, also one that is not sent because of a HEAD."""
    found: list[Any] = []

    def parts() -> Iterator[bytes]:
        found.append(current())
        yield b"a"
        yield b"b"

    request = RequestFactory().generic(method, "/")
    with capture_events() as events:
        response: Any = SlowhoundMiddleware(lambda _: StreamingHttpResponse(parts()))(request)
        assert b"".join(response) == b"ab"
        response.close()
    assert found[0].parts == 2
    assert events[0]["resp_bytes"] == (0 if method == "HEAD" else 2)
