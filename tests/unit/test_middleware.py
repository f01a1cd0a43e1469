"""Requests through the middleware, in process; tests/servers has those on servers."""

from __future__ import annotations

import asyncio
import gc
import json
import os
import threading
import time
from pathlib import Path
from typing import Any

import pytest
from django.http import HttpResponse
from django.test import Client, RequestFactory
from django.test.utils import override_settings

import slowhound
from slowhound.core.in_flight import in_flight
from slowhound.core.record import Record
from slowhound.event.fields import FIELDS
from slowhound.middleware import SlowhoundMiddleware
from slowhound.recorder import process
from slowhound.recorder.lost_responses import finish_lost
from slowhound.testing import capture_events
from tests.unit import views


def event_of(client: Client, path: str) -> dict[str, Any]:
    with capture_events() as events:
        response = client.get(path)
        if response.streaming:
            b"".join(response.streaming_content)  # type: ignore[attr-defined]
            response.close()
    return events[-1]


def test_request_has_one_event(client: Client) -> None:
    """The event has the request and its outcome, and nothing stays in flight."""
    event = event_of(client, "/")
    assert next(iter(event)) == "event_type"
    assert (event["req_method"], event["req_path"], event["resp_view"]) == ("GET", "/", "root")
    assert (event["resp_status"], event["resp_bytes"], event["resp_outcome"]) == (200, 2, "ok")
    assert not in_flight


def test_queries_are_counted_and_the_repeat_is_located(client: Client) -> None:
    """Six of seven queries are duplicates, and the event has the line that repeats them."""
    event = event_of(client, "/queries/")
    assert (event["db_queries"], event["db_dup_queries"]) == (7, 6)
    assert event["db_n1"].endswith(":queries")
    shapes = {row["fingerprint"]: row["count"] for row in event["db_top"]}
    assert shapes == {"SELECT ?": 6, "SELECT ?, ?": 1}


def test_cache_calls_are_counted_once(client: Client) -> None:
    """get_many counts each key once, whatever it calls; get_or_set is one hit or miss."""
    event = event_of(client, "/cached/")
    counts = (event["cache_hits"], event["cache_misses"], event["cache_sets"])
    # get, get, get_many (a, b), get_or_set (a miss, and a set)
    assert counts == (2, 3, 4)


def test_times_add_up_to_the_whole(client: Client) -> None:
    """The times of db, cache, templates and the rest add up to the whole."""
    event = event_of(client, "/queries/")
    parts = event["db_time"] + event["rest_time"]
    assert parts == pytest.approx(event["resp_time"])


def test_exception_without_a_text_keeps_the_rest(client: Client) -> None:
    """An exception whose __str__ raises costs its text only."""
    event = event_of(client, "/fails/")
    assert (event["exc_type"], event["resp_status"]) == ("Unprintable", 500)
    assert event["exc_msg"] == "<exception text not available>"
    assert event["exc_cause_loc"].endswith(":fails")
    assert event["resp_outcome"] == "error"


def test_handled_exception_is_distinguished_from_an_unhandled_one(client: Client) -> None:
    """PermissionDenied counts as handled, any other exception does not."""
    event = event_of(client, "/denied/")
    assert (event["exc_type"], event["exc_handled"], event["resp_outcome"]) == (
        "PermissionDenied",
        True,
        "ok",
    )


def test_innermost_template_is_named(client: Client) -> None:
    """The event has the line of the included template that failed, not of the page."""
    assert event_of(client, "/template/")["exc_template"] == "inner.html:3"


def test_stream_is_counted_to_its_end(client: Client) -> None:
    """A stream has all its bytes, and its first byte came before the last."""
    event = event_of(client, "/stream/")
    assert event["resp_bytes"] == 8
    assert event["resp_ttfb"] < event["resp_time"]


def test_abandoned_stream_is_a_disconnect(client: Client) -> None:
    """A body that is closed before its end is a disconnect."""
    with capture_events() as events:
        response = client.get("/stream/")
        next(iter(response.streaming_content))  # type: ignore[attr-defined]
        response.close()
    assert events[-1]["resp_outcome"] == "disconnect"


def test_context_belongs_to_its_request(client: Client) -> None:
    """Fields and times of Context are in one request's event only."""
    event = event_of(client, "/context/")
    assert event["app_customer"] == "ada"
    assert event["app_pricing_time"] >= 0.02
    assert slowhound.Context.get("customer") is None
    assert "app_customer" not in event_of(client, "/")


def test_context_cannot_forge_slowhounds_own_fields(client: Client) -> None:
    """A value under one of slowhound's names is kept under another one."""
    event = event_of(client, "/context/")
    assert (event["req_method"], event["app_req_method"]) == ("GET", "PUT")


def test_partial_failure_is_correlated(client: Client) -> None:
    """A partial_failure event has the request's id."""
    with capture_events() as events:
        assert client.get("/partial/").content == b"fallback"
    failure, request = events
    assert (failure["event_type"], failure["exc_type"]) == ("partial_failure", "ValueError")
    assert failure["exc_cause_loc"].endswith(":risky")
    assert failure["req_id"] == request["req_id"]


def test_partial_failure_of_a_coroutine_is_survived() -> None:
    """on_error also works for async functions."""
    with capture_events() as events:
        assert asyncio.run(views.risky_async()) == "fallback"
    assert events[0]["event_type"] == "partial_failure"
    assert events[0]["req_id"] is None


def test_partial_failure_is_raised_with_debug() -> None:
    """With DEBUG the exception is raised."""
    with override_settings(DEBUG=True), pytest.raises(ValueError, match="survived"):
        views.risky()


def test_sampling_keeps_errors(client: Client, configure: Any) -> None:
    """A rate of 0 drops successful requests and keeps errors."""
    configure(SAMPLING={"ok": 0})
    with capture_events() as events:
        client.get("/")
        client.get("/fails/")
    assert [event["req_path"] for event in events] == ["/fails/"]


def test_sampled_event_carries_its_rate(client: Client, configure: Any) -> None:
    """A kept event has the rate at which it was sampled."""
    configure(SAMPLING={"ok": 0.9999999})
    assert event_of(client, "/")["sample_rate"] == pytest.approx(1, abs=1e-6)


def test_event_is_in_the_segment(client: Client, configure: Any) -> None:
    """The event is one line of JSON in the process's own file."""
    directory = configure()
    client.get("/queries/?token=abc&page=2")
    (segment,) = (directory / "events").iterdir()
    event = json.loads(segment.read_text())
    assert event["req_query_keys"] == "token,page"
    assert "abc" not in segment.read_text()
    assert segment.stat().st_mode & 0o777 == 0o600


def test_response_thrown_away_is_finished_by_the_hound(client: Client) -> None:
    """A response that is freed without close() is finished by the hound."""
    with capture_events() as events:
        middleware = SlowhoundMiddleware(lambda request: HttpResponse("x"))
        response = middleware(RequestFactory().get("/thrown/"))
        assert len(in_flight) == 1
        del response
        gc.collect()
        active = process.get()
        assert active is not None
        finish_lost(active.finish)
    assert [event["req_path"] for event in events] == ["/thrown/"]
    assert not in_flight


def test_middleware_listed_twice_counts_once(client: Client) -> None:
    """Of two entries of the middleware, only the outer one records."""
    ours = "slowhound.middleware.SlowhoundMiddleware"
    with override_settings(MIDDLEWARE=[ours, ours]), capture_events() as events:
        client.get("/")
    assert len(events) == 1


def test_exception_through_the_middleware_is_finished_and_raised() -> None:
    """An exception that passes through the middleware ends the request, and is raised."""

    def raises(request: Any) -> HttpResponse:
        raise SystemExit(1)

    with capture_events() as events, pytest.raises(SystemExit):
        SlowhoundMiddleware(raises)(RequestFactory().get("/"))
    assert [event["resp_outcome"] for event in events] == ["error"]


def test_forked_child_shares_nothing(client: Client, configure: Any) -> None:
    """A forked child writes into none of its parent's files, and records its own requests."""
    directory = configure()
    client.get("/")
    pid = os.fork()
    if pid == 0:
        fine = not in_flight and process.get() is None
        client.get("/")
        os._exit(0 if fine else 1)
    assert os.waitpid(pid, 0)[1] == 0
    client.get("/")
    pids = [
        [json.loads(line)["pid"] for line in path.read_text().splitlines()]
        for path in sorted((directory / "events").iterdir())
    ]
    assert sorted(pids, key=len) == [[pid], [os.getpid(), os.getpid()]]


@pytest.fixture
def waiting(client: Client) -> Any:
    """A request that waits in its view until the test lets it go on."""
    views.gates.update(entered=threading.Event(), open=threading.Event())
    thread = threading.Thread(target=client.get, args=("/waits/?password=abc&page=2",))

    def start() -> threading.Thread:
        thread.start()
        assert views.gates["entered"].wait(10)
        return thread

    yield start
    views.gates["open"].set()
    thread.join()


def report_of(directory: Path) -> str:
    for _ in range(1000):
        found = list((directory / "reports").glob("slow_request_*.log"))
        if found and found[0].read_text().endswith("\n"):
            return found[0].read_text()
        threading.Event().wait(0.01)
    raise AssertionError("no report came")


def test_slow_request_is_reported_while_it_waits(configure: Any, waiting: Any) -> None:
    """The report has dogslow's head, the stack, and no secret from the query string."""
    directory = configure(SLOW_AFTER=0.05)
    waiting()
    report = report_of(directory)
    assert report.startswith("Undead request intercepted at: ")
    assert "GET http://testserver/waits/?password=********************&page=2" in report
    assert "in waits" in report
    assert "hunter2" not in report.replace('password = "hunter2"', "")


def test_locals_are_masked_and_cut(configure: Any, waiting: Any) -> None:
    """A secret name is masked, a long list is cut, and repr is never called."""
    directory = configure(SLOW_AFTER=0.05, LOCALS=True)
    waiting()
    report = report_of(directory)
    assert "password = ********************" in report
    assert "numbers = [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, ...]" in report
    assert "request = <django.core.handlers.wsgi.WSGIRequest object>" in report
    assert "lazy = <django.utils.functional.SimpleLazyObject object>" in report
    assert not views.evaluated


def test_report_has_the_end_of_the_request(configure: Any, waiting: Any) -> None:
    """The report file ends with the request's whole time."""
    directory = configure(SLOW_AFTER=0.05)
    thread = waiting()
    report_of(directory)
    views.gates["open"].set()
    thread.join()
    process.stop()
    assert report_of(directory).rstrip().endswith("status 200, outcome ok.")


@pytest.mark.parametrize("path", ["/", "/queries/", "/cached/", "/fails/", "/template/"])
def test_fields_stand_in_the_tables_order(client: Client, path: str) -> None:
    """Each field of an event is in the table of fields, and in its order."""
    names = [field.name for field in FIELDS]
    positions = [names.index(name) for name in event_of(client, path)]
    assert positions == sorted(positions)


def test_second_finish_does_nothing(client: Client) -> None:
    """A record that is finished twice has one event."""
    with capture_events() as events:
        active = process.get()
        assert active is not None
        record = Record("GET", "/twice/", time.monotonic())
        active.begin(record)
        active.finish(record)
        active.finish(record)
    assert len(events) == 1
