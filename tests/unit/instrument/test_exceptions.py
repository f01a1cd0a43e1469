"""Exceptions: of a group, what has gone wrong in it, and where."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from asgiref.sync import iscoroutinefunction, markcoroutinefunction
from django.core.exceptions import BadRequest, PermissionDenied, SuspiciousOperation
from django.core.handlers.base import BaseHandler
from django.http import Http404, HttpRequest, HttpResponse
from django.http.multipartparser import MultiPartParserError
from django.template import Context, Template, loader
from django.test import AsyncClient, Client, RequestFactory
from django.test.utils import override_settings
from django.urls import path, resolve
from jinja2 import DictLoader, FileSystemLoader

import slowhound
from slowhound.instrument.exception import LEAVES_LIMIT, fields_of, leaf_of
from slowhound.testing import capture_events

work: Callable[[], Any] = dict


def index(request: HttpRequest) -> HttpResponse:
    work()
    return HttpResponse("ok")


async def later(request: HttpRequest) -> HttpResponse:
    await work()
    return HttpResponse("ok")


urlpatterns = [path("", index), path("later/", later)]


@pytest.fixture(autouse=True)
def _urls() -> Iterator[None]:
    with override_settings(ROOT_URLCONF=__name__):
        yield


def event_of(does: Callable[[], Any], address: str = "/") -> dict[str, Any]:
    global work
    work = does
    with capture_events() as events:
        if address == "/":
            assert Client(raise_request_exception=False).get(address).status_code == 500
        else:
            asyncio.run(_get(address))
    return events[-1]


async def _get(address: str) -> None:
    client = AsyncClient(raise_request_exception=False)
    assert (await client.get(address)).status_code == 500


class Broken(Exception):
    """An error of the application."""


async def breaks(text: str) -> None:
    raise Broken(text)


async def waits() -> None:
    await asyncio.Event().wait()


async def in_a_group(*coroutines: Any) -> None:
    async with asyncio.TaskGroup() as group:
        for each in coroutines:
            group.create_task(each)


def place(function: Any) -> str:
    code = function.__code__
    return f"tests/unit/instrument/test_exceptions.py:{code.co_firstlineno + 1}:{function.__name__}"


def test_exception_in_a_task_group_is_named() -> None:
    """The leaf exception and its place, and not "unhandled errors" at taskgroups.py."""
    event = event_of(lambda: in_a_group(waits(), breaks("first"), breaks("second")), "/later/")
    assert (event["exc_type"], event["exc_msg"], event["exc_group_size"]) == ("Broken", "first", 2)
    assert event["exc_loc"] == place(breaks)
    assert (event["exc_handled"], event["resp_outcome"]) == (False, "error")


def test_leaf_of_groups_in_each_other_is_named() -> None:
    """For nested task groups, this is the innermost exception."""
    event = event_of(lambda: in_a_group(in_a_group(in_a_group(breaks("deep"))), waits()), "/later/")
    assert (event["exc_type"], event["exc_msg"], event["exc_group_size"]) == ("Broken", "deep", 1)
    assert event["exc_loc"] == place(breaks)


def test_exception_that_is_no_group_has_no_size() -> None:
    """The field is there for groups only."""
    event = event_of(lambda: asyncio.run(breaks("alone")))
    assert event["exc_type"] == "Broken"
    assert "exc_group_size" not in event


def test_group_of_exceptions_that_were_never_raised() -> None:
    """The place is where the group was raised."""

    def raises() -> None:
        raise ExceptionGroup("both", [ValueError("one"), TypeError("two")])

    event = event_of(raises)
    assert (event["exc_type"], event["exc_msg"], event["exc_group_size"]) == (
        "ValueError",
        "one",
        2,
    )
    assert event["exc_cause_loc"] == place(raises)


def test_cancellation_is_not_what_went_wrong() -> None:
    """In a group with one, another exception is named."""
    group = BaseExceptionGroup("all", [asyncio.CancelledError(), Broken("it"), KeyboardInterrupt()])
    assert fields_of(group)["exc_msg"] == "it"
    only = BaseExceptionGroup("all", [asyncio.CancelledError("a"), GeneratorExit()])
    assert fields_of(only)["exc_type"] == "CancelledError"
    assert fields_of(only)["exc_group_size"] == 2


def test_template_of_a_leaf_is_named() -> None:
    """A leaf may have been raised in a template."""

    def fails() -> None:
        raise Broken("in a template")

    def does() -> None:
        try:
            Template("\n{{ fails }}").render(Context({"fails": fails}))
        except Broken as exc:
            raise ExceptionGroup("of one", [exc]) from None

    assert event_of(does)["exc_template"].endswith(":2")


def test_survived_group_is_described_by_its_leaf() -> None:
    """Partial failures and tasks have the same fields."""

    @slowhound.on_error(return_value=None)
    def survives() -> None:
        raise ExceptionGroup("of one", [Broken("survived")])

    @slowhound.task
    def task() -> None:
        survives()
        raise ExceptionGroup("of one", [Broken("ended")])

    with capture_events() as events, pytest.raises(ExceptionGroup):
        task()
    assert [(event["exc_msg"], event["exc_group_size"]) for event in events] == [
        ("survived", 1),
        ("ended", 1),
    ]


def test_huge_group_is_counted_so_far() -> None:
    """A million exceptions, or groups nested deeper than Python calls, count up to a limit."""
    many: list[Exception] = [Broken(str(number)) for number in range(LEAVES_LIMIT + 10)]
    leaf, size = leaf_of(ExceptionGroup("many", many))
    assert (leaf, size) == (many[0], LEAVES_LIMIT)
    deep: Exception = many[0]
    for _ in range(5_000):
        deep = ExceptionGroup("deep", [deep])
    assert leaf_of(deep) == (many[0], 1)


def test_nothing_of_a_group_of_ones_own_is_called() -> None:
    """The exceptions of a group are read where Python stores them."""

    class Own(ExceptionGroup[Exception]):
        @property
        def exceptions(self) -> Any:
            raise AssertionError("called")

    assert leaf_of(Own("own", [many := Broken("it")])) == (many, 1)


TEXTS = {
    "missing.html": "\n\n{% include 'nowhere.html' %}",
    "extends.html": "\n{% extends 'nowhere.html' %}",
    "call.jinja": "a\n\n{{ call() }}",
    "own.jinja": "\n{{ 1 / 0 }}",
    "inner.jinja": "{% block middle %}\n\n\n{{ 1 / 0 }}{% endblock %}",
    "outer.jinja": "\n{% include 'inner.jinja' %}",
    "child.jinja": "\n{% extends 'inner.jinja' %}",
    "without.jinja": "\n\n{% include 'nowhere.jinja' %}",
    "broken.jinja": "a\n\n{{ }}",
    "includes.jinja": "\n{% include 'broken.jinja' %}",
    "both.jinja": "\n\n{{ other() }}",
}


def raises(kind: type[Exception] = Broken) -> None:
    raise kind("in a template")


@pytest.mark.parametrize(
    ("name", "line"),
    [
        ("missing.html", "missing.html:3"),
        ("extends.html", "extends.html:2"),
        ("call.jinja", "call.jinja:3"),
        ("own.jinja", "own.jinja:2"),
        ("outer.jinja", "inner.jinja:4"),
        ("child.jinja", "inner.jinja:4"),
        ("without.jinja", "without.jinja:3"),
        ("includes.jinja", "broken.jinja:3"),
        ("both.jinja", "missing.html:3"),
    ],
)
@pytest.mark.parametrize("of", ["files", "texts"])
def test_template_that_fails_is_named(tmp_path: Path, name: str, line: str, of: str) -> None:
    """A missing included template is, and each of Jinja2's, from a file or not."""
    for each, text in TEXTS.items():
        (tmp_path / each).write_text(text)
    loaders: list[Any] = [("django.template.loaders.locmem.Loader", TEXTS)]
    options = {"loader": DictLoader(TEXTS) if of == "texts" else FileSystemLoader(tmp_path)}
    backends = "django.template.backends.{}"
    engines = [
        {"BACKEND": backends.format("django.DjangoTemplates"), "OPTIONS": {"loaders": loaders}},
        {"BACKEND": backends.format("jinja2.Jinja2"), "OPTIONS": options},
    ]
    using = "jinja2" if name.endswith(".jinja") else "django"
    context = {
        "call": raises,
        "other": lambda: loader.render_to_string("missing.html", using="django"),
    }
    with override_settings(TEMPLATES=engines):
        event = event_of(lambda: loader.render_to_string(name, context, using=using))
    assert event["exc_template"] == line


def test_template_of_what_an_exception_was_made_of_is_named() -> None:
    """Its causes are followed, which may form a circle; its context is not."""

    def fails() -> None:
        raise Broken("in a template")

    def does(*, cause: bool) -> None:
        try:
            Template("\n{{ fails }}").render(Context({"fails": fails}))
        except Broken as exc:
            if cause:
                raise ValueError("made of it") from exc
            raise ValueError("made beside it")  # noqa: B904

    assert event_of(lambda: does(cause=True))["exc_template"].endswith(":2")
    assert "exc_template" not in event_of(lambda: does(cause=False))
    circle = Broken("first")
    circle.__cause__ = Broken("second")
    circle.__cause__.__cause__ = circle
    assert "exc_template" not in fields_of(circle)


refuses: Callable[[HttpRequest], Any] = bool


class Refuses:
    """A middleware that may raise before the view is known, or right before it is called."""

    sync_capable = async_capable = True

    def __init__(self, get_response: Any) -> None:
        self.get_response = get_response
        if iscoroutinefunction(get_response):
            markcoroutinefunction(self)

    def __call__(self, request: HttpRequest) -> Any:
        if "view" not in request.GET:
            refuses(request)
        return self.get_response(request)

    def process_view(self, request: HttpRequest, *view: Any) -> None:
        refuses(request)


def refused(does: Callable[[HttpRequest], Any], address: str, **options: Any) -> dict[str, Any]:
    """The event of a request that the middleware has refused."""
    global refuses
    refuses = does
    middleware = [
        "slowhound.middleware.SlowhoundMiddleware",
        f"{__name__}.Refuses",
        "django.middleware.common.CommonMiddleware",
    ]
    with override_settings(MIDDLEWARE=middleware, **options), capture_events() as events:
        if address.startswith("/later"):
            asyncio.run(_ask(address))
        else:
            Client(raise_request_exception=False).get(address)
    return events[-1]


async def _ask(address: str) -> None:
    await AsyncClient(raise_request_exception=False).get(address)


def told(event: dict[str, Any]) -> tuple[Any, ...]:
    names = ("resp_status", "resp_outcome", "exc_type", "exc_msg", "exc_handled")
    return tuple(event.get(name) for name in names)


@pytest.mark.parametrize("address", ["/", "/?view", "/later/", "/later/?view"])
@pytest.mark.parametrize(
    ("kind", "status", "outcome", "handled"),
    [
        (Http404, 404, "ok", True),
        (PermissionDenied, 403, "ok", True),
        (BadRequest, 400, "ok", True),
        (SuspiciousOperation, 400, "ok", True),
        (MultiPartParserError, 400, "ok", True),
        (Broken, 500, "error", False),
    ],
)
def test_exception_of_a_middleware_that_django_makes_a_response_of(
    address: str, kind: type[Exception], status: int, outcome: str, handled: bool
) -> None:
    """It is named like a view's; the status is Django's, and the outcome follows from that."""
    event = refused(lambda _request: raises(kind), address)
    assert told(event) == (status, outcome, kind.__name__, "in a template", handled)
    assert event["exc_cause_loc"] == place(raises)


def test_host_that_is_not_allowed_is_named() -> None:
    """Django's own middleware raises DisallowedHost."""
    event = refused(bool, "/", ALLOWED_HOSTS=["good"])
    assert told(event)[:3] == (400, "ok", "DisallowedHost")
    assert event["exc_handled"]


def test_page_of_an_error_that_fails_is_the_error() -> None:
    """Of the two exceptions this is the one for which Django has no response."""
    urls: Any = ModuleType("urls")
    urls.urlpatterns, urls.handler404 = urlpatterns, fails_too
    with override_settings(ROOT_URLCONF=urls):
        event = refused(lambda _request: raises(Http404), "/")
    assert told(event) == (500, "error", "Broken", "page", False)


def fails_too(_request: HttpRequest, exception: Exception) -> HttpResponse:
    raise Broken("page")


def test_url_that_matches_nothing_is_no_exception() -> None:
    """No code has raised it, unless a middleware raises one itself for its own page."""
    assert told(refused(bool, "/nowhere/")) == (404, "ok", None, None, None)
    event = refused(lambda _request: resolve("/nowhere/"), "/")
    assert told(event)[:3] == (404, "ok", "Resolver404")


def test_exception_of_another_page_is_not_the_requests() -> None:
    """A view requests a page of a handler without slowhound's middleware, which responds 404."""

    def asks() -> None:
        with override_settings(MIDDLEWARE=[]):
            handler = BaseHandler()
            handler.load_middleware()
        assert handler.get_response(RequestFactory().get("/nowhere/")).status_code == 404
        with override_settings(MIDDLEWARE=["django.middleware.common.CommonMiddleware"]):
            handler.load_middleware()
        made = RequestFactory().get("/", headers={"host": "bad"})
        assert handler.get_response(made).status_code == 400

    global work
    work = asks
    assert told(refused(bool, "/", ALLOWED_HOSTS=["testserver"])) == (200, "ok", None, None, None)
