"""Objects of an application or of a library are read without calling any of their code."""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable
from types import FrameType, SimpleNamespace
from typing import Any

import httpx
import pytest
import urllib3
from django.core.exceptions import ValidationError
from django.db import connections
from psycopg import sql

from slowhound.core.record import Record
from slowhound.instrument import db, http
from slowhound.instrument.cache_counts import _number
from slowhound.instrument.composed import text_of
from slowhound.lifecycle.task_records import _outcome, new
from slowhound.redaction.plain_data import exception_text
from slowhound.runtime.attributes import attribute_or
from slowhound.runtime.clocks import clock
from slowhound.runtime.static_lookup import origin_of, traceback_of
from slowhound.system import guard, losses
from slowhound.watch.locals import locals_of
from tests.harness import hostile


@pytest.fixture(autouse=True)
def _nothing_is_asked() -> Any:
    """Each test fails when code of the classes below has run."""
    hostile.called.clear()
    yield
    assert hostile.called == []


def of_metaclass() -> Any:
    """An exception whose class refuses to be compared or hashed, or to give its name."""
    return Exception.__new__(type.__new__(hostile.Meta, "Odd", (Exception,), {}))


def test_class_of_a_failure_is_not_called(caplog: pytest.LogCaptureFixture) -> None:
    """The guard logs the first failure of each kind, and remembers the kinds."""
    watch = guard.Guard("test")
    guard.loud = False
    exc = of_metaclass()
    hostile.called.clear()
    for _ in range(3):
        assert not watch.failed(exc)
    assert caplog.text.count("slowhound: test failed") == 1
    assert watch.streak == 3
    guard.reset()


def test_reason_of_a_loss_is_logged_without_calling_it(caplog: pytest.LogCaptureFixture) -> None:
    """As of an application's log handler, or of its stream."""
    caplog.set_level(logging.WARNING)
    losses.lost("lines", hostile.Unprintable("no space left"))
    exc = of_metaclass()
    hostile.called.clear()
    losses.lost("lines", exc)
    assert "counting what is lost: no space left" in caplog.text
    assert losses.dropped == 2


def test_exception_is_read_where_it_is_stored() -> None:
    """Its traceback and what it came of, whatever its class has by these names."""
    why = hostile.of(Exception, "why")
    exc = hostile.of(Exception, "what")
    try:
        try:
            raise why
        except Exception:
            raise exc  # noqa: B904
    except Exception:
        pass
    assert origin_of(exc) is why
    assert traceback_of(exc) is not None


@pytest.mark.parametrize(
    ("code", "outcome"),
    [(None, "ok"), (0, "ok"), (False, "ok"), (3, "error"), ("text", "error"), ("", "error")],
)
def test_exit_of_a_task_is_what_python_makes_of_it(code: Any, outcome: str) -> None:
    """0 and nothing are success."""
    assert _outcome(SystemExit(code)) == outcome


def test_exit_code_of_a_task_is_not_evaluated() -> None:
    """Its code may be anything."""
    assert _outcome(SystemExit(hostile.plain_object())) == "error"
    assert _outcome(SystemExit(hostile.of(int, 0))) == "ok"
    assert _outcome(hostile.of(Exception, "why")) == "error"


@pytest.mark.parametrize("number", range(len(hostile.MAKERS)))
def test_id_of_a_task_may_be_anything(number: int) -> None:
    """It is a text from then on."""
    hostile.called.clear()
    record = new("celery", "shop.bill", hostile.MAKERS[number]())
    assert record is not None
    assert type(record.task_id) is str


def test_attributes_of_odd_names_are_skipped() -> None:
    """A name may be of a str subclass with an ``__eq__`` of its own."""

    class Name(str):
        __slots__ = ()
        __eq__ = hostile._refuses("name")

        def __hash__(self) -> int:
            return str.__hash__(self)

    thing = SimpleNamespace()
    thing.__dict__[Name("origin")] = 1
    hostile.called.clear()
    assert attribute_or(thing, "origin") is None
    thing.__dict__["token"] = 2
    assert attribute_or(thing, "token") == 2


class Wrapper:
    """Of queries, with an ``__eq__`` of its own."""

    __eq__ = hostile._refuses("wrapper")
    __hash__ = hostile._refuses("wrapper")

    def __call__(self, execute: Callable[..., Any], *args: Any) -> Any:
        return execute(*args)


def test_wrappers_of_queries_are_not_compared() -> None:
    """By identity they are ours or another's."""
    connection = connections.create_connection("default")
    connection.execute_wrappers.append(Wrapper())
    db._wrap(connection)
    db._wrap(connection)
    assert [type(each) for each in connection.execute_wrappers] == [type(db.observe), Wrapper]


def test_composed_statement_is_shown_without_its_literals() -> None:
    """A literal is the application's object, and how the database gets it may be as well."""

    class Shown(sql.SQL):  # type: ignore[misc]
        as_string = as_bytes = hostile._refuses("statement")

    class Named(sql.SQL):  # type: ignore[misc]
        """Only a name."""

    values = (sql.Identifier("a"), sql.Identifier("shop", "order"), Named("b"))
    statement = sql.SQL("SELECT {} FROM {} WHERE {} = {} AND c = {}").format(
        *values, sql.Literal(hostile.plain_object()), sql.Placeholder("c")
    )
    hostile.called.clear()
    said = text_of(statement)
    assert said == 'SELECT "a" FROM "shop"."order" WHERE b = ? AND c = %(c)s'
    assert text_of(Shown("SELECT 1")) == "<Shown>"
    assert text_of(b"SELECT 1") == "SELECT 1"


class Pool(urllib3.HTTPConnectionPool):
    host = property(hostile._refuses("host"), lambda *_: None)  # type: ignore[assignment]


def test_host_of_a_request_is_read_without_its_property() -> None:
    """A pool's may be a property of the application's."""
    record = Record("GET", "/", clock.monotonic())
    pools = (urllib3.HTTPConnectionPool("shop.example"), Pool("shop.example"), object())
    for pool in pools:
        hostile.called.clear()
        http._count(record, record.started, 0.0, pool, ())
    assert [moment.text for moment in record.moments()] == ["shop.example", "-", "-"]


def test_host_of_httpx_is_known() -> None:
    """It is in the URL of the request."""
    record = Record("GET", "/", clock.monotonic())
    request = httpx.Request("GET", "http://shop.example/")
    for given in (request, SimpleNamespace(url=hostile.plain_object())):
        http._count(record, record.started, 0.0, object(), (given,))
    assert [moment.text for moment in record.moments()] == ["shop.example", "-"]


def test_number_of_keys_is_counted_without_the_application() -> None:
    """Nor is its class, whether it is one of Python's."""
    thing = hostile.of_metaclass()
    hostile.called.clear()
    assert _number(thing) is None


frames: list[FrameType] = []


def test_variables_of_a_class_body_are_the_applications() -> None:
    """Also where the mapping's class has the name of Python's own."""

    class Dict(dict[str, Any]):
        items = hostile._refuses("items")  # type: ignore[assignment]

    Dict.__name__ = "dict"
    source = "import sys; take(sys._getframe())"
    exec(compile(source, "/srv/shop.py", "exec"), {"take": frames.append}, Dict())
    assert dict(locals_of(frames.pop(), None))["<module>"] == []


def test_error_of_a_library_is_short(client: Any) -> None:
    """What is empty in its arguments is left out."""
    assert exception_text(ValidationError("not a date")) == "not a date"
    assert sys.exc_info() == (None, None, None)
