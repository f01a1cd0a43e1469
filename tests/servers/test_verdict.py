"""The verdicts in reports of requests that hang."""

from __future__ import annotations

import pytest

from tests.harness.gil import locked
from tests.harness.launch import Launcher
from tests.harness.site import Site
from tests.harness.sources import line_of

# Half of it is the time between samples, so that a report has two of them soon.
SLOW_AFTER = 0.5
# With a single sample, all that a busy machine may have by the report, it is "unknown".
STUCK = "stuck for about"


@pytest.fixture(scope="module")
def site(serve_module: Launcher) -> Site:
    """A site with enough threads for all these tests."""
    return serve_module(worker="gthread", settings={"SLOW_AFTER": SLOW_AFTER})


def test_deadlock_of_two_threads_is_named(site: Site) -> None:
    """A deadlock names who waits for which lock, and where the other holds it."""
    answers = [site.start(f"/deadlock/{which}/") for which in ("first", "second")]
    for which, wanted in (("first", "second_lock"), ("second", "first_lock")):
        # Its own report; the other request's report names it, too.
        report = site.wait_report(f"/deadlock/{which}/\nHostname", "deadlock: ", STUCK)
        place = f"tests/site/views/deadlock.py:{line_of('views/deadlock.py', which)}:deadlock"
        deadlock = next(line for line in report.text.splitlines() if "deadlock: " in line)
        assert f"waits for lock {wanted} in {place}" in deadlock
        assert deadlock.count("held by thread") == 2
    assert site.get("/deadlock/resolve/").text == "resolved"
    for answer in answers:
        assert answer.result().text == "released"
        assert site.terminal(answer.result().agent)["slow_verdict"] == "stuck"


def test_request_that_waits_is_stuck_with_what_it_waits_for(site: Site) -> None:
    """A request with the same innermost frames in each sample is stuck, also in its last event."""
    with locked(site.scratch / "stuck.lock"):
        answer = site.start("/gil/sleeps/stuck/")
        site.wait_report("/gil/sleeps/stuck/", STUCK, "waiting: flock on ")
    event = site.terminal(answer.result().agent)
    assert event["slow_verdict"] == "stuck"


def test_slow_requests_in_all_threads_have_one_stall_event(serve: Launcher) -> None:
    """If all threads are in slow requests, which nothing else would show, there is an event."""
    # A request is slow only where it waits, not before its view is reached.
    slow_after = {"gate": 0.3, "*": 60}
    site = serve(worker="gthread", threads=2, warm=True, settings={"SLOW_AFTER": slow_after})
    gate = site.gate("busy")
    answers = [site.start("/gate/busy/") for _ in range(2)]
    stall = site.wait_event(event_type="stall", stall_kind="threads")
    assert stall["stall_requests"] == stall["g_threads"] == 2
    assert stall["stall_in"].startswith("2 in tests/site/gates.py:")
    gate.open()
    for answer in answers:
        answer.result()
    assert len([event for event in site.events() if event["event_type"] == "stall"]) == 1
