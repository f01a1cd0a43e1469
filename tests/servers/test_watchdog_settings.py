"""What the watchdog's settings do: thresholds for views, what is ignored, locals, caps."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.harness.launch import Launcher
from tests.harness.recorded import Event
from tests.harness.site import Site
from tests.harness.waiting import eventually

WORKERS = ["sync", "gthread"]


def slow_ids(site: Site) -> set[str]:
    return {event["req_id"] for event in site.events() if event["event_type"] == "slow"}


def reported(site: Site, event: Event) -> bool:
    """Whether the request of this terminal event was slow; its events agree on it."""
    told = bool(event.get("report"))
    assert told == (event["req_id"] in slow_ids(site))
    return told


@pytest.mark.parametrize(
    "name",
    ["tests.site.views.waiting.sleep", "sleep"],
    ids=["by the view's name", "by the route's name"],
)
@pytest.mark.parametrize("worker", WORKERS)
def test_threshold_may_be_the_views_own(serve: Launcher, worker: str, name: str) -> None:
    """SLOW_AFTER may name views or routes; "*" is for all others."""
    site = serve(worker=worker, settings={"SLOW_AFTER": {name: 0.2, "*": 60}})
    assert reported(site, site.event("/sleep/1.2/"))
    assert not reported(site, site.event("/nap/1.2/"))


def test_view_may_be_allowed_more_time(serve: Launcher) -> None:
    """A view known to be slow can have more time than the others."""
    site = serve(warm=True, settings={"SLOW_AFTER": {"sleep": 60, "*": 0.2}})
    assert not reported(site, site.event("/sleep/1.2/"))
    assert reported(site, site.event("/nap/1.2/"))


@pytest.mark.parametrize("ignored", ["tests.site.views.waiting.sleep", "sleep", "/sleep/"])
def test_ignored_requests_are_not_watched(serve: Launcher, ignored: str) -> None:
    """What IGNORE names, a view, a route or a path prefix, has its line but no report."""
    site = serve(warm=True, settings={"SLOW_AFTER": 0.2, "IGNORE": [ignored]})
    event = site.event("/sleep/1.2/")
    assert event["event_type"] == "request"
    assert event["resp_time"] >= 1.2
    assert not reported(site, event)
    assert reported(site, site.event("/nap/1.2/"))


@pytest.mark.parametrize("worker", WORKERS)
def test_locals_are_shown_without_secrets(serve: Launcher, worker: str) -> None:
    """With LOCALS a report shows local variables; what is secret is masked."""
    site = serve(worker=worker, settings={"SLOW_AFTER": 0.25, "LOCALS": True})
    answer = site.start("/secrets/asked/")
    report = site.wait_report("visible-asked")
    site.gate("asked").open()
    site.terminal(answer.result().agent)
    text = report.path.read_text()
    assert "visible-asked" in text
    assert "hunter2-asked" not in text
    assert "declared-asked" not in text
    assert "key-asked" not in text
    assert "password" in text


def test_reports_folder_is_capped(serve: Launcher) -> None:
    """Past REPORTS_MAX_BYTES the oldest reports go, the newest stays."""
    cap = 60_000
    site = serve(
        worker="gthread", threads=5, settings={"SLOW_AFTER": 0.1, "REPORTS_MAX_BYTES": cap}
    )
    answers = [site.start("/sleep/1.2/") for _ in range(20)]
    assert all(site.terminal(answer.result().agent)["report"] for answer in answers)
    newest = site.event("/sleep/1.2/")
    # The report that is still being written may go over; it is trimmed to with the next one.
    eventually(
        lambda: sum(r.path.stat().st_size for r in site.reports()[:-1]) <= cap,
        "a folder in its cap",
    )
    names = {report.path.name for report in site.reports()}
    assert Path(newest["report"]).name in names
    assert len(names) < 20


def test_watching_costs_no_event(serve: Launcher) -> None:
    """Many slow requests at once have a report and a terminal event each."""
    site = serve(worker="gthread", threads=8, settings={"SLOW_AFTER": 0.2})
    answers = [site.start("/sleep/1.2/") for _ in range(16)]
    events: list[dict[str, Any]] = [site.terminal(answer.result().agent) for answer in answers]
    assert len({event["report"] for event in events}) == 16
    assert slow_ids(site) == {event["req_id"] for event in events}
