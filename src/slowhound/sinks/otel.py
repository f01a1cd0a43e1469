"""Sends events and reports to OpenTelemetry: log records, metrics, and events of spans.

It is made by the delivery thread, after the fork.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Mapping
from typing import Any

from slowhound.core.in_flight import take_span
from slowhound.core.report import Report
from slowhound.runtime.unpatched import is_patched
from slowhound.sinks.otel_names import attributes
from slowhound.system.guard import guard

try:
    from slowhound.sinks.otel_metrics import HAS_METRICS
    from slowhound.sinks.otel_private import HAS_LOGS, Exported, exporter_of, unobserved
    from slowhound.sinks.otel_records import Records, plain_values
    from slowhound.sinks.otel_sender import NOT_TAKEN, EventSender
except ImportError as exc:
    raise ImportError(f"{exc}; pip install 'slowhound[otel]'") from exc

# The fields that a span's event has of a slow request; the log record has all.
ON_SPAN = ("req_id", "resp_time", "slow_", "report", "resp_view", "db_queries", "db_time")


class OpenTelemetry:
    """Events as log records, metrics of them, and slow requests as events of the current span.

    Options that are not given are taken from the environment (``OTEL_EXPORTER_OTLP_...``).

    Args:
        endpoint: URL of the collector, as ``http://localhost:4318``; signals' paths are added.
        protocol: ``http`` (protobuf over HTTP) or ``grpc``.
        headers: sent along with each request.
        timeout: seconds that one sending may take, its retries included.
        signals: ``logs``, ``metrics``, or both.

    Raises:
        ValueError: the protocol is another one, or the endpoint is no URL of http or https.
    """

    # See ``delivery.sink``; called with the last event that has arrived, or is given up.
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

        # Each exporter is used by one thread only. Reports are sent by the delivery thread, which
        # has to know whether they arrived.
        logs, self._reports, metrics = exporter("logs"), exporter("logs"), exporter("metrics")
        self._exporters = [each for each in (logs, self._reports, metrics) if each is not None]
        self._records = Records()
        self._sender = EventSender(logs, metrics, self._records, self._arrived)

    def take_event(self, event: dict[str, Any]) -> None:
        """Queues one event; a slow one is also added to its request's span."""
        if event["event_type"] == "slow":
            _add_to_span(event, {})
        self._sender.put(event)

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
            _add_to_span(report.event, extra)
        if self._reports is None:
            return
        record = self._records.record(report.event, "slowhound.report", extra)
        with unobserved():
            if self._reports.export([record]) is not Exported.SUCCESS:
                raise ConnectionError(NOT_TAKEN)

    def close(self) -> None:
        """Sends what is left, for a few seconds at most."""
        self._sender.stop()
        for exporter in self._exporters:
            exporter.shutdown()  # ends a pause between two of its tries as well

    def _arrived(self, seq: int) -> None:
        if self.on_sent is not None:
            self.on_sent(seq)


def _protocol(given: str | None) -> str:
    name = given or os.environ.get("OTEL_EXPORTER_OTLP_PROTOCOL") or "http"
    if name not in ("http", "http/protobuf", "grpc"):
        raise ValueError(f"OpenTelemetry's protocol must be 'http' or 'grpc', not {name!r}")
    if name == "grpc" and is_patched():
        # grpcio waits in C; under gevent it runs only with an event loop of its own.
        raise ValueError("under gevent OpenTelemetry's protocol must be 'http'")
    return name.partition("/")[0]


def _add_to_span(event: dict[str, Any], extra: Mapping[str, Any]) -> None:
    """Adds a slow request to the span that it runs in, once, while that is open."""
    with guard("span of a slow request"):
        span = take_span(event.get("req_id"))
        if span is not None:
            fields = {name: value for name, value in event.items() if name.startswith(ON_SPAN)}
            span.add_event("slowhound.slow", {**attributes(fields), **plain_values(extra)})
