"""Values of any type, from a server, a middleware or a view, leave the event complete."""

from __future__ import annotations

import itertools
import logging
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest
from django.db.models import Model, QuerySet
from django.http import HttpRequest, HttpResponse
from django.template import Context as TemplateContext
from django.template import Node, engines
from django.template.base import Token, TokenType
from django.test import Client
from django.test.utils import override_settings
from django.urls import path, register_converter

from slowhound import Context, on_error
from slowhound.core.in_flight import in_flight
from slowhound.runtime.foreign import is_foreign
from slowhound.system import guard
from slowhound.testing import capture_events
from tests.harness import hostile

FROM_META = (
    *("CONTENT_LENGTH", "REMOTE_ADDR", "QUERY_STRING", "HTTP_HOST", "HTTP_REFERER"),
    *("HTTP_USER_AGENT", "HTTP_X_REQUEST_START", "HTTP_TRACEPARENT", "HTTP_SLOWHOUND_FLAMES"),
    *("wsgi.url_scheme", "SERVER_NAME"),
)
values: list[Any] = []


def keeps(request: HttpRequest) -> HttpResponse:
    """Sets each of the values alone, in a container, and as a key."""
    for number, value in enumerate(values):
        Context.set(f"value_{number}", value)
        Context.set(f"within_{number}", {"a": [value]})
        Context.set(value, number)  # as the name of a field
        Context.update(context={f"updated_{number}": value})
        Context.set("counted_time", value)  # in the place of a number of seconds
        with Context.time("counted"), Context.time(value, namespace=value):
            pass
        assert Context.get(value) == number
        assert Context.get("id", namespace=value) is None
        assert Context.get(value, namespace="req") is None
    return HttpResponse("ok")


class AnyValue:
    """A URL converter."""

    regex = "[^/]+"

    def to_python(self, part: str) -> Any:
        return values[0]

    def to_url(self, value: Any) -> str:
        return "part"


register_converter(AnyValue, "any_value")


def resets(request: HttpRequest, token: Any) -> HttpResponse:
    return HttpResponse("ok")


class Refusing(Node):
    """A tag whose attributes are properties of the application."""

    origin = token = property(hostile._refuses("node"), lambda *_: None)  # type: ignore[assignment]
    __getattr__ = hostile._refuses("node's __getattr__")

    def render(self, context: Any) -> str:
        raise ValueError("of the tag")


class Holding(Node):
    """A tag that has any values in the place of Django's texts and numbers."""

    def render(self, context: Any) -> str:
        self.origin, self.token = SimpleNamespace(), SimpleNamespace()  # type: ignore[assignment]
        self.origin.template_name = self.token.lineno = values[0]
        raise ValueError("of the tag")


def renders(request: HttpRequest) -> HttpResponse:
    template = engines["django"].from_string("x").template  # type: ignore[attr-defined]
    node: Node = Refusing() if "refusing" in request.GET else Holding()
    node.token = Token(TokenType.BLOCK, "tag")  # Django reads it at a failure
    template.nodelist.append(node)
    return HttpResponse(template.render(TemplateContext()))


def survives(request: HttpRequest) -> HttpResponse:
    """Raises any exception."""

    @on_error(return_value="survived")
    def fails() -> str:
        raise values[0]

    return HttpResponse(fails())


def answers(request: HttpRequest) -> HttpResponse:
    response = HttpResponse("ok")
    response.status_code = values[0]
    return response


def fails(request: HttpRequest) -> HttpResponse:
    raise hostile.Unprintable(*values)


urlpatterns = [
    path("keeps/", keeps, name="keeps"),
    path("fails/", fails, name="fails"),
    path("answers/", answers, name="answers"),
    path("resets/<any_value:token>/", resets),
    path("renders/", renders),
    path("survives/", survives),
]


class Basket(Model):
    class Meta:
        app_label = "shop"


class Spoils:
    """A middleware inside of slowhound's, which puts values into META."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        if "spoil" in request.GET:
            response = self.get_response(request)
            for name, make in zip(FROM_META, itertools.cycle(values), strict=False):
                request.META[name] = make
            return response
        return self.get_response(request)


@pytest.fixture
def client() -> Any:
    """Sets these views, and stops Django's logging, which would call an exception's ``__str__``."""
    logging.disable()
    middleware = ["slowhound.middleware.SlowhoundMiddleware", f"{__name__}.Spoils"]
    with override_settings(ROOT_URLCONF=__name__, MIDDLEWARE=middleware):
        yield Client(raise_request_exception=False)
    logging.disable(logging.NOTSET)


def event_of(client: Client, address: str) -> dict[str, Any]:
    """The event of a request, in which no code of slowhound's or of the values has failed."""
    hostile.called.clear()
    with capture_events() as events:
        client.get(address)
    (event,) = events
    assert hostile.called == []
    assert guard.total == 0
    assert not in_flight
    return event


@pytest.mark.parametrize("number", range(len(hostile.MAKERS)))
def test_context_takes_any_value(client: Client, number: int) -> None:
    """Context takes any value, without running its code or evaluating it."""
    values[:] = [hostile.MAKERS[number]()]
    event = event_of(client, "/keeps/")
    assert (event["resp_status"], event["resp_view"]) == (200, "keeps")
    assert {"app_value_0", "app_within_0", "app_updated_0"} <= set(event)


@pytest.mark.parametrize("number", range(len(hostile.MAKERS)))
def test_environ_may_contain_any_value(client: Client, number: int) -> None:
    """Any value in the environ, such as an int or bytes, costs its own field at most."""
    values[:] = [hostile.MAKERS[number]()]
    event = event_of(client, "/keeps/?spoil")
    assert (event["resp_status"], event["req_path"]) == (200, "/keeps/")


@pytest.mark.parametrize("number", range(len(hostile.MAKERS)))
def test_exception_may_have_any_arguments(client: Client, number: int) -> None:
    """An exception's message is made without calling its arguments."""
    values[:] = [hostile.MAKERS[number]()]
    event = event_of(client, "/fails/")
    assert (event["resp_status"], event["exc_type"]) == (500, "Unprintable")


@pytest.mark.parametrize("number", range(len(hostile.MAKERS)))
def test_converter_may_turn_a_secret_into_any_value(client: Client, number: int) -> None:
    """A converted value is hidden, for the route is shown, and none of its methods is called."""
    values[:] = [hostile.MAKERS[number]()]
    event = event_of(client, "/resets/abc123/")
    assert (event["resp_status"], event["req_path"]) == (200, "/resets/<any_value:token>/")


@pytest.mark.parametrize("number", range(len(hostile.MAKERS)))
def test_template_node_may_hold_any_value(client: Client, number: int) -> None:
    """A template node may hold any values where its template and line are read."""
    values[:] = [hostile.MAKERS[number]()]
    event = event_of(client, "/renders/")
    assert (event["exc_type"], type(event["exc_template"])) == ("ValueError", str)


def test_properties_of_a_template_node_are_not_read(client: Client) -> None:
    """The properties of a node are not read; the rest of the exception is in the event."""
    event = event_of(client, "/renders/?refusing")
    assert (event["exc_type"], event["exc_msg"]) == ("ValueError", "of the tag")


EXCEPTIONS = [
    number
    for number, make in enumerate(hostile.MAKERS)
    if issubclass(type(make()), Exception)  # by their real classes
]


@pytest.mark.parametrize("number", EXCEPTIONS)
def test_exception_may_be_of_any_class(client: Client, number: int) -> None:
    """An exception whose attributes are the application's properties has its event."""
    values[:] = [hostile.MAKERS[number]()]
    hostile.called.clear()
    with capture_events() as events:
        response = client.get("/survives/")
    assert response.content == b"survived"
    assert hostile.called == []
    event = next(each for each in events if each["event_type"] == "partial_failure")
    assert len(event["exc_msg"]) <= 1_000
    assert event["exc_msg"].count("Unprintable") < 6
    assert guard.total == 0


@pytest.mark.parametrize("number", EXCEPTIONS)
def test_failure_of_any_class_is_logged(number: int) -> None:
    """A failure is logged with its causes, without calling any method of the exception."""
    caught: list[Exception] = []
    try:
        try:
            raise_one(number)
        except Exception:
            raise_one(number)
    except Exception as exc:
        caught.append(exc)
    hostile.called.clear()
    assert not is_foreign(caught[0])
    assert "Caused by:" in guard.shown(caught[0])
    assert hostile.called == []


def raise_one(number: int) -> None:
    made = hostile.MAKERS[number]()
    raise made


def test_ten_such_requests_switch_nothing_off(client: Client) -> None:
    """After ten such requests, the eleventh has all its fields."""
    for _ in range(guard.MOST_FAILURES + 1):
        values[:] = [hostile.plain_object(), 10**5000]
        event = event_of(client, "/keeps/?spoil")
        assert event["resp_view"] == "keeps"


def test_query_set_is_not_evaluated(client: Client) -> None:
    """A query set in the context is not evaluated, and is shown by its type."""
    values[:] = [QuerySet(Basket)]
    event = event_of(client, "/keeps/")
    assert event["app_value_0"] == "<QuerySet>"
    assert "db_queries" not in event


def test_status_of_any_type(client: Client) -> None:
    """A status that is a text of digits is read as a number; any other is left out."""
    values[:] = [200.0]
    assert event_of(client, "/answers/")["req_path"] == "/answers/"
