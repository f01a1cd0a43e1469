"""Makes every part of slowhound fail in turn, and compares the response byte for byte."""

from __future__ import annotations

import copy
import errno
import gc as gc_module
import json
import os
from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any

import pytest
from django.core.cache import caches
from django.core.cache.backends.locmem import LocMemCache
from django.core.handlers.base import BaseHandler
from django.http import HttpRequest, HttpResponse
from django.template.base import Template
from django.test import Client
from django.test.utils import override_settings

import slowhound
from slowhound.blackbox.box import Box
from slowhound.core.record import Record
from slowhound.event import formats
from slowhound.flames.files import FlameFiles
from slowhound.flames.sampling import profile_writer, sampler, session
from slowhound.flames.sampling.profile_writer import ProfileWriter
from slowhound.flames.sampling.sampler import Sampler
from slowhound.instrument import cache, callers, db, events, exception, gc, http, request, template
from slowhound.instrument.registry import instrumenters
from slowhound.instrument.saturation import Saturation
from slowhound.on_demand import profiled_request, wrapper
from slowhound.on_demand import responses as graph_responses
from slowhound.on_demand.profiled_request import ProfiledRequest
from slowhound.on_demand.writer import GraphWriter
from slowhound.recorder import process
from slowhound.recorder.completion import Completion
from slowhound.recorder.lost_responses import finish_lost
from slowhound.recorder.own_box import OwnBox
from slowhound.recorder.peer_checks import PeerChecks
from slowhound.recorder.process import Recorder
from slowhound.recorder.writer import Writer
from slowhound.redaction.sql import shape as sql
from slowhound.sinks import stream
from slowhound.stacks import capture
from slowhound.system import guard
from slowhound.system.append_file import AppendFile
from slowhound.testing import capture_events

PATHS = [
    "/",
    "/queries/",
    "/cached/",
    "/fails/",
    "/denied/",
    "/template/",
    "/stream/",
    "/context/",
    "/partial/",
    "/missing/",
    "/?flames",
    "/stream/?flames",
]
# What a client gets in addition when it requests a graph.
GRAPH_HEADERS = {"Slowhound-Flames", "Server-Timing", "Link", "Cache-Control"}

PARTS: list[tuple[Any, str]] = [
    (Recorder, "begin"),
    (Recorder, "emit"),
    (Completion, "complete"),
    (Writer, "write"),
    (Recorder, "start"),
    (Recorder, "_conclude"),
    (Completion, "add_worker"),
    (events, "terminal"),
    (OwnBox, "tend"),
    (Writer, "tend"),
    (PeerChecks, "check"),
    (Record, "__init__"),
    (Record, "note"),
    (Record, "view"),
    (db, "_count"),
    (db, "describe"),
    (db, "details"),
    (db, "_open_ones"),
    (callers, "place"),
    (cache, "_count"),
    (cache, "describe"),
    (cache, "_wrap"),
    (cache, "own_time"),
    (template, "own_time"),
    (template, "describe"),
    (exception, "locate"),
    (exception, "fields_of"),
    (exception, "innermost_template"),
    (exception, "describe"),
    (gc, "describe"),
    (http, "describe"),
    (request, "describe_request"),
    (request, "describe_response"),
    (Saturation, "inside"),
    (formats, "logfmt"),
    (formats, "json_line"),
    (AppendFile, "write"),
    (AppendFile, "open"),
    (AppendFile, "tend"),
    (Box, "__init__"),
    (stream, "to_stdout"),
    (capture, "from_frame"),
    (sql, "sql_shape"),
    (Sampler, "__init__"),
    (Sampler, "scan"),
    (Sampler, "awake"),
    (ProfileWriter, "write"),
    (Sampler, "ending"),
    (ProfileWriter, "put"),
    (Sampler, "stop"),
    (sampler, "sample_stack"),
    (profile_writer, "profile_of"),
    (FlameFiles, "name"),
    (FlameFiles, "write"),
    (wrapper, "may_ask"),
    (wrapper, "graph_request"),
    (wrapper, "is_allowed"),
    (profiled_request, "is_user_allowed"),
    (ProfiledRequest, "__init__"),
    (ProfiledRequest, "start"),
    (ProfiledRequest, "discard"),
    (ProfiledRequest, "stop_sampling"),
    (session, "start"),
    (session, "stop"),
    (graph_responses, "add_headers"),
    (GraphWriter, "put"),
]  # fmt: skip


class BoomError(Exception):
    """Raised by the parts that are made to fail."""


def raises(*args: Any, **kwargs: Any) -> Any:
    raise BoomError


@pytest.fixture(autouse=True)
def _quiet(_fresh: None) -> Iterator[None]:
    """The guard catches, as in production."""
    guard.loud = False
    yield
    guard.loud = True


def responses(client: Client) -> list[tuple[int, bytes, dict[str, str]]]:
    found = []
    client.cookies["sessionid"] = (
        "another user's"  # so that the permission is checked again after the view
    )
    for path in PATHS:
        response = client.get(path)
        body = response.getvalue() if response.streaming else response.content  # type: ignore[attr-defined]
        response.close()
        kept = {k: v for k, v in response.items() if k not in GRAPH_HEADERS}
        found.append((response.status_code, body, kept))
    return found


@pytest.fixture
def untouched(client: Client, configure: Any) -> Callable[[], Any]:
    """The responses of a site without slowhound."""
    configure(ENABLED=False)
    expected = responses(client)
    # Each request is sampled; its permission is known before the view or only after it.
    configure(STREAM="auto", SAMPLE_AFTER=0, FLAMES={"ALLOW": [f"{__name__}.maybe"], "EVERY": 0})
    return lambda: expected


def maybe(request: HttpRequest) -> bool:
    """Allows streams before the view, and refuses all others after it."""
    if request.path == "/stream/":
        return True
    if not hasattr(request, "resolver_match") or request.resolver_match is None:
        raise AttributeError("too soon")
    return False


@pytest.mark.parametrize(
    ("owner", "name"), PARTS, ids=[f"{getattr(o, '__name__', o)}.{n}" for o, n in PARTS]
)
def test_part_that_fails_never_hurts(
    owner: Any, name: str, client: Client, untouched: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The responses are the same while a part fails from the first request on."""
    broken = property(raises) if isinstance(getattr(owner, name), property) else raises
    monkeypatch.setattr(owner, name, broken)
    assert responses(Client(raise_request_exception=False)) == untouched()


@pytest.mark.slow
@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EROFS, errno.EACCES, errno.EIO])
@pytest.mark.parametrize("call", ["open", "write", "makedirs", "lstat", "fstat", "posix_fallocate"])
def test_file_operation_that_fails_never_hurts(
    call: str, number: int, untouched: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The responses are the same while a file operation fails."""

    def fails(*args: Any, **kwargs: Any) -> Any:
        raise OSError(number, os.strerror(number))

    expected = untouched()
    with monkeypatch.context() as patched:  # not longer: pytest's own capture uses fstat
        patched.setattr(os, call, fails)
        found = responses(Client(raise_request_exception=False))
    assert found == expected


def test_instrumenter_of_the_application_that_fails_never_hurts(untouched: Any) -> None:
    """The responses are the same while the application's instrumenter fails."""

    class Fails:
        setup = call = raises

    instrumenters["Fails"] = Fails()  # type: ignore[assignment]
    try:
        assert responses(Client(raise_request_exception=False)) == untouched()
    finally:
        del instrumenters["Fails"]


def test_installing_that_fails_never_hurts(untouched: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """An instrumenter whose ``install`` fails is left out."""
    for module in (cache, db, exception, gc, http, template):
        monkeypatch.setattr(module, "install", raises)
    assert responses(Client(raise_request_exception=False)) == untouched()
    assert process.get() is not None


def test_nothing_stays_patched_after_a_stop(client: Client, configure: Any) -> None:
    """After a stop, Django's classes have their own methods again."""
    before = (LocMemCache.get, Template.render, BaseHandler.process_exception_by_middleware)
    configure()
    client.get("/")
    assert LocMemCache.get is not before[0]
    assert Template.render is not before[1]
    process.stop()
    after = (LocMemCache.get, Template.render, BaseHandler.process_exception_by_middleware)
    assert after == before


def test_patches_of_others_are_kept(
    client: Client, configure: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another tool's patches run, whether they were made before slowhound's or after."""
    seen = []
    own = Template.render

    def first(self: Template, context: Any) -> Any:
        seen.append("first")
        return own(self, context)

    monkeypatch.setattr(Template, "render", first)
    configure()
    client.get("/template/")
    assert "first" in seen
    ours = Template.render

    def last(self: Template, context: Any) -> Any:
        return ours(self, context)

    monkeypatch.setattr(Template, "render", last)
    process.stop()
    assert Template.render is last


def test_copied_cache_is_independent(client: Client) -> None:
    """A copied cache with another prefix does not read the original's keys."""
    client.get("/cached/")
    other = copy.copy(caches["default"])
    other.key_prefix = "tenant"
    caches["default"].set("k", "plain")
    assert other.get("k") is None


@override_settings(
    MIDDLEWARE=[
        "django.middleware.cache.UpdateCacheMiddleware",
        "slowhound.middleware.SlowhoundMiddleware",
        "django.middleware.cache.FetchFromCacheMiddleware",
    ]
)
def test_response_can_be_pickled_by_a_cache_around_it() -> None:
    """A cache middleware around slowhound's stores the response and serves it again."""
    caches["default"].clear()
    each = Client(raise_request_exception=False)
    with capture_events() as events:
        assert [each.get("/").status_code for _ in range(2)] == [200, 200]
    assert len(events) == 2


class Replaces:
    """A middleware around slowhound's that returns another response."""

    def __init__(self, get_response: Any) -> None:
        self.get_response = get_response

    def __call__(self, request: Any) -> HttpResponse:
        self.get_response(request)
        return HttpResponse("replaced")


@override_settings(
    MIDDLEWARE=[
        "tests.unit.test_never_hurts.Replaces",
        "slowhound.middleware.SlowhoundMiddleware",
    ]
)
def test_replaced_responses_lose_no_request() -> None:
    """Requests whose response is replaced have an event, and so have those after them."""
    each = Client()
    with capture_events() as events:
        for _ in range(5):
            assert each.get("/").content == b"replaced"
        gc_module.collect()
        active = process.get()
        assert active is not None
        finish_lost(active.finish)
    assert len(events) == 5


def test_hostile_length_switches_nothing_off(client: Client) -> None:
    """A Content-Length that is too large costs one field of one request."""
    with capture_events() as events:
        for _ in range(guard.MOST_FAILURES + 5):
            client.get("/", headers={"content-length": "9" * 5000})
        client.get("/")
    assert len(events) == guard.MOST_FAILURES + 6
    assert "req_bytes" not in events[0]


class Lazy:
    """A lazy object on which everything fails, also reading its class."""

    @property
    def __class__(self) -> Any:  # type: ignore[override]
        raise RuntimeError("the database is down")

    def __str__(self) -> str:
        raise RuntimeError("the database is down")


def test_value_that_cannot_be_read_costs_its_own_field(client: Client, configure: Any) -> None:
    """A lazy object that fails is shown by its type, and the event is written."""
    directory = configure()

    def adds_lazy(request: Any, response: Any, environ: Any) -> None:
        slowhound.Context.set("user", Lazy())

    instrumenters["Adds"] = SimpleNamespace(call=adds_lazy)  # type: ignore[assignment]
    try:
        for _ in range(guard.MOST_FAILURES + 5):
            client.get("/")
    finally:
        del instrumenters["Adds"]
    (segment,) = (directory / "events").iterdir()
    events = [json.loads(line) for line in segment.read_text().splitlines()]
    assert [event["app_user"] for event in events] == ["<Lazy>"] * (guard.MOST_FAILURES + 5)


def test_event_that_cannot_be_made_is_still_an_event(
    client: Client, configure: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """If describing a request fails, the event still has the path, the time and the status."""
    directory = configure()
    monkeypatch.setattr(request, "describe_request", raises)
    for _ in range(guard.MOST_FAILURES + 5):
        client.get("/")
    (segment,) = (directory / "events").iterdir()
    events = [json.loads(line) for line in segment.read_text().splitlines()]
    assert [event["resp_status"] for event in events] == [200] * (guard.MOST_FAILURES + 5)
    assert events[-1]["rec_errors"] >= guard.MOST_FAILURES
