"""Concurrent requests in one event loop do not mix, in whatever order they run."""

from __future__ import annotations

import asyncio
import gc
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from asgiref import sync as asgiref_sync
from asgiref.sync import sync_to_async
from django.core.cache import cache
from django.core.handlers.asgi import ASGIHandler
from django.db import connection, connections
from django.db.backends.base.base import BaseDatabaseWrapper
from django.http import HttpRequest, HttpResponse
from django.template import engines
from django.test.utils import override_settings
from django.urls import path
from hypothesis import given, settings
from hypothesis import strategies as st

from slowhound import Context
from slowhound.asgi import wrap
from slowhound.core.in_flight import current_record, in_flight
from slowhound.recorder import process
from slowhound.testing import capture_events

MIDDLEWARE = "slowhound.middleware.SlowhoundMiddleware"
# What a request does next, and how often the others run before.
STEPS = ("query", "cache", "template", "context", "child", "thread", "any thread")
plans: dict[str, list[tuple[str, int]]] = {}
threads: list[int] = []


def one_query() -> None:
    with connection.cursor() as cursor:
        cursor.execute("SELECT 1")
    # Closed, for its thread ends with the request; Django leaves an in-memory database open.
    BaseDatabaseWrapper.close(connections["default"])


def one_cache_call() -> None:
    cache.get("nothing")


def one_template() -> None:
    engines["django"].from_string("rendered").render({})


async def do(step: str, name: str, number: int) -> None:
    if step == "query":
        await sync_to_async(one_query)()
    elif step == "cache":
        one_cache_call()
    elif step == "template":
        one_template()
    elif step == "context":
        Context.set(f"{name}_{number}", name)
    elif step == "child":
        await asyncio.gather(child(), child())
    elif step == "thread":
        await sync_to_async(one_cache_call)()
    else:
        await sync_to_async(one_cache_call, thread_sensitive=False)()


async def child() -> None:
    await asyncio.sleep(0)
    one_cache_call()
    await asyncio.sleep(0)


async def planned(request: HttpRequest, name: str) -> HttpResponse:
    for number, (step, turns) in enumerate(plans[name]):
        for _ in range(turns):
            await asyncio.sleep(0)
        await do(step, name, number)
        Context.set("last", f"{name} {number}")
        await asyncio.sleep(0)
        assert Context.get("last") == f"{name} {number}"
    return HttpResponse(str(Context.get("id", namespace="req")))


async def where(request: HttpRequest) -> HttpResponse:
    threads.append(threading.get_ident())
    return HttpResponse("here")


async def raises_here(request: HttpRequest) -> HttpResponse:
    raise ValueError("here")


urlpatterns = [
    path("planned/<str:name>/", planned),
    path("where/", where),
    path("raises/", raises_here),
]


class Exchange:
    """One request to an ASGI application, message by message."""

    def __init__(self, url: str) -> None:
        self.scope = {
            "type": "http",
            "method": "GET",
            "path": url,
            "query_string": b"",
            "headers": [(b"host", b"testserver")],
        }
        self.sent: list[dict[str, Any]] = []
        self._asked = False

    async def receive(self) -> dict[str, Any]:
        if not self._asked:
            self._asked = True
            return {"type": "http.request", "body": b""}
        await asyncio.get_running_loop().create_future()  # the client stays
        raise AssertionError

    async def send(self, message: dict[str, Any]) -> None:
        self.sent.append(message)

    @property
    def body(self) -> str:
        return b"".join(message.get("body", b"") for message in self.sent).decode()


async def ask(application: Any, *urls: str) -> list[Exchange]:
    """Runs concurrent requests as a server would; returns their exchanges."""
    exchanges = [Exchange(url) for url in urls]
    await asyncio.gather(*(application(each.scope, each.receive, each.send) for each in exchanges))
    assert current_record.get() is None
    return exchanges


@pytest.fixture
def _site() -> Iterator[None]:
    with override_settings(ROOT_URLCONF=__name__, MIDDLEWARE=[MIDDLEWARE]):
        yield


def bare() -> Any:
    return ASGIHandler()


def wrapped() -> Any:
    return wrap(ASGIHandler())


plan = st.lists(st.tuples(st.sampled_from(STEPS), st.integers(0, 3)), max_size=8)


def counts(steps: list[tuple[str, int]]) -> dict[str, int]:
    """The counts in the event of a request with this plan."""
    done = [step for step, _ in steps]
    return {
        "db_queries": done.count("query"),
        "cache_misses": done.count("cache")
        + 2 * done.count("child")
        + done.count("thread")
        + done.count("any thread"),
        "tmpl_count": done.count("template"),
    }


@pytest.mark.usefixtures("_site")
@pytest.mark.parametrize("make", [bare, wrapped])
def test_interleaved_requests_never_mix(make: Callable[[], Any]) -> None:
    """Each request has one event with its own counts and context, in any order of turns."""
    application = make()

    @settings(max_examples=60)
    @given(st.lists(plan, min_size=2, max_size=4))
    def hold(each: list[list[tuple[str, int]]]) -> None:
        plans.clear()
        plans.update({f"r{number}": steps for number, steps in enumerate(each)})
        with capture_events() as events:
            exchanges = asyncio.run(ask(application, *(f"/planned/{name}/" for name in plans)))
        assert sorted(event["req_path"] for event in events) == [f"/planned/{n}/" for n in plans]
        ids = {event["req_path"]: event["req_id"] for event in events}
        assert [exchange.body for exchange in exchanges] == [ids[f"/planned/{n}/"] for n in plans]
        for event in events:
            name = event["req_path"].split("/")[2]
            steps = plans[name]
            expected = counts(steps)
            assert {key: event.get(key) or 0 for key in expected} == expected
            own = {key: value for key, value in event.items() if key.startswith("app_r")}
            numbers = [n for n, (step, _) in enumerate(steps) if step == "context"]
            assert own == {f"app_{name}_{number}": name for number in numbers}
            assert event.get("app_last") == (f"{name} {len(steps) - 1}" if steps else None)
            assert event["resp_outcome"] == "ok"
        assert not in_flight

    hold()


@pytest.mark.usefixtures("_site")
@pytest.mark.parametrize("make", [bare, wrapped])
def test_coroutine_view_runs_in_the_loops_own_thread(
    make: Callable[[], Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Slowhound adds no thread hop: sync_to_async is called as often as without it."""
    called: list[str] = []
    original = asgiref_sync.SyncToAsync.__call__

    async def counted(self: Any, *args: Any, **kwargs: Any) -> Any:
        called.append(getattr(self.func, "__qualname__", repr(self.func)))
        return await original(self, *args, **kwargs)

    monkeypatch.setattr(asgiref_sync.SyncToAsync, "__call__", counted)
    threads.clear()

    def calls_of(application: Any) -> list[str]:
        called.clear()
        asyncio.run(ask(application, "/where/"))
        return sorted(called)

    with override_settings(MIDDLEWARE=[]):
        without = calls_of(ASGIHandler())
    with capture_events() as events:
        with_it = calls_of(make())
    assert with_it == without
    assert threads == [threading.get_ident()] * 2
    assert len(events) == 1


@pytest.mark.usefixtures("_site")
def test_middleware_is_a_coroutine_only_where_it_may_be() -> None:
    """The middleware is async under ASGI, and sync under WSGI."""
    with capture_events() as events:
        asyncio.run(ask(wrapped(), "/raises/", "/where/", "/missing/"))
    statuses = {event["req_path"]: event["resp_status"] for event in events}
    assert statuses == {"/raises/": 500, "/where/": 200, "/missing/": 404}
    assert len({event["req_id"] for event in events}) == 3


# Django leaves the file of the body open then.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.usefixtures("_site")
def test_cancelled_request_has_one_event() -> None:
    """A cancelled request has one event, and leaves nothing in flight."""

    async def cancel(application: Any) -> None:
        assert not in_flight
        plans["r0"] = [("child", 10**9)]  # Django's view goes on meanwhile
        exchange = Exchange("/planned/r0/")
        task = asyncio.ensure_future(application(exchange.scope, exchange.receive, exchange.send))
        while not in_flight or next(iter(in_flight.values())).request is None:  # noqa: ASYNC110
            await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    with capture_events() as events:
        asyncio.run(cancel(wrapped()))
    assert [event["resp_outcome"] for event in events] == ["cancelled"]
    assert not in_flight
    gc.collect()  # Python warns of what Django has left open here, and not in a later test


@pytest.mark.usefixtures("_site")
def test_requests_of_loops_that_come_and_go_are_recorded() -> None:
    """A closed loop is forgotten, and never reported as blocked."""
    application = wrapped()
    with capture_events() as events:
        for _ in range(5):
            asyncio.run(ask(application, "/where/"))
        active = process.get()
        assert active is not None
        now = time.monotonic()
        for turn in range(1, 4):  # runs of the hound, seconds apart, while no loop runs
            active.loops.check([], now + 10 * turn)
    assert [event["event_type"] for event in events] == ["request"] * 5
    assert len(active.loops._loops) <= 1


@pytest.mark.usefixtures("_site")
def test_loop_that_does_not_run_is_not_blocked() -> None:
    """A loop that is not running, between two runs or after the last, is not blocked."""
    application = wrapped()
    loop = asyncio.new_event_loop()
    with capture_events() as events:
        loop.run_until_complete(ask(application, "/where/"))
        active = process.get()
        assert active is not None
        for turn in range(1, 4):
            active.loops.check([], time.monotonic() + 10 * turn)
        loop.run_until_complete(loop.shutdown_asyncgens())
        loop.close()
        for turn in range(4, 8):
            active.loops.check([], time.monotonic() + 10 * turn)
    assert [event["event_type"] for event in events] == ["request"]
