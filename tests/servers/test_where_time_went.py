"""Where the time went: queue, CPU, cache, templates, outbound calls, collections, rest."""

from __future__ import annotations

import time

import pytest

from tests.harness.launch import Launcher
from tests.harness.site import Site
from tests.harness.waiting import eventually

WAITED = 5.0


@pytest.mark.parametrize("header", ["X-Request-Start", "X-Queue-Start"])
@pytest.mark.parametrize("prefix", ["", "t="])
@pytest.mark.parametrize(
    ("factor", "form"), [(1, "{:.3f}"), (1_000, "{:.0f}"), (1_000_000, "{:.0f}")]
)
def test_queue_time_is_read_in_every_unit(
    site: Site, header: str, prefix: str, factor: int, form: str
) -> None:
    """The time stamp may be in seconds, milliseconds or microseconds, with or without t=."""
    stamp = prefix + form.format((time.time() - WAITED) * factor)
    event = site.event("/ok/", {header: stamp})
    assert WAITED - 0.01 <= event["queue_time"] < WAITED + 60


@pytest.mark.parametrize(
    "stamp", ["", "soon", "t=", "-5", "nan", "inf", "1e400", "9" * 400, "\xe9"]
)
def test_nonsense_in_the_queue_header_is_ignored(site: Site, stamp: str) -> None:
    """An invalid time stamp gives no queue time, and the request is served."""
    event = site.event("/ok/", {"X-Request-Start": stamp})
    assert event["resp_status"] == 200
    assert event.get("queue_time") is None


def test_queue_time_is_never_negative(site: Site) -> None:
    """A proxy whose clock is ahead makes no negative queue time."""
    event = site.event("/ok/", {"X-Request-Start": f"t={time.time() + 60:.3f}"})
    assert not event.get("queue_time")


def test_without_the_header_there_is_no_queue_time(site: Site) -> None:
    """Without the header there is no queue time."""
    assert site.event("/ok/").get("queue_time") is None


def test_cpu_time_is_the_threads_own(site: Site) -> None:
    """Computing is CPU time, sleeping is not."""
    assert site.event("/cpu/")["resp_cpu_time"] >= 0.2
    slept = site.event("/sleep/0.3/")
    assert slept["resp_time"] >= 0.3
    assert slept["resp_cpu_time"] < 0.3


def test_time_that_nothing_explains_is_the_rest(site: Site) -> None:
    """Time that no part accounts for, such as a sleep, is rest_time, within the whole."""
    event = site.event("/sleep/0.3/")
    assert 0.29 <= event["rest_time"] <= event["resp_time"]


def test_rest_is_never_negative(site: Site) -> None:
    """Parts that overlap never make the rest negative."""
    for path in ("/ok/", "/n1/", "/cpu/", "/cached/", "/template/", "/collect/"):
        assert site.event(path)["rest_time"] >= 0


def test_cache_calls_are_counted(site: Site) -> None:
    """Hits, misses and sets are counted, and the time they took."""
    event = site.event("/cached/")
    assert (event["cache_hits"], event["cache_misses"], event["cache_sets"]) == (2, 3, 1)
    assert event["cache_time"] > 0


def test_cache_calls_for_many_keys_are_counted_by_key(site: Site) -> None:
    """A call for many keys counts each key once, though the backend takes them one by one."""
    event = site.event("/cached-many/")
    assert (event["cache_hits"], event["cache_misses"], event["cache_sets"]) == (2, 1, 2)


CALLS = [("urllib3", 2), ("httpx", 3)]


@pytest.fixture
def calling_site(site: Site, echo: str) -> Site:
    """A site whose worker has loaded its client libraries before."""
    eventually(lambda: "out_count" in site.event(f"/call-urllib3/?base={echo}"), "urllib3")
    eventually(lambda: "out_count" in site.event(f"/call-httpx/?base={echo}"), "httpx")
    return site


@pytest.mark.parametrize(("library", "calls"), CALLS)
def test_outbound_calls_are_counted(
    calling_site: Site, echo: str, library: str, calls: int
) -> None:
    """Calls to other services are counted and timed, and their responses are unchanged."""
    answer = calling_site.get(f"/call-{library}/?base={echo}")
    assert answer.text == ",".join(f"/{number}" for number in range(calls))
    event = calling_site.terminal(answer.agent)
    assert event["out_count"] == calls
    assert 0 < event["out_time"] <= event["resp_time"]


@pytest.mark.parametrize(("library", "calls"), CALLS)
def test_outbound_calls_of_the_first_request_are_counted(
    serve: Launcher, echo: str, library: str, calls: int
) -> None:
    """Calls of the first request, which loads the client library, are counted, too."""
    assert serve().event(f"/call-{library}/?base={echo}")["out_count"] == calls


def test_outbound_call_that_fails_is_counted(calling_site: Site) -> None:
    """A call without a response is counted."""
    event = calling_site.event("/call-closed-port/")
    assert event["resp_status"] == 200
    assert event["out_count"] == 1


def test_templates_are_counted(site: Site) -> None:
    """A rendered template is counted and timed."""
    event = site.event("/template/")
    assert event["tmpl_count"] == 1
    assert 0 < event["tmpl_time"] <= event["resp_time"]


def test_garbage_collection_is_timed(site: Site) -> None:
    """The time of garbage collections in a request is in its event."""
    event = site.event("/collect/")
    assert 0 < event["gc_time"] <= event["resp_time"]
    eventually(lambda: not site.event("/ok/").get("gc_time"), "a request without a collection")


def test_parts_are_in_the_line(calling_site: Site, echo: str) -> None:
    """The parts of a request's time are in the line, too."""
    stamp = {"X-Request-Start": f"{time.time():.3f}"}
    line = calling_site.terminal_line(calling_site.get(f"/call-urllib3/?base={echo}", stamp).agent)
    assert line["out_count"] == "2"
    assert {"queue_time", "out_time", "rest_time"} <= set(line)
