"""Sinks that sleep, raise or cannot be made never hurt a request, a snapshot or a shutdown."""

from __future__ import annotations

import pytest

from tests.faults.conftest import Tmpfs
from tests.harness.launch import Launcher
from tests.harness.site import Site
from tests.harness.waiting import eventually

# Sinks are treated the same in both kinds of workers; one that hangs is tested in both.
BAD = [
    ("SleepingSink", "sync"),
    ("SleepingSink", "gthread"),
    ("RaisingSink", "sync"),
    ("UnmakeableSink", "gthread"),
]


def serve_with(serve: Launcher, *sinks: str, worker: str = "sync", conf: str = "") -> Site:
    paths = [f"tests.site.sinks.{sink}" for sink in sinks]
    return serve(worker=worker, settings={"SLOW_AFTER": 0.2, "SINKS": paths}, conf=conf)


def calls(site: Site) -> list[str]:
    """The calls that the sinks have recorded."""
    path = site.scratch / "sink.txt"
    return path.read_text().splitlines() if path.exists() else []


def wait_for_calls(site: Site, what: str, times: int = 1) -> None:
    """Until the sinks have recorded this call so often."""
    eventually(
        lambda: calls(site).count(what) >= times,
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
    """A sink gets each report, and is closed when the worker ends."""
    site = serve_with(serve, "WorkingSink", worker=worker)
    slow(site, "only")
    wait_for_calls(site, "deliver")
    site.stop()
    assert calls(site)[-1] == "close"


@pytest.mark.parametrize(("sink", "worker"), BAD)
def test_bad_sink_never_hurts(serve: Launcher, sink: str, worker: str) -> None:
    """While it hangs or fails, snapshots and reports come as usual; its worker stops normally."""
    # The last assignment wins: far longer than the deadline of stop().
    site = serve_with(serve, sink, worker=worker, conf="graceful_timeout = 300")
    slow(site, "first", snapshots=3)
    eventually(lambda: calls(site), "the sink was tried", transcript=site.process.transcript)
    slow(site, "second")
    assert len(site.reports()) == 2
    assert site.stop() == 0


@pytest.mark.parametrize("sink", ["RaisingSink", "UnmakeableSink"])
def test_good_sink_beside_a_bad_one_gets_its_reports(serve: Launcher, sink: str) -> None:
    """The failure of one sink does not affect another."""
    site = serve_with(serve, sink, "WorkingSink")
    slow(site, "first")
    slow(site, "second")
    wait_for_calls(site, "deliver", {"RaisingSink": 3, "UnmakeableSink": 2}[sink])


def test_sink_gets_the_reports_of_a_full_disk(serve: Launcher, tmpfs: Tmpfs) -> None:
    """They wait in memory: report files cannot be written, nor can events."""
    sinks = ["tests.site.sinks.WorkingSink"]
    site = serve(settings={"DIR": str(tmpfs.path), "SLOW_AFTER": 0.2, "SINKS": sinks})
    tmpfs.fill()
    for _ in range(2):
        assert site.get("/sleep/0.5/").text == "slept"
    wait_for_calls(site, "deliver", 2)
    assert not any(report.text for report in site.reports())
    tmpfs.empty()
    site.torn_expected = True
