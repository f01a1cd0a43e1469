"""Sinks that sleep, raise or cannot be made never hurt a request, a snapshot or a shutdown."""

from __future__ import annotations

import pytest

from tests.harness.launch import Launcher
from tests.harness.site import Site
from tests.harness.waiting import eventually

# What is done with a sink is the same in both kinds of workers; one that hangs is tried in both.
BAD = [
    ("SleepingSink", "sync"),
    ("SleepingSink", "gthread"),
    ("RaisingSink", "sync"),
    ("UnmakeableSink", "gthread"),
]


def serve_with(serve: Launcher, *sinks: str, worker: str = "sync", conf: str = "") -> Site:
    paths = [f"tests.site.sinks.{sink}" for sink in sinks]
    return serve(worker=worker, settings={"SLOW_AFTER": 0.2, "SINKS": paths}, conf=conf)


def told(site: Site) -> list[str]:
    """What the sinks told."""
    path = site.scratch / "sink.txt"
    return path.read_text().splitlines() if path.exists() else []


def wait_told(site: Site, what: str, times: int = 1) -> None:
    """Until the sinks have told this so often."""
    eventually(
        lambda: told(site).count(what) >= times,
        f"{what}, {times} times",
        transcript=site.process.transcript,
    )


def slow(site: Site, name: str, snapshots: int = 1) -> None:
    """A request that ends when its report has so many snapshots."""
    answer = site.start(f"/gate/{name}/")
    report = site.wait_report(f"/gate/{name}/")
    eventually(
        lambda: report.path.read_text().count("Still running after") >= snapshots - 1,
        f"{snapshots} snapshots",
        transcript=site.process.transcript,
    )
    site.gate(name).open()
    assert answer.result().text == "through the gate"
    assert site.terminal(answer.result().agent)["report"]


@pytest.mark.parametrize("worker", ["sync", "gthread"])
def test_sink_gets_the_report(serve: Launcher, worker: str) -> None:
    """A sink is given each report, and closed when the worker ends."""
    site = serve_with(serve, "TellingSink", worker=worker)
    slow(site, "only")
    wait_told(site, "deliver")
    site.stop()
    assert told(site)[-1] == "close"


@pytest.mark.parametrize(("sink", "worker"), BAD)
def test_bad_sink_never_hurts(serve: Launcher, sink: str, worker: str) -> None:
    """While it hangs or fails, snapshots and reports come as ever; its worker ends when told to."""
    # The last assignment wins: far more patience than the deadline of stop().
    site = serve_with(serve, sink, worker=worker, conf="graceful_timeout = 300")
    slow(site, "first", snapshots=3)
    eventually(lambda: told(site), "the sink was tried", transcript=site.process.transcript)
    slow(site, "second")
    assert len(site.reports()) == 2
    assert site.stop() == 0


@pytest.mark.parametrize("sink", ["RaisingSink", "UnmakeableSink"])
def test_good_sink_beside_a_bad_one_is_fed(serve: Launcher, sink: str) -> None:
    """One sink's failure is not another's."""
    site = serve_with(serve, sink, "TellingSink")
    slow(site, "first")
    slow(site, "second")
    wait_told(site, "deliver", {"RaisingSink": 3, "UnmakeableSink": 2}[sink])
