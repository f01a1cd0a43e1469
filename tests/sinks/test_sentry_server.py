"""Sentry under a real Gunicorn, in an application that uses Sentry with all its integrations."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Iterator
from typing import Any

import pytest

from tests.harness.launch import Launcher
from tests.harness.sentry_server import Project, sentry_server
from tests.harness.site import Site
from tests.harness.waiting import eventually

pytestmark = [pytest.mark.server, pytest.mark.slow]
SINK = "slowhound.sinks.sentry.Sentry"


@pytest.fixture
def project() -> Iterator[Project]:
    with sentry_server() as project:
        yield project


def with_sentry(serve: Launcher, project: Project, **wishes: Any) -> Site:
    wishes.setdefault("settings", {"SLOW_AFTER": {"gate": 0.25, "*": 60}, "SINKS": [SINK]})
    return serve(
        app="tests.site.traced:application", env={"TEST_SENTRY_DSN": project.dsn}, **wishes
    )


def wait_ours(site: Site, project: Project, kind: str = "slow") -> list[dict[str, Any]]:
    """Events of slowhound of one kind, once there are some."""

    def found() -> list[dict[str, Any]]:
        return [each for each in project.ours() if each["tags"]["event_type"] == kind]

    return eventually(found, f"a {kind}", transcript=site.process.transcript, deadline=30)


@pytest.mark.parametrize("worker", ["gthread", "gevent"])
def test_slow_request_is_one_event_of_its_own_trace(
    serve: Launcher, project: Project, worker: str
) -> None:
    """While it still runs; its trace is that of Sentry's own transaction; nothing comes twice."""
    site = with_sentry(serve, project, worker=worker)
    answer = site.start("/gate/sentry/?password=hunter2")
    (event,) = wait_ours(site, project)
    site.gate("sentry").open()
    ended = site.terminal(answer.result().agent)

    def of_its_trace() -> list[dict[str, Any]]:
        ids = [each["contexts"]["trace"]["trace_id"] for each in project.transactions]
        pairs = zip(project.transactions, ids, strict=True)
        return [each for each, trace_id in pairs if trace_id == ended["trace_id"]]

    def how_it_ended() -> bool:
        return any("finished.txt" in each.attachments for each in project.envelopes)

    # Before the stop, which waits for two seconds and no longer.
    eventually(of_its_trace, "its transaction", transcript=site.process.transcript)
    eventually(how_it_ended, "how it ended", transcript=site.process.transcript)
    assert site.stop() == 0
    assert event["transaction"] == "/gate/<slug:gate>/"
    (exception,) = event["exception"]["values"]
    frames = exception["stacktrace"]["frames"]
    (gated,) = [frame for frame in frames if frame["function"] == "gated"]
    assert gated["in_app"]
    assert gated["filename"] == "tests/site/views/waiting.py"
    assert event["request"]["url"].endswith("/gate/sentry/")
    # Sentry's own events may hold what they like; a path with our name does not make them ours.
    assert project.ours()
    assert "hunter2" not in json.dumps(project.ours())
    assert event["contexts"]["trace"]["trace_id"] == ended["trace_id"]
    (transaction,) = of_its_trace()
    # Older versions of the library have spans around middleware by default, and are within one.
    spans = [transaction["contexts"]["trace"], *transaction["spans"]]
    assert ended["span_id"] in {each["span_id"] for each in spans}
    assert len(project.events) == 1


def test_error_is_sentrys_alone(serve: Launcher, project: Project) -> None:
    """What Sentry's own integration for Django sees is not sent a second time."""
    site = with_sentry(serve, project, settings={"SLOW_AFTER": 60, "SINKS": [SINK]})
    site.get("/raise/")
    eventually(lambda: project.events, "Sentry's event", transcript=site.process.transcript)
    assert site.stop() == 0
    assert project.ours() == []


def test_dead_worker_is_an_event(serve: Launcher, project: Project) -> None:
    """A worker that was killed sends nothing; its successor sends the report of its request."""
    site = with_sentry(serve, project)
    site.start("/gate/dies/", headers={"traceparent": f"00-{'a' * 32}-{'b' * 16}-01"})
    site.gate("dies").wait_entered()
    (pid,) = site.worker_pids()
    os.kill(pid, signal.SIGKILL)
    (death,) = wait_ours(site, project, "crash")
    assert death["exception"]["values"][0]["type"] == "WorkerDied"
    assert death["tags"]["pid"] == str(pid)
    assert death["level"] == "fatal"
    assert death["contexts"]["trace"]["trace_id"] == "a" * 32
    site.gate("dies").open()


def test_dogslows_setting_means_sentry(serve: Launcher, project: Project) -> None:
    """DOGSLOW_LOG_TO_SENTRY in an application with Sentry: a report with frames, no log record."""
    django = {
        "DOGSLOW_TIMER": 0.25,
        "DOGSLOW_LOG_TO_SENTRY": True,
        "DOGSLOW_LOG_TO_FILE": False,
    }
    site = with_sentry(serve, project, settings={}, django=django)
    site.get("/sleep/1.2/")
    (event,) = wait_ours(site, project)
    assert event["exception"]["values"][0]["stacktrace"]["frames"]
    assert site.stop() == 0
    assert len(project.events) == 1
