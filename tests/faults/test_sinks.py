"""Sinks that sleep, raise or cannot be made never hurt a request, a snapshot or a shutdown."""

from __future__ import annotations

import pytest

from tests.harness.launch import Launcher
from tests.harness.site import Site
from tests.harness.waiting import eventually

BAD = ["SleepingSink", "RaisingSink", "UnmakeableSink"]


def serve_with(serve: Launcher, sink: str, worker: str = "sync") -> Site:
    return serve(worker=worker, settings={"SLOW_AFTER": 0.2, "SINKS": [f"tests.site.sinks.{sink}"]})


def told(site: Site) -> list[str]:
    """What the sinks told."""
    path = site.scratch / "sink.txt"
    return path.read_text().splitlines() if path.exists() else []


@pytest.mark.parametrize("worker", ["sync", "gthread"])
def test_sink_gets_the_report(serve: Launcher, worker: str) -> None:
    """A sink is given each report, and closed when the worker ends."""
    site = serve_with(serve, "TellingSink", worker)
    site.terminal(site.get("/sleep/1.2/").agent)
    eventually(lambda: "deliver" in told(site), "a delivery", transcript=site.process.transcript)
    site.stop()
    assert told(site)[-1] == "close"


@pytest.mark.parametrize("worker", ["sync", "gthread"])
@pytest.mark.parametrize("sink", BAD)
def test_bad_sink_never_delays_a_snapshot(serve: Launcher, worker: str, sink: str) -> None:
    """While a sink hangs or fails, the next snapshots and reports come as ever."""
    site = serve_with(serve, sink, worker)
    answer = site.start("/gate/first/")
    report = site.wait_report("/gate/first/")
    eventually(lambda: told(site), "the sink was tried", transcript=site.process.transcript)
    eventually(
        lambda: report.path.read_text().count("Still running after") >= 2,
        "three snapshots",
        transcript=site.process.transcript,
    )
    site.gate("first").open()
    assert answer.result().text == "through the gate"
    assert site.terminal(answer.result().agent)["report"]
    second = site.get("/sleep/1.2/")
    assert second.text == "slept"
    assert site.terminal(second.agent)["report"]
    assert len(site.reports()) == 2


@pytest.mark.parametrize("sink", ["RaisingSink", "UnmakeableSink"])
def test_good_sink_beside_a_bad_one_is_fed(serve: Launcher, sink: str) -> None:
    """One sink's failure is not another's."""
    sinks = [f"tests.site.sinks.{name}" for name in (sink, "TellingSink")]
    site = serve(settings={"SLOW_AFTER": 0.2, "SINKS": sinks})
    for _ in range(2):
        site.terminal(site.get("/sleep/1.2/").agent)
    expected = {"RaisingSink": 3, "UnmakeableSink": 2}[sink]
    eventually(
        lambda: told(site).count("deliver") >= expected,
        f"{expected} deliveries",
        transcript=site.process.transcript,
    )


@pytest.mark.parametrize("worker", ["sync", "gthread"])
@pytest.mark.parametrize("sink", BAD)
def test_bad_sink_never_holds_up_the_shutdown(serve: Launcher, worker: str, sink: str) -> None:
    """A worker whose sink hangs still ends when it is told to, long before it would be killed."""
    # The last assignment wins: far more patience than the deadline of stop().
    conf = "graceful_timeout = 300"
    settings = {"SLOW_AFTER": 0.2, "SINKS": [f"tests.site.sinks.{sink}"]}
    site = serve(worker=worker, settings=settings, conf=conf)
    site.terminal(site.get("/sleep/1.2/").agent)
    eventually(lambda: told(site), "the sink was tried", transcript=site.process.transcript)
    assert site.stop() == 0


def test_failing_sink_is_told_of_once(serve: Launcher) -> None:
    """A sink that fails each time is reported, not each time."""
    site = serve_with(serve, "RaisingSink")
    for _ in range(3):
        site.terminal(site.get("/sleep/1.2/").agent)
    eventually(
        lambda: "RaisingSink" in site.process.stderr,
        "a word on the sink",
        transcript=site.process.transcript,
    )
    assert site.process.stderr.count("this sink always fails") <= 2
