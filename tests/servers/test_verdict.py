"""What a report says of requests that do not move."""

from __future__ import annotations

import pytest

from tests.harness.gil import locked
from tests.harness.launch import Launcher
from tests.harness.site import Site
from tests.harness.sources import line_of

# Half of it is a look, so that a report has what two looks say soon after the first one.
SLOW_AFTER = 0.5
# That of a single look, all that a loaded machine may have until the first report, is "unknown".
STUCK = "stuck for about"


@pytest.fixture(scope="module")
def site(serve_module: Launcher) -> Site:
    """With threads enough for all the tests."""
    return serve_module(worker="gthread", settings={"SLOW_AFTER": SLOW_AFTER})


def test_deadlock_of_two_threads_is_named(site: Site) -> None:
    """Who waits for which lock, and where the other one holds it."""
    answers = [site.start(f"/deadlock/{which}/") for which in ("first", "second")]
    for which, wanted in (("first", "second_lock"), ("second", "first_lock")):
        # Its own report; the other one's names it too.
        report = site.wait_report(f"/deadlock/{which}/\nHostname", "deadlock: ", STUCK)
        place = f"tests/site/views/deadlock.py:{line_of('views/deadlock.py', which)}:deadlock"
        said = next(line for line in report.text.splitlines() if "deadlock: " in line)
        assert f"waits for lock {wanted} in {place}" in said
        assert said.count("held by thread") == 2
    assert site.get("/deadlock/resolve/").text == "resolved"
    for answer in answers:
        assert answer.result().text == "let go"
        assert site.terminal(answer.result().agent)["slow_verdict"] == "stuck"


def test_request_that_waits_is_stuck_and_says_for_what(site: Site) -> None:
    """The same innermost frames at each look; the verdict goes into the terminal event as well."""
    with locked(site.scratch / "stuck.lock"):
        answer = site.start("/gil/sleeps/stuck/")
        site.wait_report("/gil/sleeps/stuck/", STUCK, "waiting: flock on ")
    event = site.terminal(answer.result().agent)
    assert event["slow_verdict"] == "stuck"


def test_threads_that_are_all_in_slow_requests_are_one_event(serve: Launcher) -> None:
    """No timeout ends such a worker, and no backlog shows who waits for it."""
    # A request is slow only where it waits, not in what comes before its view.
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
