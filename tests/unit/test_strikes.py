"""An exception that strikes from outside, at any instruction of slowhound's, passes through once.

Signal handlers, ``PyThreadState_SetAsyncExc`` and gevent raise wherever a thread is.
"""

from __future__ import annotations

import asyncio
import gc
import itertools
import json
import logging
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import urllib3
from django.core.cache import cache
from django.db import connection
from django.http import HttpRequest, HttpResponse
from django.template import engines
from django.test import Client
from django.test.utils import override_settings
from django.urls import path

import slowhound
from slowhound.asgi import wrap
from slowhound.config.from_django import get_config
from slowhound.core.in_flight import in_flight
from slowhound.gunicorn.exit_signals import EXIT_SIGNALS
from slowhound.recorder import process
from slowhound.recorder.lost_responses import finish_lost
from slowhound.testing import capture_events
from tests.harness.gunicorn_worker import ask, sync_worker
from tests.harness.strikes import STRUCK, Striker, Struck, StruckName

pytestmark = pytest.mark.slow


def ok(request: HttpRequest, number: int) -> HttpResponse:
    return HttpResponse(f"{number}")


urlpatterns = [path("ok/<int:number>/", ok)]


def strike_everywhere(
    call: Callable[[int], object],
    kind: type[Struck | StruckName],
    *,
    swallows: str = "no function",
    next_ends_it: bool = False,
) -> list[tuple[int, str]]:
    """Strikes once in each call; returns the calls' numbers, with where each was struck.

    An exception that does not leave the call must have passed through ``swallows``, which are not
    slowhound's, or have struck in a function of slowhound's that one of them calls.
    ``next_ends_it``: the next call ends the records that a call leaves in flight.
    """
    found: list[tuple[int, str]] = []
    call(0)  # warm
    for at in itertools.count(1):
        striker = Striker(at, kind=kind)
        try:
            striker.run(partial(call, at), partial(call, 0))
        except STRUCK:
            pass
        else:
            if not striker.where:
                return found  # there are no more instructions
            at_door = striker.where.startswith(swallows)
            assert at_door or swallows in striker.outside, f"{striker.where} kept the exception"
        assert sys.exc_info()[1] is None, f"after {striker.where} it is handled for ever"
        if in_flight:  # its response was lost; the hound does this otherwise
            gc.collect()
            active = process.get()
            assert active is not None
            finish_lost(active.finish)
        if in_flight and next_ends_it:
            call(0)
        assert not in_flight, striker.where
        assert slowhound.current() is None, striker.where
        found.append((at, striker.where))
    raise AssertionError("unreachable")


def check_one_event_each(directory: Path, lines: Path, struck: list[tuple[int, str]]) -> None:
    """Each call whose record began has one event and one line, wherever it was struck."""
    active = process.get()
    assert active is not None
    assert active.own_box.box is not None
    assert len(active.own_box.box.free) == active.server.slots
    process.stop()
    (segment,) = (directory / "events").iterdir()
    events, shown = (
        Counter(event.get("req_path", event.get("task_name")) for event in map(json.loads, each))
        for each in (segment.read_text().splitlines(), lines.read_text().splitlines())
    )
    assert events == shown
    for at, where in struck:
        assert events[f"/ok/{at}/"] <= 1, where
    # Calls that were struck before their record began have none.
    without = [where for at, where in struck if not events[f"/ok/{at}/"]]
    assert without == [where for _, where in struck[: len(without)]]
    assert len(without) < len(struck) / 3


@pytest.fixture(autouse=True)
def _urls() -> Iterator[None]:
    with override_settings(ROOT_URLCONF=__name__):
        yield


@pytest.fixture
def lines(configure: Any, tmp_path: Path) -> Iterator[Path]:
    """The file of lines; Django logs nothing, for a log record would keep the traceback."""
    configure(STREAM=str(tmp_path / "lines"), FORMAT="json")
    logging.disable()
    gc.freeze()  # no collection visits the objects of other tests: a tenth of the time
    yield tmp_path / "lines"
    gc.unfreeze()
    logging.disable(logging.NOTSET)


@pytest.mark.timeout(600)
@pytest.mark.parametrize("kind", STRUCK)
def test_request_that_the_middleware_begins(
    kind: type[Struck | StruckName], lines: Path, tmp_path: Path
) -> None:
    """Django swallows what is raised while a response is closed, outside slowhound's code."""
    client = Client()
    struck = strike_everywhere(
        lambda at: client.get(f"/ok/{at}/"), kind, swallows="Closer.__call__"
    )
    check_one_event_each(tmp_path / "dir", lines, struck)


class Exchange:
    """A request as an ASGI server passes it, and the messages of its response."""

    def __init__(self, address: str) -> None:
        self.scope = {
            "type": "http",
            "method": "GET",
            "path": address,
            "headers": [],
            "query_string": b"",
        }
        self.sent: list[Any] = []

    async def receive(self) -> dict[str, Any]:
        """The request's message; there is no disconnect."""
        if not self.sent and not hasattr(self, "asked"):
            self.asked = True
            return {"type": "http.request", "body": b"", "more_body": False}
        await asyncio.Event().wait()
        raise AssertionError("unreachable")

    async def send(self, message: Any) -> None:
        """Keeps the message."""
        self.sent.append(message)


async def answer(scope: Any, receive: Any, send: Any) -> None:
    """An application of two messages."""
    await receive()
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b"ok"})


@pytest.mark.timeout(600)
# For a strike between the creation of a coroutine and its await.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize("kind", STRUCK)
def test_request_that_the_wrap_begins(
    kind: type[Struck | StruckName], lines: Path, tmp_path: Path
) -> None:
    """With ``wrap``, no other code swallows what is raised."""
    wrapped = wrap(answer)

    def call(at: int) -> None:
        exchange = Exchange(f"/ok/{at}/")
        coroutine = wrapped(exchange.scope, exchange.receive, exchange.send)
        with suppress(StopIteration):
            coroutine.send(None)  # without a loop, whose tasks would keep the exception

    struck = strike_everywhere(call, kind)
    check_one_event_each(tmp_path / "dir", lines, struck)


@pytest.mark.timeout(600)
@pytest.mark.parametrize("kind", STRUCK)
def test_task(kind: type[Struck | StruckName], lines: Path, tmp_path: Path) -> None:
    """Strikes in a function with ``slowhound.task``."""

    def call(at: int) -> None:
        slowhound.task(name=f"/ok/{at}/")(lambda: None)()

    struck = strike_everywhere(call, kind)
    check_one_event_each(tmp_path / "dir", lines, struck)


def one_query() -> None:
    with connection.cursor() as cursor:
        cursor.execute("SELECT 1")


def one_template() -> None:
    engines["django"].from_string("{{ a }}").render({"a": 1})


def one_request() -> None:
    """Sends a request by urllib3 to a port where nothing listens."""
    with suppress(urllib3.exceptions.HTTPError):
        urllib3.HTTPConnectionPool("127.0.0.1", 9, retries=False).request("GET", "/")


WORK = {
    "db_queries": one_query,
    "cache_misses": lambda: cache.get("nothing"),
    "cache_hits": lambda: cache.get_or_set("kept", 1),
    "tmpl_count": one_template,
    "out_count": one_request,
}


def works(request: HttpRequest, number: int) -> HttpResponse:
    """Does its work, struck at one instruction of an instrumenter, and once more without."""
    field = request.GET["field"]
    striker = Striker(number, "instrument/", StruckName)
    try:
        striker.run(WORK[field], WORK[field])
    except STRUCK:
        reached = True
    else:
        reached = False
    WORK[field]()
    return HttpResponse(f"{reached} {striker.where}")


urlpatterns.append(path("works/<int:number>/", works))


# How often the view does its work; the event may have one less, which was struck.
ALL = 3 if sys.version_info >= (3, 12) else 2


@pytest.mark.timeout(600)
@pytest.mark.parametrize("field", WORK)
def test_instrumenter(field: str, configure: Any) -> None:
    """The exception reaches the view, and what the view does next is counted."""
    configure()
    client = Client()
    client.get(f"/works/0/?field={field}")
    with capture_events() as events:
        for number in itertools.count(1):
            reached, where = (
                client.get(f"/works/{number}/?field={field}").content.decode().split(" ")
            )
            if not where:
                break
            assert reached == "True", where
            assert sys.exc_info()[1] is None, f"after {where} it is handled for ever"
            assert events[-1].get(field) in (ALL - 1, ALL), where
    assert number > 10
    assert events[-1][field] == ALL


@pytest.mark.timeout(600)
@pytest.mark.parametrize("kind", STRUCK)
def test_request_that_the_hooks_begin(
    kind: type[Struck | StruckName], lines: Path, tmp_path: Path
) -> None:
    """Gunicorn sends an error, and logs what is raised in its hooks."""
    process.start(get_config())
    with sync_worker() as worker:
        struck = strike_everywhere(
            lambda at: ask(worker, f"/ok/{at}/"), kind, swallows="sync.py:handle", next_ends_it=True
        )
    # Or the signals that end the worker would be deferred for ever.
    assert not EXIT_SIGNALS.unfinished
    check_one_event_each(tmp_path / "dir", lines, struck)
