"""What a report says of requests that do not move."""

from __future__ import annotations

from tests.harness.launch import Launcher
from tests.harness.sources import line_of


def test_deadlock_of_two_threads_is_named(serve: Launcher) -> None:
    """Who waits for which lock, and where the other one holds it."""
    site = serve(worker="gthread", settings={"SLOW_AFTER": 1.0})
    answers = [site.start(f"/deadlock/{which}/") for which in ("first", "second")]
    for which, wanted in (("first", "second_lock"), ("second", "first_lock")):
        report = site.wait_report(f"/deadlock/{which}/", "deadlock: ")
        place = f"tests/site/views/deadlock.py:{line_of('views/deadlock.py', which)}:deadlock"
        assert "stuck for about" in report.text
        said = next(line for line in report.text.splitlines() if "deadlock: " in line)
        assert f"waits for lock {wanted} in {place}" in said
        assert said.count("held by thread") == 2
    slow = site.wait_event(event_type="slow", req_path="/deadlock/first/")
    assert slow["slow_verdict"] == "stuck"
    for answer in answers:
        assert answer.result().text == "given up"


def test_request_that_waits_is_stuck_and_says_for_what(serve: Launcher) -> None:
    """The same innermost frames at each look; the verdict goes into the terminal event as well."""
    site = serve(settings={"SLOW_AFTER": 1.0})
    gate = site.gate("stuck")
    answer = site.start("/gate/stuck/")
    report = site.wait_report("/gate/stuck/", "Verdict:")
    gate.open()
    event = site.terminal(answer.result().agent)
    assert "stuck for about" in report.text
    assert "waiting: sleep" in report.text
    assert event["slow_verdict"] == "stuck"


def test_threads_that_are_all_in_slow_requests_are_one_event(serve: Launcher) -> None:
    """No timeout ends such a worker, and no backlog shows who waits for it."""
    site = serve(worker="gthread", threads=2, settings={"SLOW_AFTER": 0.3})
    gate = site.gate("busy")
    answers = [site.start("/gate/busy/") for _ in range(2)]
    stall = site.wait_event(event_type="stall", stall_kind="threads")
    assert stall["stall_requests"] == stall["g_threads"] == 2
    assert stall["stall_in"].startswith("2 in tests/site/gates.py:")
    gate.open()
    for answer in answers:
        answer.result()
    assert len([event for event in site.events() if event["event_type"] == "stall"]) == 1
