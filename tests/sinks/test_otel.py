"""OpenTelemetry: the real exporters send to a receiver on loopback, which decodes it."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from typing import Any

import pytest
from opentelemetry.context import _SUPPRESS_INSTRUMENTATION_KEY, get_value
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.semconv import attributes as stable
from opentelemetry.semconv.attributes import (
    client_attributes,
    db_attributes,
    exception_attributes,
    http_attributes,
    service_attributes,
    url_attributes,
    user_agent_attributes,
)
from requests.adapters import HTTPAdapter

from slowhound.core.in_flight import in_flight
from slowhound.core.observations import Snapshot
from slowhound.core.record import Record
from slowhound.core.report import Report
from slowhound.event.fields import FIELDS
from slowhound.frames.frames import Frame
from slowhound.sinks import otel_sender
from slowhound.sinks.otel import OpenTelemetry
from slowhound.system import guard, losses
from tests.harness.otlp import Log, Received, grpc_receiver, http_receiver
from tests.harness.waiting import eventually

TRACE, SPAN = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
# Names that are not in the stable part of the conventions (yet), or are no attributes.
NOT_STABLE = {
    "http.request.body.size",
    "http.response.body.size",
    "http.request.header.referer",  # stable, as the template http.request.header.<key>
    "host.name",
    "process.pid",
    "trace_id",  # fields of the log record itself
    "span_id",
}
REQUEST: dict[str, Any] = {
    "event_type": "request",
    "req_id": "id-1",
    "req_method": "GET",
    "req_path": "/items/1/",
    "req_referrer": "https://example.com/",
    "req_user_agent": "a browser",
    "req_route": "items/<int:id>/",
    "resp_view": "item",
    "resp_time": 0.3,
    "resp_cpu_time": 0.1,
    "resp_status": 200,
    "resp_outcome": "ok",
    "db_queries": 3,
    "db_time": 0.2,
    "rest_time": 0.1,
    "g_w_count": 4,
    "g_w_active": 2,
    "g_backlog": 7,
    "w_rss": 50_000_000,
    "ts": 1_700_000_000.5,
    "host": "web1",
    "pid": 0,
    "service": "shop",
    "release": "1.2.3",
    "trace_id": TRACE,
    "span_id": SPAN,
    "seq": 1,
    "v": 1,
    "db_top": [{"fingerprint": "SELECT ?", "count": 3, "time": 0.2, "line": None}],
}
SLOW = {
    **REQUEST,
    "event_type": "slow",
    "slow_after": 0.2,
    "slow_loc": "shop/views.py:7:item",
    "slow_verdict": "stuck",
    "slow_fingerprint": "0123456789ab",
}


@pytest.fixture(autouse=True)
def _counts(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Errors are raised, nothing is counted yet, and sending is not delayed by a second."""
    monkeypatch.setattr(guard, "loud", True)
    monkeypatch.setattr(otel_sender, "SEND_EVERY", 0.02)
    monkeypatch.setattr(otel_sender, "FLUSH_TIMEOUT", 10.0)
    losses.reset()
    yield
    losses.reset()


@pytest.fixture(params=["http", "grpc"])
def receiver(request: pytest.FixtureRequest) -> Iterator[tuple[Received, str]]:
    """A receiver of each protocol."""
    with (http_receiver if request.param == "http" else grpc_receiver)() as received:
        yield received, request.param


def report_of(event: dict[str, Any]) -> Report:
    stack = (Frame(__file__, 1, "outer"), Frame(__file__, 2, "inner"))
    return Report(
        event=event,
        request_line="GET http://example.com/items/1/",
        started=1.0,
        intercepted=2.0,
        host="web1",
        thread_id=1,
        snapshot=Snapshot(0.2, stack),
        verdict="It sleeps.",
    )


def sent(received: Received, *events: dict[str, Any], **options: Any) -> list[Log]:
    """The log records of these events."""
    sink = OpenTelemetry(received.endpoint, **options)
    for event in events:
        sink.take_event(event)
    sink.close()
    return received.logs


def test_event_arrives_as_a_log_record(receiver: tuple[Received, str]) -> None:
    """Names, types, time, severity, trace and resource are those of the conventions."""
    received, protocol = receiver
    (log,) = sent(received, REQUEST, protocol=protocol, headers={"X-Key": "let me in"})
    assert log.name == "slowhound.request"
    assert log.body == "request GET /items/1/ 200 0.300 s"
    assert (log.severity, log.severity_text) == (9, "INFO")
    assert log.time == pytest.approx(REQUEST["ts"])
    assert (log.trace_id, log.span_id) == (TRACE, SPAN)
    assert log.attributes["http.request.method"] == "GET"
    assert log.attributes["url.path"] == "/items/1/"
    assert log.attributes["http.route"] == "items/<int:id>/"
    assert log.attributes["http.response.status_code"] == 200
    assert log.attributes["user_agent.original"] == "a browser"
    assert log.attributes["http.request.header.referer"] == ["https://example.com/"]
    assert log.attributes["slowhound.resp_time"] == 0.3
    assert log.attributes["slowhound.db_queries"] == 3
    assert log.attributes["slowhound.db_top"][0]["fingerprint"] == "SELECT ?"
    assert log.resource["service.name"] == "shop"
    assert log.resource["service.version"] == "1.2.3"
    assert log.resource["host.name"] == "web1"
    assert log.resource["service.instance.id"]
    assert {headers["x-key"] for headers in received.headers} == {"let me in"}
    assert losses.dropped == 0


def test_metrics_count_and_measure(receiver: tuple[Received, str]) -> None:
    """Durations have the buckets of the conventions; parts, saturation and slow requests count."""
    received, protocol = receiver
    mine = {**REQUEST, "pid": os.getpid()}
    failed = {**mine, "resp_status": 500, "exc_type": "ValueError", "resp_outcome": "error"}
    # The last one is of another worker; its memory is not this worker's.
    sent(received, mine, mine, failed, {**SLOW, "w_rss": 1}, protocol=protocol)
    good, bad = sorted(received.metric("http.server.request.duration"), key=lambda p: -p.value)
    assert good.unit == "s"
    assert good.attributes == {
        "http.request.method": "GET",
        "http.route": "items/<int:id>/",
        "http.response.status_code": 200,
    }
    assert (good.value, good.sum) == (2, pytest.approx(0.6))
    assert good.bounds == [
        0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1, 2.5, 5, 7.5, 10,
    ]  # fmt: skip
    assert good.buckets[good.bounds.index(0.5)] == 2
    assert bad.attributes["error.type"] == "ValueError"
    parts = {
        point.attributes["slowhound.part"]: point.sum
        for point in received.metric("slowhound.request.time")
    }
    assert parts == {
        "db": pytest.approx(0.6), "rest": pytest.approx(0.3), "cpu": pytest.approx(0.3),
    }  # fmt: skip
    for name, value in [
        ("slowhound.workers", 4),
        ("slowhound.workers.active", 2),
        ("slowhound.backlog", 7),
        ("slowhound.worker.memory", 50_000_000),
        ("slowhound.slow", 1),
    ]:
        assert [point.value for point in received.metric(name)] == [value], name


def test_worker_that_died_counts_once() -> None:
    """Its requests have a log record each; there is one death, and it sets no gauge."""
    crash = {**REQUEST, "event_type": "crash", "crash_cause": "oom", "pid": 7, "w_rss": 1}
    timeout = {**REQUEST, "event_type": "timeout", "pid": 8}
    with http_receiver() as received:
        logs = sent(received, crash, {**crash, "req_id": "id-2"}, timeout)
        assert [log.severity_text for log in logs] == ["FATAL"] * 3
        assert [log.attributes["process.pid"] for log in logs] == [7, 7, 8]
        deaths = received.metric("slowhound.worker.deaths")
        causes = {point.attributes["slowhound.crash_cause"]: point.value for point in deaths}
        assert causes == {"oom": 1, "timeout": 1}
        assert not received.metric("slowhound.worker.memory")


def test_sampled_event_stands_for_those_left_out() -> None:
    """A request kept at a rate of a quarter counts for four."""
    with http_receiver() as received:
        sent(received, {**REQUEST, "sample_rate": 0.25})
        (point,) = received.metric("http.server.request.duration")
        assert point.value in (4, 5)  # the fraction is rounded at random


def test_invented_method_is_one_series() -> None:
    """What clients invent as methods is summed up under _OTHER."""
    with http_receiver() as received:
        sent(received, *({**REQUEST, "req_method": f"M{number}"} for number in range(5)))
        (point,) = received.metric("http.server.request.duration")
        assert (point.attributes["http.request.method"], point.value) == ("_OTHER", 5)


@pytest.mark.parametrize(
    ("change", "word"),
    [
        ({"resp_outcome": "error"}, "ERROR"),
        ({"resp_outcome": "disconnect"}, "INFO"),
        ({"event_type": "task", "resp_outcome": "retry"}, "WARN"),
        ({"event_type": "slow"}, "WARN"),
        ({"event_type": "partial_failure"}, "WARN"),
        ({"event_type": "stall"}, "ERROR"),
        ({"event_type": "timeout"}, "FATAL"),
        ({"event_type": "crash"}, "FATAL"),
    ],
)
def test_severity_is_by_type_and_outcome(change: dict[str, Any], word: str) -> None:
    """What needs attention has a higher one."""
    with http_receiver() as received:
        (log,) = sent(received, {**REQUEST, **change})
        assert log.severity_text == word


def test_any_value_of_an_application_arrives() -> None:
    """Broken text, huge numbers and foreign types lose no batch; secrets are masked."""

    class Foreign:
        def __str__(self) -> str:
            return "foreign"

    odd = {
        **REQUEST,
        "app_broken": "a\udcffb",
        "app_huge": 2**70,
        "app_object": Foreign(),
        "app_deep": {"a": [1, {"b": None}]},
        "app_none": None,
        "app_password": "hunter2",
    }
    with http_receiver() as received:
        (log,) = sent(received, odd)
        assert log.attributes["slowhound.app_broken"] == "a\\udcffb"
        assert log.attributes["slowhound.app_huge"] == str(2**70)
        assert log.attributes["slowhound.app_object"] == "<Foreign>"
        assert log.attributes["slowhound.app_deep"] == {"a": [1, {"b": "None"}]}
        assert "slowhound.app_none" not in log.attributes
        assert not any(b"hunter2" in data for data in received.raw)
    assert losses.dropped == 0


def test_report_arrives_with_its_stack(receiver: tuple[Received, str]) -> None:
    """A report is a separate log record: stack, verdict, and an id to find duplicates by."""
    received, protocol = receiver
    sink = OpenTelemetry(received.endpoint, protocol)
    sink.deliver(report_of(SLOW))
    (log,) = received.named("slowhound.report")
    assert "line 2, in inner" in log.attributes["code.stacktrace"]
    assert log.attributes["slowhound.verdict"] == "It sleeps."
    assert log.attributes["slowhound.report_id"] == "id-1.slow"
    assert log.trace_id == TRACE
    sink.close()


def test_report_that_is_refused_is_tried_again() -> None:
    """An error is raised, so that delivery keeps the report; the next try arrives."""
    with http_receiver() as received:
        received.status = 400
        sink = OpenTelemetry(received.endpoint)
        with pytest.raises(ConnectionError):
            sink.deliver(report_of(SLOW))
        received.status = 200
        sink.deliver(report_of(SLOW))
        assert len(received.named("slowhound.report")) == 1
        sink.close()


def test_slow_request_is_an_event_of_its_span(caplog: pytest.LogCaptureFixture) -> None:
    """Once, and only while the span is open."""
    tracer = TracerProvider().get_tracer("tests")
    with http_receiver() as received:
        sink = OpenTelemetry(received.endpoint)
        for ended in (False, True):
            record = Record("GET", "/", time.monotonic())
            span = tracer.start_span("server")
            record.span = lambda span=span: span
            in_flight[record.number] = record
            if ended:
                span.end()
            slow = {**SLOW, "req_id": record.id}
            sink.take_event(slow)
            sink.deliver(report_of(slow))
            del in_flight[record.number]
            added = [(each.name, dict(each.attributes or {})) for each in span.events]
            assert len(added) == (0 if ended else 1)
            if not ended:
                name, fields = added[0]
                assert name == "slowhound.slow"
                assert fields["slowhound.slow_loc"] == "shop/views.py:7:item"
                assert fields["slowhound.resp_time"] == 0.3
        sink.close()
    assert not caplog.records  # the SDK would complain of an event for a span that has ended


def test_outage_is_survived(monkeypatch: pytest.MonkeyPatch) -> None:
    """While the collector refuses, events wait; afterwards they are all there, each once."""
    monkeypatch.setattr(otel_sender, "FIRST_BATCH_PAUSE", 0.05)
    monkeypatch.setattr(otel_sender, "LONGEST_BATCH_PAUSE", 0.1)
    monkeypatch.setattr(otel_sender, "BATCH_TRIES", 10_000)
    with http_receiver() as received:
        received.status = 400
        sink = OpenTelemetry(received.endpoint)
        for seq in range(20):
            sink.take_event({**REQUEST, "seq": seq})
        eventually(lambda: received.tries >= 3, "three tries")
        assert received.logs == []
        received.status = 200
        eventually(lambda: received.logs, "what waited")
        sink.close()
        seqs = [log.attributes["slowhound.seq"] for log in received.logs]
        assert seqs == list(range(20))
    assert losses.dropped == 0


def test_what_never_arrives_is_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    """If the collector is gone the events are lost, and each of them is counted."""
    monkeypatch.setattr(otel_sender, "FIRST_BATCH_PAUSE", 0.01)
    monkeypatch.setattr(otel_sender, "LONGEST_BATCH_PAUSE", 0.01)
    monkeypatch.setattr(otel_sender, "BATCH_TRIES", 2)
    with http_receiver() as received:
        endpoint = received.endpoint
    sink = OpenTelemetry(endpoint, timeout=0.2, signals=["logs"])
    for _ in range(30):
        sink.take_event(REQUEST)
    eventually(lambda: losses.dropped == 30, "all counted")
    sink.close()


def test_exporter_that_raises_loses_its_batch_only(monkeypatch: pytest.MonkeyPatch) -> None:
    """Given up after as many tries as any other; what comes afterwards arrives."""
    monkeypatch.setattr(guard, "loud", False)
    monkeypatch.setattr(otel_sender, "FIRST_BATCH_PAUSE", 0.01)
    monkeypatch.setattr(otel_sender, "LONGEST_BATCH_PAUSE", 0.01)
    monkeypatch.setattr(otel_sender, "BATCH_TRIES", 3)
    tries = []

    def fails(_records: Any) -> None:
        tries.append(1)
        raise ValueError("cannot be encoded")

    with http_receiver() as received:
        sink = OpenTelemetry(received.endpoint, signals=["logs"])
        send = sink._sender.logs.export
        sink._sender.logs.export = fails
        sink.take_event(REQUEST)
        eventually(lambda: losses.dropped == 1, "given up")
        assert len(tries) == 3
        sink._sender.logs.export = send
        sink.take_event(REQUEST)
        sink.close()
        assert len(received.logs) == 1


def test_too_many_that_wait_drop_the_oldest(monkeypatch: pytest.MonkeyPatch) -> None:
    """Memory is bounded: the newest stay, the others are counted."""
    monkeypatch.setattr(otel_sender, "WAITING_EVENTS_LIMIT", 10)
    monkeypatch.setattr(otel_sender, "SEND_EVERY", 3600.0)
    with http_receiver() as received:
        sink = OpenTelemetry(received.endpoint, signals=["logs"])
        for seq in range(25):
            sink.take_event({**REQUEST, "seq": seq})
        assert losses.dropped == 15
        sink.close()
        assert [log.attributes["slowhound.seq"] for log in received.logs] == list(range(15, 25))


def test_sending_is_not_traced(monkeypatch: pytest.MonkeyPatch) -> None:
    """An application that traces its outbound calls does not see ours among them."""
    suppressed: list[object] = []
    send = HTTPAdapter.send

    def seen(*args: Any, **options: Any) -> Any:
        suppressed.append(get_value(_SUPPRESS_INSTRUMENTATION_KEY))
        return send(*args, **options)

    monkeypatch.setattr(HTTPAdapter, "send", seen)
    with http_receiver() as received:
        sink = OpenTelemetry(received.endpoint)
        sink.take_event(REQUEST)
        sink.deliver(report_of(SLOW))
        sink.close()
    assert suppressed == [True] * 3  # a report, events, metrics


def test_signals_can_be_left_out() -> None:
    """With metrics alone no log record is sent, and the other way round."""
    with http_receiver() as received:
        sent(received, REQUEST, signals=["metrics"])
        assert received.points
        assert not received.logs
    with http_receiver() as received:
        sent(received, REQUEST, signals=["logs"])
        assert received.logs
        assert not received.points


def test_environment_can_switch_it_off(monkeypatch: pytest.MonkeyPatch) -> None:
    """OTEL_SDK_DISABLED disables this sink as well."""
    monkeypatch.setenv("OTEL_SDK_DISABLED", "true")
    with http_receiver() as received:
        sink = OpenTelemetry(received.endpoint)
        sink.deliver(report_of(SLOW))
        sink.take_event(REQUEST)
        sink.close()
        assert received.tries == 0
    assert losses.dropped == 0


@pytest.mark.parametrize(
    "options",
    [{"protocol": "carrier pigeon"}, {"endpoint": "file:///etc/passwd"}, {"endpoint": "localhost"}],
)
def test_impossible_options_are_refused(options: dict[str, Any]) -> None:
    """When the sink is made, not with the first event."""
    with pytest.raises(ValueError):
        OpenTelemetry(**options)


def test_environment_has_the_endpoint(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without options the variables of OpenTelemetry are used."""
    with http_receiver() as received:
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", received.endpoint)
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_HEADERS", "x-key=from-env")
        monkeypatch.setenv("OTEL_RESOURCE_ATTRIBUTES", "deployment.environment.name=test")
        sink = OpenTelemetry()
        sink.take_event(REQUEST)
        sink.close()
        (log,) = received.logs
        assert log.resource["deployment.environment.name"] == "test"
        assert received.headers[0]["x-key"] == "from-env"


def test_names_of_the_table_are_those_of_the_conventions() -> None:
    """Each is a stable attribute, or known not to be."""
    modules = (
        client_attributes,
        db_attributes,
        exception_attributes,
        http_attributes,
        service_attributes,
        url_attributes,
        user_agent_attributes,
    )
    assert stable.__name__ == "opentelemetry.semconv.attributes"
    known = {
        value
        for module in modules
        for name, value in vars(module).items()
        if name.isupper() and isinstance(value, str)
    }
    named = {field.otel for field in FIELDS if field.otel}
    assert named - known <= NOT_STABLE


def test_event_that_a_peer_has_written_is_sent_once() -> None:
    """It is about this process, and has no number of this process."""
    with http_receiver() as received:
        unnumbered = {name: value for name, value in REQUEST.items() if name != "seq"}
        assert len(sent(received, {**unnumbered, "pid": os.getpid()})) == 1
