"""The settings of slow reports: thresholds for views, ignored requests, locals, limits."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tests.harness.launch import Launcher
from tests.harness.recorded import Event
from tests.harness.site import Site
from tests.harness.waiting import eventually
from tests.harness.watch_command import make_slow


def slow_ids(site: Site) -> set[str]:
    return {event["req_id"] for event in site.events() if event["event_type"] == "slow"}


def reported(site: Site, event: Event) -> bool:
    """Whether the request of this terminal event was slow; its slow event may come later."""
    if event.get("report"):
        site.wait_event(event_type="slow", req_id=event["req_id"])
        return True
    return False


def check_quiet(site: Site, *events: Event) -> None:
    """Checks that none of these requests was slow: no report, and by now no slow event."""
    assert not any(event.get("report") for event in events)
    assert not slow_ids(site) & {event["req_id"] for event in events}


def test_view_may_have_its_own_threshold(serve: Launcher) -> None:
    """SLOW_AFTER may name views or routes; "*" is for all others."""
    named = {"tests.site.views.waiting.sleep": 0.1, "nap": 0.1, "*": 60}
    site = serve(settings={"SLOW_AFTER": named})
    other = site.event("/stream-pauses/4/")
    assert other["resp_time"] >= 0.3
    assert reported(site, site.event("/sleep/0.3/"))
    assert reported(site, site.event("/nap/0.3/"))
    check_quiet(site, other)


def test_view_may_be_allowed_more_time(serve: Launcher) -> None:
    """A view can have a longer threshold than the others."""
    # Until its view is known, a request has the threshold of the others: a second.
    site = serve(settings={"SLOW_AFTER": {"sleep": 60, "*": 1.0}})
    slept = site.event("/sleep/1.1/")
    assert reported(site, site.event("/nap/1.1/"))
    check_quiet(site, slept)


def test_ignored_requests_are_not_watched(serve: Launcher) -> None:
    """What IGNORE names (a view, a route or a path prefix) has its line but no report."""
    ignored = ["tests.site.views.waiting.query_then_gate", "secrets", "/stream-gated/"]
    site = serve(worker="gthread", settings={"SLOW_AFTER": 60, "IGNORE": ignored})
    names = ("query-then-gate", "secrets", "stream-gated", "gate")
    answers = [site.start(f"/{name}/at-{name}/") for name in names]
    for name in names:
        site.gate(f"at-{name}").wait_entered()
    make_slow(site)  # all of them are in flight, and old enough
    site.wait_report("/gate/at-gate/\nHostname", "Still running after")
    for name in names:
        site.gate(f"at-{name}").open()
    *events, watched = (site.terminal(answer.result().agent) for answer in answers)
    assert {event["event_type"] for event in events} == {"request"}
    assert reported(site, watched)
    check_quiet(site, *events)


def test_locals_are_shown_without_secrets(serve: Launcher) -> None:
    """With LOCALS a report shows local variables, with secrets masked."""
    site = serve(settings={"SLOW_AFTER": 0.25, "LOCALS": True})
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
    """Above REPORTS_MAX_BYTES the oldest reports are removed, and the newest stays."""
    cap = 30_000
    site = serve(
        worker="gthread", threads=5, settings={"SLOW_AFTER": 0.1, "REPORTS_MAX_BYTES": cap}
    )
    answers = [site.start("/sleep/0.3/") for _ in range(20)]
    assert all(site.terminal(answer.result().agent)["report"] for answer in answers)

    def capped() -> Event | None:
        """Whether the folder is within its limit; the newest report trims it."""
        newest = site.event("/sleep/0.3/")
        assert reported(site, newest)
        size = sum(report.path.stat().st_size for report in site.reports()[:-1])
        return newest if size <= cap else None

    newest = eventually(capped, "a folder within its limit")
    names = {report.path.name for report in site.reports()}
    assert Path(newest["report"]).name in names
    assert len(names) < 20


def test_watching_costs_no_event(serve: Launcher) -> None:
    """Many slow requests at once have a report and a terminal event each."""
    site = serve(worker="gthread", threads=8, settings={"SLOW_AFTER": 0.2})
    answers = [site.start("/sleep/0.5/") for _ in range(16)]
    events: list[dict[str, Any]] = [site.terminal(answer.result().agent) for answer in answers]
    assert len({event["report"] for event in events}) == 16
    assert all(reported(site, event) for event in events)
    assert slow_ids(site) == {event["req_id"] for event in events}
