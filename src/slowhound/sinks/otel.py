"""Events and reports to OpenTelemetry, over OTLP: log records, metrics, events of spans.

A thread of its own sends events, so that a collector that does not answer holds up neither the
other sinks nor a request. All is made where the delivery thread makes the sink: after the fork.
"""

from __future__ import annotations

import os
import uuid
from collections import deque
from collections.abc import Callable, Collection, Mapping
from typing import Any

from slowhound.core.record import take_span
from slowhound.core.report import Report
from slowhound.runtime.clocks import clock
from slowhound.runtime.unpatched import is_patched
from slowhound.sinks.otel_names import WORDS, attributes, body, plain, severity
from slowhound.system.guard import guard
from slowhound.system.losses import lost
from slowhound.system.os_thread import OsThread

try:
    from opentelemetry.sdk.resources import Resource
    from opentelemetry.sdk.util.instrumentation import InstrumentationScope
    from opentelemetry.trace import NonRecordingSpan, SpanContext, set_span_in_context

    from slowhound.sinks.otel_metrics import HAS_METRICS, Metrics
    from slowhound.sinks.otel_private import (
        HAS_LOGS,
        Exported,
        LogRecord,
        ReadableLogRecord,
        SeverityNumber,
        exporter_of,
        unobserved,
    )
except ImportError as exc:
    raise ImportError(f"{exc}; pip install 'slowhound[otel]'") from exc

TICK = 1.0  # seconds between two sendings
BATCH = 512
WAITING = 4096  # events; then the oldest are dropped, and counted
TRIES = 5
PAUSES = 5.0, 60.0  # seconds after the first failure of a batch, and at most
METRICS_EVERY = 60.0  # seconds; ``OTEL_METRIC_EXPORT_INTERVAL`` (milliseconds) says otherwise
FLUSH = 2.5  # seconds for what is left when the worker stops
SCOPE = InstrumentationScope("slowhound")
WHAT = "events for OpenTelemetry"
NO_ANSWER = "the collector did not take them"
# What an event of a span says of a slow request; the rest is in its log record.
ON_SPAN = ("req_id", "resp_time", "slow_", "report", "resp_view", "db_queries", "db_time")


class OpenTelemetry:
    """Events as log records, metrics of them, and slow requests as events of the current span.

    What is not given is as the environment says (``OTEL_EXPORTER_OTLP_...``).

    Args:
        endpoint: URL of the collector, as ``http://localhost:4318``; signals' paths are added.
        protocol: ``http`` (protobuf over HTTP) or ``grpc``.
        headers: sent along with each request.
        timeout: seconds that one sending may take, its retries included.
        signals: ``logs``, ``metrics``, or both.

    Raises:
        ValueError: the protocol is another one, or the endpoint is no URL of http or https.
    """

    # Called with the ``seq`` of the last event of this process that has arrived, or is given up.
    on_sent: Callable[[int], object] | None = None

    def __init__(
        self,
        endpoint: str | None = None,
        protocol: str | None = None,
        headers: Mapping[str, str] | None = None,
        timeout: float = 10.0,
        signals: Collection[str] = ("logs", "metrics"),
    ) -> None:
        def exporter(signal: str) -> Any:
            off = os.environ.get("OTEL_SDK_DISABLED", "").lower() == "true"
            if (
                off
                or signal not in signals
                or not {"logs": HAS_LOGS, "metrics": HAS_METRICS}[signal]
            ):
                return None
            return exporter_of(signal, _protocol(protocol), endpoint, headers, timeout)

        # Each is used by one thread only. Reports are sent by the delivery thread, which has to
        # know whether they arrived.
        self._logs: Any = exporter("logs")
        self._reports = exporter("logs")
        self._metrics = exporter("metrics")
        self._meters: Metrics | None = None
        self._instance = str(uuid.uuid4())
        # Here: it asks threads, and none can be started when the interpreter ends.
        self._detected = Resource.create()
        self._resource: Resource | None = None
        self._interval = _metrics_interval()
        self._metrics_at = clock.monotonic() + self._interval
        self._came: deque[dict[str, Any]] = deque()
        self._waiting: deque[dict[str, Any]] = deque()
        self._batch: list[dict[str, Any]] = []
        self._failures = 0
        self._retry_at = 0.0
        self._thread = OsThread(self._run)
        self._thread.start()

    def take_event(self, event: dict[str, Any]) -> None:
        """Queues one event; a slow one is also noted on its request's span."""
        if event["event_type"] == "slow":
            _tell_span(event, {})
        self._came.append(event)
        _shorten(self._came)

    def deliver(self, report: Report) -> None:
        """Sends the whole report as a log record.

        Raises:
            ConnectionError: the collector did not take it.
        """
        extra: dict[str, Any] = {"slowhound.report_id": report.id}
        if report.snapshot is not None:
            extra["code.stacktrace"] = report.snapshot.text()
        if report.verdict:
            extra["slowhound.verdict"] = report.verdict
        if report.held_back:
            extra["slowhound.held_back"] = report.held_back
        if report.kind == "slow":
            _tell_span(report.event, extra)
        if self._reports is None:
            return
        record = self._record(report.event, "slowhound.report", extra)
        with unobserved():
            if self._reports.export([record]) is not Exported.SUCCESS:
                raise ConnectionError(NO_ANSWER)

    def close(self) -> None:
        """Sends what is left, for a few seconds at most."""
        self._thread.stop(FLUSH)
        for exporter in (self._logs, self._reports, self._metrics):
            if exporter is not None:
                exporter.shutdown()  # ends a pause between two of its tries as well

    # The thread

    def _run(self, wait: Callable[[float], bool]) -> None:
        ending = False
        while not ending:
            ending = wait(TICK)
            with guard(WHAT), unobserved():
                self._sort()
                self._send_events(ending)
                self._send_metrics(ending)

    def _sort(self) -> None:
        while self._came:
            event = self._came.popleft()
            if self._metrics is not None:
                if self._meters is None:
                    self._meters = Metrics(self._metrics, self._resource_of(event), os.getpid())
                self._meters.count(event)
            if self._logs is not None:
                self._waiting.append(event)
            else:
                self._arrived([event])
        _shorten(self._waiting)

    def _send_events(self, ending: bool) -> None:
        while self._logs is not None and (self._batch or self._waiting):
            if not ending and clock.monotonic() < self._retry_at:
                return
            while self._waiting and len(self._batch) < BATCH:
                self._batch.append(self._waiting.popleft())
            # Noted before: whatever happens in there, it happens so many times at most.
            self._failures += 1
            first, most = PAUSES
            self._retry_at = clock.monotonic() + min(first * 2**self._failures / 2, most)
            if self._export():
                self._arrived(self._batch)
                self._batch, self._failures, self._retry_at = [], 0, 0.0
                continue
            if self._failures >= TRIES or ending:
                lost(WHAT, NO_ANSWER, len(self._batch))
                if not ending:
                    self._arrived(self._batch)
                self._batch, self._failures = [], 0
            return

    def _arrived(self, events: list[dict[str, Any]]) -> None:
        # What a neighbour has told of this process has no number of its own.
        own = [each["seq"] for each in events if each.get("pid") == os.getpid() and "seq" in each]
        if own and self.on_sent is not None:
            self.on_sent(max(own))

    def _export(self) -> bool:
        if self._failures > TRIES:
            return False  # something raised each time
        records = [self._record(event) for event in self._batch]
        try:
            return self._logs.export(records) is Exported.SUCCESS
        except OSError:  # what SDKs before 1.40 do when nobody answers
            return False

    def _send_metrics(self, ending: bool) -> None:
        now = clock.monotonic()
        if self._meters is None or not (ending or now >= self._metrics_at):
            return
        self._metrics_at = now + self._interval
        if not self._meters.send():
            lost("metrics for OpenTelemetry", NO_ANSWER)

    # What is sent to whom

    def _resource_of(self, event: dict[str, Any]) -> Resource:
        """Whose the events are; this process's first one says it, with ``OTEL_...`` beside."""
        if self._resource is None:
            known = {
                "service.name": event.get("service"),
                "service.version": event.get("release"),
                "host.name": event.get("host"),
                "service.instance.id": self._instance,
                "process.pid": os.getpid(),
            }
            own = {name: value for name, value in known.items() if value is not None}
            self._resource = self._detected.merge(Resource(own))
        return self._resource

    def _record(
        self, event: dict[str, Any], name: str = "", extra: Mapping[str, Any] | None = None
    ) -> Any:
        level = severity(event)
        context = None
        if event.get("trace_id") and event.get("span_id"):
            ids = SpanContext(int(event["trace_id"], 16), int(event["span_id"], 16), True)
            context = set_span_in_context(NonRecordingSpan(ids))
        record = LogRecord(
            timestamp=int(event["ts"] * 1e9) if "ts" in event else clock.time_ns(),
            context=context,
            severity_text=WORDS[level],
            severity_number=SeverityNumber(level),
            body=body(event),
            attributes={**attributes(event), **_plain_of(extra or {})},
            event_name=name or f"slowhound.{event['event_type']}",
        )
        return ReadableLogRecord(record, self._resource_of(event), SCOPE)


def _protocol(given: str | None) -> str:
    name = given or os.environ.get("OTEL_EXPORTER_OTLP_PROTOCOL") or "http"
    if name not in ("http", "http/protobuf", "grpc"):
        raise ValueError(f"OpenTelemetry's protocol must be 'http' or 'grpc', not {name!r}")
    if name == "grpc" and is_patched():
        # grpcio waits in C; only a loop of its own for gevent would let it run.
        raise ValueError("under gevent OpenTelemetry's protocol must be 'http'")
    return name.partition("/")[0]


def _metrics_interval() -> float:
    try:
        return max(float(os.environ["OTEL_METRIC_EXPORT_INTERVAL"]) / 1000, TICK)
    except (KeyError, ValueError):
        return METRICS_EVERY


def _shorten(queue: deque[dict[str, Any]]) -> None:
    over = len(queue) - WAITING
    for _ in range(over):
        queue.popleft()
    if over > 0:
        lost(WHAT, "too many are waiting", over)


def _plain_of(extra: Mapping[str, Any]) -> dict[str, Any]:
    return {name: plain(value) for name, value in extra.items()}


def _tell_span(event: dict[str, Any], extra: Mapping[str, Any]) -> None:
    """Notes a slow request on the span that it runs in, once, while that is open."""
    with guard("span of a slow request"):
        span = take_span(event.get("req_id"))
        if span is not None:
            told = {name: value for name, value in event.items() if name.startswith(ON_SPAN)}
            span.add_event("slowhound.slow", {**attributes(told), **_plain_of(extra)})
