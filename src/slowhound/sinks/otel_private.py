"""Finds the names of OpenTelemetry that are not stable yet, those with an underscore.

Only ``sinks.otel`` and what it is made of import this.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any
from urllib.parse import urlsplit

from opentelemetry.context import attach, detach, set_value

from slowhound.runtime.library_names import find
from slowhound.sinks.otel_metrics import NO_METRICS

NO_LOGS = "neither events nor reports are sent to OpenTelemetry as log records"
LogRecord: Any = find("opentelemetry._logs.LogRecord", NO_LOGS)
SeverityNumber: Any = find("opentelemetry._logs.SeverityNumber", NO_LOGS)
ReadableLogRecord: Any = find("opentelemetry.sdk._logs.ReadableLogRecord", NO_LOGS)
Exported: Any = find("opentelemetry.sdk._logs.export.LogRecordExportResult", NO_LOGS)
HAS_LOGS = None not in (LogRecord, SeverityNumber, ReadableLogRecord, Exported)
UNOBSERVED = find(
    "opentelemetry.context._SUPPRESS_INSTRUMENTATION_KEY",
    "the application's own OpenTelemetry traces what is sent to OpenTelemetry",
)
EXPORTERS = {
    ("logs", "http"): "opentelemetry.exporter.otlp.proto.http._log_exporter.OTLPLogExporter",
    ("logs", "grpc"): "opentelemetry.exporter.otlp.proto.grpc._log_exporter.OTLPLogExporter",
    ("metrics", "http"): (
        "opentelemetry.exporter.otlp.proto.http.metric_exporter.OTLPMetricExporter"
    ),
    ("metrics", "grpc"): (
        "opentelemetry.exporter.otlp.proto.grpc.metric_exporter.OTLPMetricExporter"
    ),
}


@contextmanager
def unobserved() -> Iterator[None]:
    """In this block the application's own OpenTelemetry does not trace what is sent."""
    token = None if UNOBSERVED is None else attach(set_value(UNOBSERVED, True))
    try:
        yield
    finally:
        if token is not None:
            detach(token)


def exporter_of(
    signal: str,
    protocol: str,
    endpoint: str | None,
    headers: Mapping[str, str] | None,
    timeout: float,
) -> Any:
    if endpoint is not None and urlsplit(endpoint).scheme not in ("http", "https"):
        raise ValueError(f"OpenTelemetry's endpoint must be a URL of http or https: {endpoint!r}")
    if endpoint is not None and protocol == "http":
        endpoint = f"{endpoint.rstrip('/')}/v1/{signal}"
    made = find(EXPORTERS[signal, protocol], NO_LOGS if signal == "logs" else NO_METRICS)
    # gRPC accepts only lower-case header names.
    sent = {name.lower(): value for name, value in headers.items()} if headers else None
    return made and made(endpoint=endpoint, headers=sent, timeout=timeout)
