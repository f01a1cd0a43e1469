"""What an application adds to events: context, timings, partial failures, instrumenters."""

from __future__ import annotations

import pytest

from tests.harness.launch import Launcher
from tests.harness.site import Site
from tests.harness.sources import loc

RECORDER = "views/recorder.py"


def test_context_is_in_the_event(site: Site) -> None:
    """A value that a view sets is in its event under app_, with its type."""
    answer = site.get("/context/")
    assert answer.text == "my_value"
    event = site.terminal(answer.agent)
    assert event["app_custom"] == "my_value"
    assert (event["app_number"], event["app_share"], event["app_yes"]) == (7, 0.25, True)
    assert event.get("app_nothing") is None


def test_context_is_in_the_line(site: Site) -> None:
    """The value is in the line, in the line's format."""
    line = site.terminal_line(site.get("/context/").agent)
    assert line["app_custom"] == "my_value"
    assert (line["app_number"], line["app_yes"], line["app_nothing"]) == ("7", "true", "-")


def test_timings_of_one_key_are_summed(site: Site) -> None:
    """Two timings under one key are added up."""
    answer = site.get("/context/")
    assert site.terminal(answer.agent)["app_work_time"] >= 0.1
    assert float(site.terminal_line(answer.agent)["app_work_time"]) >= 0.1


def test_context_does_not_outlive_its_request(site: Site) -> None:
    """The next request on the same thread does not have the value."""
    site.get("/context/")
    event = site.event("/ok/")
    assert not [name for name in event if name.startswith(("app_custom", "app_work"))]


def test_there_is_a_current_record_in_a_request(site: Site) -> None:
    """slowhound.current() returns a record inside a view."""
    assert site.get("/current/").text == "there"


@pytest.mark.parametrize(
    ("path", "body", "mark", "function"),
    [
        ("/partial/", "fallback", "partial", "_degrades"),
        ("/partial-async/", "async fallback", "partial async", "_degrades_async"),
    ],
)
def test_partial_failure_has_its_own_event(
    site: Site, path: str, body: str, mark: str, function: str
) -> None:
    """on_error returns the given value, and emits a partial_failure with the request's id."""
    answer = site.get(path)
    assert (answer.status, answer.text) == (200, body)
    request = site.terminal(answer.agent)
    failure = site.wait_event(event_type="partial_failure", req_id=request["req_id"])
    assert (failure["exc_type"], failure["exc_msg"]) == ("OhNoes", "half of it")
    assert failure["exc_loc"] == loc(RECORDER, mark, function)
    assert failure["exc_cause_loc"] == loc(RECORDER, "partial cause", "_fails")
    assert request["resp_outcome"] == "ok"
    line = site.wait_line(event_type="partial_failure", req_id=request["req_id"])
    assert line["exc_msg"] == "half of it"


def test_partial_failure_is_no_failure_of_the_request(site: Site) -> None:
    """The request's own event has no exception."""
    assert not site.event("/partial/").get("exc_type")


def test_instrumenter_is_set_up_once_in_each_worker(serve: Launcher) -> None:
    """An instrumenter is set up once per worker, after the fork, and called for each event."""
    site = serve(worker="gthread", workers=2, instrumenters=True)
    events = [site.event("/ok/") for _ in range(10)]
    assert {event["app_setups"] for event in events} == {1}
    assert all(event["app_setup_pid"] == event["pid"] for event in events)
    assert {event["pid"] for event in events} <= set(site.worker_pids())
