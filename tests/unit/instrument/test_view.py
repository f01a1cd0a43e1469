"""The black box knows the view as soon as Django does."""

from __future__ import annotations

from collections.abc import Callable
from copy import copy
from pathlib import Path
from typing import Any

import pytest
from django.core.handlers.base import BaseHandler
from django.core.handlers.wsgi import WSGIRequest
from django.http import HttpRequest, HttpResponse
from django.test import Client, RequestFactory, override_settings
from django.urls import path

import slowhound
from slowhound.blackbox.reader import read
from slowhound.recorder import process
from slowhound.redaction.mask import MASK
from slowhound.testing import capture_events

seen: list[bytes] = []
taken: list[bool] = []


def read_the_box(_request: HttpRequest) -> HttpResponse:
    """A view that reads its own worker's box."""
    active = process.get()
    assert active is not None
    assert active.own_box.box is not None
    state = read(Path(active.own_box.box.path).read_bytes())
    assert state is not None
    seen.extend(pending.view for pending in state.pending)
    taken.extend(pending.reported for pending in state.pending)
    return HttpResponse("seen")


def secret(_request: HttpRequest, token: str) -> HttpResponse:
    return HttpResponse(token)


def ask(request: HttpRequest) -> HttpResponse:
    """Another handler than the server's, without any middleware."""
    with override_settings(MIDDLEWARE=[]):
        handler = BaseHandler()
        handler.load_middleware()
    return HttpResponse(handler.get_response(request).content)


def asks(request: WSGIRequest, how: str) -> HttpResponse:
    """A view that requests another page, with the headers of this one or its own."""
    if how == "copied":
        return ask(WSGIRequest({**request.environ, "PATH_INFO": "/reset/abcdef/"}))
    response = ask(RequestFactory().get("/reset/abcdef/"))
    return response if how == "made" else read_the_box(request)


def hands_a_copy_on(get_response: Callable[[HttpRequest], HttpResponse]) -> Any:
    """A middleware: the view gets another request, with another method and no prefix."""

    def middleware(request: WSGIRequest) -> HttpResponse:
        copied = copy(request)
        copied.method = "PUT"
        copied.path = copied.path_info = request.path.removeprefix("/api")
        return get_response(copied)

    return middleware


urlpatterns = [
    path("box/", read_the_box, name="the-box"),
    path("reset/<token>/", secret, name="secret"),
    path("asks/<how>/", asks, name="asks"),
]


def test_a_request_that_dies_in_its_view_has_the_name_of_the_view(tmp_path: Path) -> None:
    """It is written when the URL is resolved, before the view can do any harm."""
    seen.clear()
    with override_settings(ROOT_URLCONF=__name__, SLOWHOUND={"DIR": str(tmp_path)}):
        Client().get("/box/")
    assert seen == [b"the-box"]


@pytest.mark.parametrize(
    ("name", "left"),
    [(f"{__name__}.read_the_box", True), ("box/", True), ("the-box", True), ("other", False)],
)
def test_what_is_ignored_by_any_name_is_left_alone_by_peers(
    tmp_path: Path, name: str, left: bool
) -> None:
    """Peers have only the view's name, and do not report what is marked as reported."""
    taken.clear()
    settings = {"DIR": str(tmp_path), "IGNORE": [name]}
    with override_settings(ROOT_URLCONF=__name__, SLOWHOUND=settings):
        Client().get("/box/")
    assert taken == [left]


@pytest.mark.parametrize("how", ["made", "copied", "read"])
def test_page_that_a_view_requests_of_another_handler_is_not_its_own(
    tmp_path: Path, how: str
) -> None:
    """Event and box have neither its path, which may contain secrets, nor its view."""
    seen.clear()
    settings = {"DIR": str(tmp_path)}
    with override_settings(ROOT_URLCONF=__name__, SLOWHOUND=settings), capture_events() as events:
        Client().get(f"/asks/{how}/")
    assert [(event["req_path"], event["resp_view"]) for event in events] == [
        (f"/asks/{how}/", "asks")
    ]
    assert set(seen) <= {b"asks"}


def test_page_that_a_task_requests_of_a_handler_is_not_its_own() -> None:
    """The task keeps its name."""

    @slowhound.task(name="the-task")
    def task() -> None:
        ask(RequestFactory().get("/reset/abcdef/"))

    with override_settings(ROOT_URLCONF=__name__), capture_events() as events:
        task()
    assert [event["task_name"] for event in events] == ["the-task"]


@pytest.mark.parametrize("prefix", ["", "/api"])
def test_copy_that_a_middleware_hands_on_is_the_same_request(prefix: str) -> None:
    """With another method, without a prefix, its view is still the request's."""
    ours = "slowhound.middleware.SlowhoundMiddleware"
    middleware = override_settings(
        ROOT_URLCONF=__name__, MIDDLEWARE=[ours, f"{__name__}.hands_a_copy_on"]
    )
    with middleware, capture_events() as events:
        assert Client().post(f"{prefix}/reset/abcdef/").content == b"abcdef"
    (event,) = events
    assert (event["req_path"], event["resp_view"]) == (f"{prefix}/reset/{MASK}/", "secret")
