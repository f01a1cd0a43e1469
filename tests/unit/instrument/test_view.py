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


def look_into_the_box(_request: HttpRequest) -> HttpResponse:
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
    """Another handler than the server's, with no middleware at all."""
    with override_settings(MIDDLEWARE=[]):
        handler = BaseHandler()
        handler.load_middleware()
    return HttpResponse(handler.get_response(request).content)


def asks(request: WSGIRequest, how: str) -> HttpResponse:
    """A view that asks for another page, in this one's words or in its own."""
    if how == "copied":
        return ask(WSGIRequest({**request.environ, "PATH_INFO": "/reset/abcdef/"}))
    response = ask(RequestFactory().get("/reset/abcdef/"))
    return response if how == "made" else look_into_the_box(request)


def hands_a_copy_on(get_response: Callable[[HttpRequest], HttpResponse]) -> Any:
    """A middleware: the view gets another request, with another method, without the prefix."""

    def middleware(request: WSGIRequest) -> HttpResponse:
        copied = copy(request)
        copied.method = "PUT"
        copied.path = copied.path_info = request.path.removeprefix("/api")
        return get_response(copied)

    return middleware


urlpatterns = [
    path("box/", look_into_the_box, name="the-box"),
    path("reset/<token>/", secret, name="secret"),
    path("asks/<how>/", asks, name="asks"),
]


def test_a_request_that_dies_in_its_view_has_the_name_of_the_view(tmp_path: Path) -> None:
    """Written when the URL is resolved, before the view can do any harm."""
    seen.clear()
    with override_settings(ROOT_URLCONF=__name__, SLOWHOUND={"DIR": str(tmp_path)}):
        Client().get("/box/")
    assert seen == [b"the-box"]


@pytest.mark.parametrize(
    ("name", "left"),
    [(f"{__name__}.look_into_the_box", True), ("box/", True), ("the-box", True), ("other", False)],
)
def test_what_is_ignored_by_any_name_is_left_alone_by_neighbours(
    tmp_path: Path, name: str, left: bool
) -> None:
    """They know only the view's name, and report nothing that counts as reported."""
    taken.clear()
    settings = {"DIR": str(tmp_path), "IGNORE": [name]}
    with override_settings(ROOT_URLCONF=__name__, SLOWHOUND=settings):
        Client().get("/box/")
    assert taken == [left]


@pytest.mark.parametrize("how", ["made", "copied", "looked at"])
def test_page_that_a_view_asks_another_handler_for_is_not_its_own(tmp_path: Path, how: str) -> None:
    """Neither its path, which may hold secrets, nor its view, in the event and the box."""
    seen.clear()
    settings = {"DIR": str(tmp_path)}
    with override_settings(ROOT_URLCONF=__name__, SLOWHOUND=settings), capture_events() as events:
        Client().get(f"/asks/{how}/")
    assert [(event["req_path"], event["resp_view"]) for event in events] == [
        (f"/asks/{how}/", "asks")
    ]
    assert set(seen) <= {b"asks"}


def test_page_that_a_task_asks_a_handler_for_is_not_its_own() -> None:
    """The task keeps its name."""

    @slowhound.task(name="the-task")
    def task() -> None:
        ask(RequestFactory().get("/reset/abcdef/"))

    with override_settings(ROOT_URLCONF=__name__), capture_events() as events:
        task()
    assert [event["task_name"] for event in events] == ["the-task"]


@pytest.mark.parametrize("prefix", ["", "/api"])
def test_copy_that_a_middleware_hands_on_is_the_same_request(prefix: str) -> None:
    """With another method, without a prefix: its view is the request's, and its secrets."""
    ours = "slowhound.middleware.SlowhoundMiddleware"
    middleware = override_settings(
        ROOT_URLCONF=__name__, MIDDLEWARE=[ours, f"{__name__}.hands_a_copy_on"]
    )
    with middleware, capture_events() as events:
        assert Client().post(f"{prefix}/reset/abcdef/").content == b"abcdef"
    (event,) = events
    assert (event["req_path"], event["resp_view"]) == (f"{prefix}/reset/{MASK}/", "secret")
