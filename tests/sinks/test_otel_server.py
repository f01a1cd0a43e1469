"""OpenTelemetry under a real Gunicorn: a receiver on loopback gets what the workers send."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Callable
from typing import Any

import pytest

from tests.harness.launch import Launcher
from tests.harness.otlp import Log, Received, grpc_receiver, http_receiver
from tests.harness.ports import unused_port
from tests.harness.site import Site
from tests.harness.waiting import eventually

pytestmark = [pytest.mark.server, pytest.mark.slow]
SINK = "slowhound.sinks.otel.OpenTelemetry"
RECEIVERS: dict[str, Callable[[], Any]] = {"http": http_receiver, "grpc": grpc_receiver}


def with_otel(serve: Launcher, endpoint: str, protocol: str = "http", **wishes: Any) -> Site:
    sink = {"sink": SINK, "endpoint": endpoint, "protocol": protocol}
    return serve(
        app="tests.site.traced:application",
        env={"TEST_SPANS": "1", "OTEL_METRIC_EXPORT_INTERVAL": "1000"},
        settings={"SLOW_AFTER": {"gate": 0.25, "*": 60}, "SERVICE": "shop", "SINKS": [sink]},
        **wishes,
    )


def of_gate(received: Received, name: str) -> list[Log]:
    """The log records of one kind about the request that waits."""
    return [log for log in received.named(name) if log.attributes["url.path"] == "/gate/otel/"]


def wait_for(site: Site, what: str, check: Callable[[], Any]) -> Any:
    return eventually(check, what, transcript=site.process.transcript, deadline=30)


@pytest.mark.parametrize(("protocol", "worker"), [("http", "gevent"), ("grpc", "gthread")])
def test_events_metrics_and_spans_arrive(serve: Launcher, protocol: str, worker: str) -> None:
    """From forked workers: log records with the span's ids, metrics, the slow one on its span."""
    with RECEIVERS[protocol]() as received:
        site = with_otel(serve, received.endpoint, protocol, worker=worker, workers=2)
        for _ in range(5):
            site.get("/ok/")
        wait_for(site, "five", lambda: len(received.named("slowhound.request")) == 5)
        answer = site.start("/gate/otel/")
        # On a busy machine others may be slow as well, while a worker imports what it needs.
        (slow,) = wait_for(site, "the event", lambda: of_gate(received, "slowhound.slow"))
        (report,) = wait_for(site, "the report", lambda: of_gate(received, "slowhound.report"))
        site.gate("otel").open()
        ended = site.terminal(answer.result().agent)
        wait_for(site, "its end", lambda: len(received.named("slowhound.request")) == 6)
        assert site.stop() == 0
        requests = received.named("slowhound.request")
        assert len(requests) == 6
        (gated,) = of_gate(received, "slowhound.request")
        ids = (ended["trace_id"], ended["span_id"])
        seen = [(log.trace_id, log.span_id) for log in (slow, report, gated)]
        assert seen == [ids, ids, ids]
        assert {log.resource["service.name"] for log in requests} == {"shop"}
        assert "in gated" in report.attributes["code.stacktrace"]
        durations = received.metric("http.server.request.duration")
        assert sum(point.value for point in durations) == 6
        assert sum(point.value for point in received.metric("slowhound.slow")) >= 1
        lines = (site.scratch / "spans.jsonl").read_text().splitlines()
        spans = {span["context"]["trace_id"][2:]: span for span in map(json.loads, lines)}
        (added,) = spans[ended["trace_id"]]["events"]
        assert added["name"] == "slowhound.slow"
        assert added["attributes"]["slowhound.req_id"] == ended["req_id"]


def test_events_of_a_killed_worker_are_sent_by_another(serve: Launcher) -> None:
    """Those that waited in its memory: the arbiter takes them from the segment for a worker."""
    with http_receiver() as received:
        received.status = 503
        site = with_otel(serve, received.endpoint, workers=2)
        pids = [site.terminal(site.get("/ok/").agent)["pid"] for _ in range(5)]
        os.kill(pids[-1], signal.SIGKILL)
        wait_for(site, "its end", lambda: pids[-1] not in site.worker_pids())
        received.status = 200
        wait_for(site, "all five", lambda: len(received.named("slowhound.request")) == 5)
        site.stop()
        assert len(received.named("slowhound.request")) == 5


def test_death_of_a_worker_is_counted_by_another(serve: Launcher) -> None:
    """Its request is a log record with the ids of its trace, and the death is in the metrics."""
    trace, span = "a" * 32, "b" * 16
    with http_receiver() as received:
        site = with_otel(serve, received.endpoint)
        site.start("/gate/dies/", headers={"traceparent": f"00-{trace}-{span}-01"})
        site.gate("dies").wait_entered()
        (pid,) = site.worker_pids()
        os.kill(pid, signal.SIGKILL)
        (crash,) = wait_for(site, "the crash", lambda: received.named("slowhound.crash"))
        assert crash.attributes["process.pid"] == pid
        assert crash.severity_text == "FATAL"
        assert len(crash.trace_id) == 32
        site.get("/ok/")
        wait_for(site, "the count", lambda: received.metric("slowhound.worker.deaths"))
        assert [point.value for point in received.metric("slowhound.worker.deaths")] == [1]
        site.gate("dies").open()


def test_collector_that_is_down_hurts_nobody(serve: Launcher) -> None:
    """Requests are answered, and the worker stops normally."""
    endpoint = f"http://127.0.0.1:{unused_port()}"
    site = with_otel(serve, endpoint, conf="graceful_timeout = 300")
    assert site.get("/sleep/0.3/").text == "slept"
    warning = "for OpenTelemetry, counting what is lost: the collector did not take them"
    wait_for(site, "the warning", lambda: warning in site.process.stderr)
    assert site.get("/ok/").status == 200
    assert site.stop() == 0
