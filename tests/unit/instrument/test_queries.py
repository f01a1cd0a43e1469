"""Queries are counted as they reach the database, and named by the line that runs them."""

from __future__ import annotations

import asyncio
import contextvars
import functools
import sys
from collections.abc import Callable, Coroutine, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from itertools import product
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pytest
from asgiref.sync import async_to_sync, markcoroutinefunction, sync_to_async
from asgiref.testing import ApplicationCommunicator
from django.core.asgi import get_asgi_application
from django.core.management import BaseCommand, call_command
from django.core.signals import request_started
from django.db import connection, connections, transaction
from django.http import HttpRequest, HttpResponse, StreamingHttpResponse
from django.shortcuts import render
from django.test import AsyncClient, Client
from django.test.utils import override_settings
from django.urls import path
from django.views.generic import ListView
from jinja2 import DictLoader
from rest_framework import serializers

import slowhound
from slowhound.core.observations import QueryStats
from slowhound.core.record import Record
from slowhound.instrument import db
from slowhound.lifecycle.commands import record_commands
from slowhound.recorder import process
from slowhound.testing import capture_events

OURS = "slowhound.middleware.SlowhoundMiddleware"
TEMPLATES = {
    "list.html": "{% for row in object_list %}\n{{ row.fetched }}{% endfor %}",
    "page.html": "\n\n{% include 'list.html' %}",
}


def run(sql: str = "SELECT 1") -> None:
    with connection.cursor() as cursor:
        cursor.execute(sql)


def forget() -> None:
    """Django closes no database in memory, and warns of one when its thread has ended."""
    if connection.connection is not None:
        connection.connection.close()
        del connections["default"]


# Code of a library, which runs queries for whoever calls it.
LIBRARY = """
class Row:
    @property
    def fetched(self):
        with connection.cursor() as cursor:
            cursor.execute("SELECT 2")
        return "row"

def five(*args):
    for _ in range(5):
        Row().fetched

def handle(command, **options):
    five()

def view(request):
    five()
    return HttpResponse("ok")

def parts():
    for _ in range(5):
        yield Row().fetched

def stream(request):
    return StreamingHttpResponse(parts())

async def parts_later():
    for _ in range(5):
        yield await sync_to_async(lambda: Row().fetched)()
    await sync_to_async(forget)()

async def stream_later(request):
    return StreamingHttpResponse(parts_later())

async def later(sync_to_async):
    await sync_to_async(five)()

class Middleware:
    sync_capable = True
    async_capable = False

    def __init__(self, get_response):
        self.get_response = get_response

    def __call__(self, request):
        response = self.get_response(request)
        if request.GET:
            five()
        return response

class Views(Middleware):
    def __call__(self, request):
        return self.get_response(request)

    def process_view(self, request, *args):
        if request.GET:
            five()

class Later(Middleware):
    sync_capable = False
    async_capable = True

    def __init__(self, get_response):
        super().__init__(get_response)
        markcoroutinefunction(self)

    async def __call__(self, request):
        response = await self.get_response(request)
        if request.GET:
            await sync_to_async(five)()
        return response
"""
library: dict[str, Any] = {
    "connection": connection,
    "forget": forget,
    "HttpResponse": HttpResponse,
    "StreamingHttpResponse": StreamingHttpResponse,
    "sync_to_async": sync_to_async,
    "markcoroutinefunction": markcoroutinefunction,
    "__name__": "library",
}
exec(compile(LIBRARY, "/usr/lib/python3/site-packages/library.py", "exec"), library)
five: Callable[..., None] = library["five"]
work: Callable[[], Any] = five


def index(request: HttpRequest) -> HttpResponse:
    work()
    return HttpResponse("ok")


async def later(request: HttpRequest) -> HttpResponse:
    await library["later"](sync_to_async)
    return HttpResponse("ok")


def calls_later(request: HttpRequest) -> HttpResponse:
    async_to_sync(library["later"])(sync_to_async)
    return HttpResponse("ok")


def page(request: HttpRequest) -> HttpResponse:
    return render(request, "page.html", {"object_list": [library["Row"]()] * 5})


class Rows(ListView):  # type: ignore[type-arg]
    """A response whose template does the work, after the view has returned."""

    template_name = "list.html"
    queryset = [library["Row"]()] * 5  # type: ignore[assignment]


urlpatterns = [
    path("", index),
    path("later/", later),
    path("calls-later/", calls_later),
    path("page/", page),
    path("rows/", Rows.as_view()),
    path("library/", library["view"], name="of-a-library"),
    path("unnamed/", library["view"]),
    path("stream/", library["stream"]),
    path("stream-later/", library["stream_later"]),
]


Theirs, TheirViews, TheirsLater = (library[name] for name in ("Middleware", "Views", "Later"))


class Around:
    """A middleware of the application's own that has no async version."""

    def __init__(self, get_response: Any) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> Any:
        if request.GET:
            five()
        return self.get_response(request)


def engine(**options: Any) -> list[dict[str, Any]]:
    return [{"BACKEND": "django.template.backends.django.DjangoTemplates", **options}]


@pytest.fixture(autouse=True)
def _site() -> Iterator[None]:
    global work
    work = five
    loaders = [("django.template.loaders.locmem.Loader", TEMPLATES)]
    with override_settings(
        ROOT_URLCONF=__name__,
        MIDDLEWARE=[OURS, f"{__name__}.Around"],
        TEMPLATES=engine(OPTIONS={"loaders": loaders}),
    ):
        yield


def event_of(address: str = "/", does: Callable[[], Any] = five) -> dict[str, Any]:
    global work
    work = does
    # Each statement is shown: which ones were the costliest depends on the machine's mood.
    with patch.object(db, "TOP", sys.maxsize), capture_events() as events:
        assert Client().get(address).status_code == 200
    return events[-1]


def run_later(coroutine: Coroutine[Any, Any, Any]) -> Any:
    """Runs the queries after it has returned; its sync code has a thread of its own."""

    async def main() -> Any:
        try:
            return await coroutine
        finally:
            await sync_to_async(forget)()

    return asyncio.run(main())


def counts(event: dict[str, Any]) -> tuple[int, int]:
    return event.get("db_queries", 0), event.get("db_dup_queries", 0)


def shapes(event: dict[str, Any]) -> list[tuple[str, int]]:
    return sorted((row["fingerprint"], row["count"]) for row in event["db_top"])


def within(*wrappers: Callable[..., Any], times: int = 1) -> dict[str, Any]:
    """The event of a request with one query of its own, and some within these wrappers."""

    def does() -> None:
        run("SELECT 'opens the connection'")
        before = list(connection.execute_wrappers)
        connection.execute_wrappers.extend(wrappers)
        try:
            for _ in range(times):
                run()
        finally:
            connection.execute_wrappers[:] = before

    return event_of(does=does)


# What reaches the database


def test_time_of_another_wrapper_is_not_the_databases(monkeypatch: pytest.MonkeyPatch) -> None:
    """slowhound's wrapper is the innermost: db_time is the time of the database."""
    now = 0.0

    def slow(execute: Any, *args: Any) -> Any:
        nonlocal now
        now += 100
        return execute(*args)

    monkeypatch.setattr(db.clock, "monotonic", lambda: now)
    assert within(slow, slow)["db_time"] == 0


def test_query_that_another_wrapper_blocks_is_none() -> None:
    """It has not reached the database."""

    def blocks(execute: Any, *args: Any) -> Any:
        return None

    assert counts(within(blocks)) == (1, 0)


def test_query_that_another_wrapper_repeats_is_two() -> None:
    """Both have reached it."""

    def twice(execute: Any, *args: Any) -> Any:
        execute(*args)
        return execute(*args)

    assert counts(within(twice)) == (3, 2)
    assert counts(within(twice, twice)) == (5, 4)


def test_query_that_django_refuses_is_none() -> None:
    """No query of a broken transaction reaches the database."""

    def does() -> None:
        with transaction.atomic():
            transaction.set_rollback(True)
            with pytest.raises(transaction.TransactionManagementError):
                run()

    assert shapes(event_of(does=does)) == [("BEGIN", 1)]


def test_statement_that_another_wrapper_rewrites_is_what_it_becomes() -> None:
    """It is the statement that the database gets."""

    def rewrites(execute: Any, sql: str, *args: Any) -> Any:
        return execute("SELECT 2, 3", *args)

    assert shapes(within(rewrites)) == [("SELECT ?", 1), ("SELECT ?, ?", 1)]


def test_wrapper_may_be_anything_that_can_be_called() -> None:
    """A bound method, an object, a partial: each gets what Django gives it."""
    seen: list[Any] = []

    class Wrapper:
        def method(self, execute: Any, sql: str, params: Any, many: bool, context: Any) -> Any:
            seen.append((sql, params, many, sorted(context)))
            return execute(sql, params, many, context)

        __call__ = method

    def given(number: int, execute: Any, *args: Any, word: str) -> Any:
        seen.append((number, word))
        return execute(*args)

    wrappers = (Wrapper().method, Wrapper(), partial(given, 1, word="a"))
    assert counts(within(*wrappers)) == (2, 0)
    call = ("SELECT 1", None, False, ["connection", "cursor"])
    assert seen == [call, call, (1, "a")]


@pytest.mark.parametrize("tag", ["tag", run], ids=["text", "function"])
@pytest.mark.skipif(sys.version_info < (3, 14), reason="functools has no Placeholder")
def test_wrapper_may_leave_a_place_for_what_it_calls(tag: Any) -> None:
    """A partial may have arguments of its own behind that place, which may be callable as well."""

    def given(execute: Any, own: Any, *args: Any) -> Any:
        assert own is tag
        return execute(*args)

    wrapper = partial(given, functools.Placeholder, tag)  # type: ignore[attr-defined]
    assert counts(within(wrapper, partial(wrapper), times=2)) == (3, 2)


def test_chain_of_wrappers_without_a_known_end_is_observed_as_a_whole() -> None:
    """Any callable may run the query: it is called as it was given."""
    seen: list[Any] = []

    def other(*args: Any) -> Any:
        seen.append(args[0])

    def does() -> None:
        with connection.cursor() as cursor:
            for execute in (partial(other), partial(lambda tag, do, *args: do(*args), 1, other)):
                context = {"connection": connection, "cursor": cursor}
                db.observe(execute, "SELECT 1", None, False, context)

    assert counts(event_of(does=does)) == (2, 2)
    assert seen == ["SELECT 1", "SELECT 1"]


@pytest.mark.parametrize(
    "form",
    [
        "{sql} /*route='x',traceparent='00-{n}-b7ad6b7169203331-01'*/",
        "/* request {n} */ {sql}",
        "{sql} -- request {n}",
        "{sql} /* one */ /* and {n} */ LIMIT 1",
    ],
)
def test_comment_of_a_tracing_library_makes_no_new_statement(form: str) -> None:
    """A sqlcommenter's comment is ignored in fingerprints and in duplicates."""
    numbers = iter(range(10))

    def comments(execute: Any, sql: str, *args: Any) -> Any:
        return execute(form.format(sql=sql, n=next(numbers)), *args)

    event = within(comments, times=6)
    assert counts(event) == (7, 6)
    assert event["db_n1"].endswith(":run")
    assert 6 in [count for _, count in shapes(event)]
    assert "request" not in str(event["db_top"])


# Which are the same


def test_costliest_three_are_shown() -> None:
    """Those that took the longest together, the longest first."""
    record = Record("GET", "/", 0.0)
    record.queries = {}
    for name, seconds in (("a", 0.2), ("b", 0.4), ("c", 0.1), ("d", 0.3)):
        record.queries["default", f"SELECT {name}"] = stats = QueryStats()
        stats.count, stats.time = 1, seconds
    top = db.details(record)["db_top"]
    assert [each["fingerprint"] for each in top] == ["SELECT b", "SELECT d", "SELECT a"]


def test_statements_beyond_the_thousandth_are_neither_duplicates_nor_suspects() -> None:
    """They are counted together, and each may have run once; one of the first that repeats is."""
    alphabet = "abcdefghijklmnopqrstuvwxyz"
    names = ["".join(each) for each in product(alphabet, repeat=3)][:1200]

    def all_different() -> None:
        for name in names:
            run(f"SELECT 1 AS {name}x")

    def one_repeats() -> None:
        all_different()
        for _ in range(5):
            run("SELECT 1 AS aaax")

    event = event_of(does=all_different)
    assert (counts(event), event.get("db_n1")) == ((1200, 0), None)
    event = event_of(does=one_repeats)
    assert (counts(event), event.get("db_n1") is not None) == ((1205, 6), True)
    (others,) = [each for each in event["db_top"] if each["fingerprint"] == db.OTHER]
    assert (others["count"], others["line"]) == (200, None)


def test_savepoints_are_the_same_statement() -> None:
    """Generated savepoint names fold to one statement."""

    def does() -> None:
        with transaction.atomic():
            for _ in range(20):
                with transaction.atomic():
                    pass

    event = event_of(does=does)
    found = [(shape, count) for shape, count in shapes(event) if "SAVEPOINT" in shape]
    assert found == [("RELEASE SAVEPOINT ?", 20), ("SAVEPOINT ?", 20)]
    assert event["db_dup_queries"] == 40
    assert event["db_n1"].endswith(":does")


def test_savepoint_is_no_suspect_beside_what_it_is_around() -> None:
    """The line of the statement within the savepoints is named."""

    def saves() -> None:
        run()

    def does() -> None:
        with transaction.atomic():
            for _ in range(6):
                with transaction.atomic():
                    saves()

    line = event_of(does=does)["db_n1"]
    assert line.endswith(f":{run.__code__.co_firstlineno + 2}:run")


def test_names_of_temporary_tables_fold() -> None:
    """A table may be made and dropped again and again under new names."""

    def does() -> None:
        for number in ("3f2a91bc", "0b8e2c1a", "9d0e11f2", "77ab01cd", "10acde55"):
            run(f'CREATE TEMP TABLE "import_{number}" (a int)')
            run(f'INSERT INTO "import_{number}" VALUES (1)')
            run(f'DROP TABLE "import_{number}"')

    event = event_of(does=does)
    assert counts(event) == (15, 15)
    assert {count for _, count in shapes(event)} == {5}


def test_statement_that_runs_on_several_replicas_is_one() -> None:
    """Django's own example of a router picks one at random."""

    def does() -> None:
        for alias in ("a", "b", "c", "b"):
            run_on(alias)
            run_on(alias)

    def run_on(alias: str) -> None:
        other = connection.copy(alias)
        with other.cursor() as cursor:
            cursor.execute("SELECT 1")
        other.close()

    event = event_of(does=does)
    assert counts(event) == (8, 8)
    assert event["db_dup_time"] == pytest.approx(event["db_time"])
    (top,) = event["db_top"]
    assert (top["count"], top["line"]) == (8, event["db_n1"])
    assert event["db_n1"].endswith(":run_on")
    found = {alias: row["dup_queries"] for alias, row in event["db_by_alias"].items()}
    assert found == {"a": 2, "b": 4, "c": 2}


# Who has run them


def test_library_in_a_view_is_named_by_the_views_line() -> None:
    """That is the line that calls the library."""
    assert event_of("/")["db_n1"].endswith(f":{index.__code__.co_firstlineno + 1}:index")


def test_loop_is_named_and_not_what_ran_the_same_before() -> None:
    """A statement may run twice in a helper and then in a loop: the last line found counts."""

    def may_see() -> None:
        five()

    def in_the_loop() -> None:
        five()

    def does() -> None:
        may_see()
        in_the_loop()
        in_the_loop()

    assert event_of(does=does)["db_n1"].endswith(":in_the_loop")


def test_query_of_a_template_is_named_by_the_templates_line() -> None:
    """A ListView's template runs the queries after the view has returned."""
    assert event_of("/rows/")["db_n1"] == "list.html:2"


def test_included_template_is_named_by_its_own_line() -> None:
    """The page has another line, and so has the view that renders it."""
    assert event_of("/page/")["db_n1"] == "list.html:2"


def test_template_of_a_library_is_not_named(tmp_path: Path) -> None:
    """The application's template that includes it is named."""
    ours, theirs = tmp_path / "templates", tmp_path / "site-packages"
    for folder in (ours, theirs):
        folder.mkdir()
    (ours / "page.html").write_text(TEMPLATES["page.html"])
    (theirs / "list.html").write_text(TEMPLATES["list.html"])
    with override_settings(TEMPLATES=engine(DIRS=[ours, theirs])):
        assert event_of("/page/")["db_n1"] == "page.html:3"


def test_template_of_jinja2_is_named_by_its_own_line() -> None:
    """Its code is Python, which has other lines."""
    options = {"loader": DictLoader({"page.html": "\n\n\n" + TEMPLATES["list.html"]})}
    backend = {"BACKEND": "django.template.backends.jinja2.Jinja2", "OPTIONS": options}
    with override_settings(TEMPLATES=[backend]):
        assert event_of("/page/")["db_n1"] == "page.html:5"


FOR = "{% for row in object_list %}{{ row.fetched }}{% endfor %}"
BASE = "{% for one in 'x' %}\n{% block a %}{% endblock %}{% endfor %}"
MIDDLE = (
    "{% extends 'base.html' %}{% block a %}{% if 1 %}"
    "{% block b %}{% endblock %}{% endif %}{% endblock %}"
)


@pytest.mark.parametrize("backend", ["django.DjangoTemplates", "jinja2.Jinja2"])
@pytest.mark.parametrize(
    "ours",
    [
        {"base.html": BASE, "middle.html": MIDDLE},
        {"middle.html": MIDDLE},
        {"list.html": "{% extends 'theirs.html' %}{% block c %}{% endblock %}"},
    ],
    ids=["base", "middle", "extends"],
)
def test_template_around_what_a_library_renders_is_not_named(
    ours: dict[str, str], backend: str, tmp_path: Path
) -> None:
    """A project's base template is on the stack of each query of a library's page."""
    page = "{% extends 'middle.html' %}{% block b %}" + FOR + "{% endblock %}"
    theirs = {"base.html": BASE, "middle.html": MIDDLE, "list.html": page, "theirs.html": page}
    folders = [tmp_path / "templates", tmp_path / "site-packages"]
    for folder, files in zip(folders, (ours, theirs), strict=True):
        folder.mkdir()
        for name, text in files.items():
            (folder / name).write_text(text)
    engines = [{"BACKEND": f"django.template.backends.{backend}", "DIRS": folders}]
    with override_settings(TEMPLATES=engines):
        assert event_of("/rows/")["db_n1"] == f"{__name__}.Rows"


@pytest.mark.parametrize("backend", ["django.DjangoTemplates", "jinja2.Jinja2"])
def test_template_that_fills_a_block_is_named(backend: str, tmp_path: Path) -> None:
    """Its own line is named, also where it includes a template of a library."""
    files = {
        "list.html": "{% extends 'base.html' %}\n{% block a %}\n" + FOR + "{% endblock %}",
        "page.html": "{% extends 'base.html' %}\n\n{% block a %}\n\n"
        "{% include 'part.html' %}{% endblock %}",
    }
    (tmp_path / "site-packages").mkdir()
    (tmp_path / "site-packages" / "base.html").write_text(BASE)
    (tmp_path / "site-packages" / "part.html").write_text(FOR)
    for name, text in files.items():
        (tmp_path / name).write_text(text)
    folders = [tmp_path, tmp_path / "site-packages"]
    engines = [{"BACKEND": f"django.template.backends.{backend}", "DIRS": folders}]
    with override_settings(TEMPLATES=engines):
        assert event_of("/rows/")["db_n1"] == "list.html:3"
        assert event_of("/page/")["db_n1"] == "page.html:5"


@pytest.mark.parametrize(
    ("address", "name"),
    [("/library/", "of-a-library (library.view)"), ("/unnamed/", "library.view")],
)
def test_view_of_a_library_is_named_itself(address: str, name: str) -> None:
    """Middleware around it is not: frames outside the view do not count."""
    assert event_of(address)["db_n1"] == name


def test_body_of_a_library_is_named_by_its_view() -> None:
    """The body is made after the view, by the code that sends it, such as a server in a script."""
    with capture_events() as events:
        response = Client().get("/stream/")
        assert b"".join(response.streaming_content) == b"row" * 5  # type: ignore[attr-defined]
        response.close()
    assert events[-1]["db_n1"] == "library.stream"


def test_body_of_a_library_is_named_by_its_view_in_an_event_loop() -> None:
    """There the application's own coroutine may be around the server's handler."""

    async def application(scope: Any, receive: Any, send: Any) -> None:
        await get_asgi_application()(scope, receive, send)

    async def get() -> bytes:
        scope = {"type": "http", "method": "GET", "path": "/stream-later/", "headers": []}
        exchange = ApplicationCommunicator(application, {**scope, "query_string": b""})
        await exchange.send_input({"type": "http.request", "body": b""})
        body, more = b"", True
        while more:
            message = await exchange.receive_output()
            body += message.get("body", b"")
            more = message["type"] == "http.response.start" or message.get("more_body", False)
        await exchange.wait()
        return body

    with override_settings(MIDDLEWARE=[OURS]), capture_events() as events:
        assert run_later(get()) == b"row" * 5
    assert events[-1]["db_n1"] == "library.stream_later"


def test_middleware_that_runs_queries_is_named() -> None:
    """Where no view runs yet, the line is its own."""
    assert event_of("/?own=1", lambda: None)["db_n1"].endswith(":__call__")


@pytest.mark.parametrize("later", [True, False], ids=["asgi", "wsgi"])
@pytest.mark.parametrize("theirs", ["Theirs", "TheirViews", "TheirsLater"])
def test_view_is_not_named_for_a_middleware_of_a_librarys(theirs: str, later: bool) -> None:
    """Its URL is resolved, but it has run none of the queries."""

    async def get(address: str) -> None:
        assert (await AsyncClient().get(address)).status_code == 200

    def name_of(address: str) -> str | None:
        with capture_events() as events:
            run_later(get(address)) if later else Client().get(address)
        return events[-1].get("db_n1")

    global work
    work = dict
    with override_settings(MIDDLEWARE=[OURS, f"{__name__}.{theirs}"]):
        assert name_of("/?run=1") is None
        assert name_of("/unnamed/") == "library.view"


@pytest.mark.parametrize(
    ("address", "end"),
    [
        ("/", ":index"),
        ("/later/", ":later"),
        ("/rows/", "list.html:2"),
        ("/library/", "of-a-library (library.view)"),
        ("/calls-later/", ":calls_later"),
    ],
)
@pytest.mark.parametrize("around", [True, False], ids=["sync middleware", "none"])
def test_the_same_holds_in_an_event_loop(address: str, end: str, around: bool) -> None:
    """Under ASGI the view's line is in a coroutine or in another thread."""

    async def get() -> None:
        assert (await AsyncClient().get(address)).status_code == 200

    middleware = [OURS, f"{__name__}.Around"] if around else [OURS]
    with override_settings(MIDDLEWARE=middleware), capture_events() as events:
        run_later(get())
    assert events[-1]["db_n1"].endswith(end)


@pytest.mark.parametrize(("address", "end"), [("/later/", ":later"), ("/calls-later/", "s_later")])
def test_line_of_a_coroutine_is_found_without_an_event_loop(address: str, end: str) -> None:
    """Under WSGI an async view has a loop of its own."""
    assert event_of(address)["db_n1"].endswith(end)


def test_wrapper_of_the_applications_is_no_caller() -> None:
    """Nor is its own cursor class: each query would have the same line."""

    def counts_them(execute: Any, *args: Any) -> Any:
        return execute(*args)

    assert within(counts_them, times=5)["db_n1"].endswith(":run")


def test_serializers_field_is_named() -> None:
    """Django REST framework's serializers run the queries of nested objects."""

    class Shown(serializers.Serializer):  # type: ignore[misc]
        fetched = serializers.CharField()

    shown = Shown([library["Row"]()] * 5, many=True)
    api = {"serialize": partial(getattr, shown, "data"), **library}
    view = "def view(request):\n    serialize()\n    return HttpResponse('ok')"
    exec(compile(view, "/usr/lib/python3/site-packages/api.py", "exec"), api)
    with override_settings(ROOT_URLCONF=(path("", api["view"]),)):
        assert event_of("/")["db_n1"] == f"{__name__}.Shown.fetched"


def test_task_of_a_library_is_named_itself() -> None:
    """Its caller is around it, as middleware is around a view."""
    task = slowhound.task(name="shop.tidy")(five)
    with capture_events() as events:
        task()
    assert events[-1]["db_n1"] == "shop.tidy"


def test_task_of_a_library_is_named_itself_in_an_event_loop() -> None:
    """The awaiting code is around a coroutine."""
    task = slowhound.task(name="shop.tidy")(library["later"])

    async def main() -> None:
        await task(sync_to_async)

    with capture_events() as events:
        run_later(main())
    assert events[-1]["db_n1"] == "shop.tidy"


def test_command_of_a_library_is_named_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    """The line of manage.py is not named."""
    monkeypatch.setattr(BaseCommand, "execute", BaseCommand.execute)
    monkeypatch.setattr("slowhound.sinks.stream.is_under_test", lambda: False)
    record_commands()
    command = type(
        "Command", (BaseCommand,), {"handle": library["handle"], "__module__": "lib.commands.tidy"}
    )
    command.requires_system_checks = []  # type: ignore[attr-defined]
    with capture_events() as events:
        call_command(command())
    assert events[-1]["db_n1"] == "tidy"


def test_connection_that_another_thread_has_opened_before_the_start_is_seen(configure: Any) -> None:
    """Under ASGI a record begins in the loop's thread, and its queries run in another one."""
    process.stop()

    def queried() -> None:
        request_started.send(sender=None)  # as Django's handler has it sent there
        run()

    with ThreadPoolExecutor(max_workers=1) as pool:
        pool.submit(run).result()  # nothing sees this one
        configure()

        @slowhound.task
        def asks() -> None:
            pool.submit(contextvars.copy_context().run, queried).result()

        with capture_events() as events:
            asks()
        pool.submit(forget).result()
    assert [event["db_queries"] for event in events] == [1]
