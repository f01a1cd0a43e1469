"""A receiver of OpenTelemetry's protocol on loopback, over HTTP or gRPC, which decodes it."""

from __future__ import annotations

import gzip
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import grpc
from opentelemetry.proto.collector.logs.v1 import logs_service_pb2, logs_service_pb2_grpc
from opentelemetry.proto.collector.metrics.v1 import metrics_service_pb2, metrics_service_pb2_grpc
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue

LogsRequest = logs_service_pb2.ExportLogsServiceRequest
MetricsRequest = metrics_service_pb2.ExportMetricsServiceRequest


@dataclass
class Log:
    """A log record, with the attributes of its resource."""

    name: str
    body: Any
    severity: int
    severity_text: str
    time: float
    trace_id: str
    span_id: str
    attributes: dict[str, Any]
    resource: dict[str, Any]


@dataclass
class Point:
    """A point of a metric; the ``value`` of a histogram is its count."""

    metric: str
    unit: str
    value: float
    attributes: dict[str, Any]
    resource: dict[str, Any]
    buckets: list[int] = field(default_factory=list)
    bounds: list[float] = field(default_factory=list)
    sum: float = 0.0


@dataclass
class Received:
    """The receiver's address and what it has got; a ``status`` other than 200 refuses requests."""

    endpoint: str = ""
    status: int = 200
    tries: int = 0
    logs: list[Log] = field(default_factory=list)
    points: list[Point] = field(default_factory=list)
    headers: list[dict[str, str]] = field(default_factory=list)
    raw: list[bytes] = field(default_factory=list)

    def named(self, name: str) -> list[Log]:
        """The log records with this event name."""
        return [log for log in self.logs if log.name == name]

    def metric(self, name: str) -> list[Point]:
        """The points of a metric, each as it was sent last."""
        found = {}
        for point in self.points:
            if point.metric == name:
                key = (str(point.attributes), point.resource.get("service.instance.id"))
                found[key] = point
        return list(found.values())

    def take_logs(self, request: Any) -> None:
        for group in request.resource_logs:
            resource = plain_all(group.resource.attributes)
            for scope in group.scope_logs:
                self.logs += [log_of(record, resource) for record in scope.log_records]

    def take_metrics(self, request: Any) -> None:
        for group in request.resource_metrics:
            resource = plain_all(group.resource.attributes)
            for scope in group.scope_metrics:
                for metric in scope.metrics:
                    self.points += points_of(metric, resource)


def log_of(record: Any, resource: dict[str, Any]) -> Log:
    return Log(
        record.event_name,
        plain(record.body),
        record.severity_number,
        record.severity_text,
        record.time_unix_nano / 1e9,
        record.trace_id.hex(),
        record.span_id.hex(),
        plain_all(record.attributes),
        resource,
    )


def points_of(metric: Any, resource: dict[str, Any]) -> Iterator[Point]:
    kind = metric.WhichOneof("data")
    for point in getattr(metric, kind).data_points:
        attributes = plain_all(point.attributes)
        if kind == "histogram":
            yield Point(
                metric.name,
                metric.unit,
                point.count,
                attributes,
                resource,
                list(point.bucket_counts),
                list(point.explicit_bounds),
                point.sum,
            )
        else:
            value = getattr(point, point.WhichOneof("value"))
            yield Point(metric.name, metric.unit, value, attributes, resource)


def plain_all(attributes: Any) -> dict[str, Any]:
    found: dict[str, Any] = {}
    each: KeyValue
    for each in attributes:
        assert each.key not in found, f"{each.key} twice"
        found[each.key] = plain(each.value)
    return found


def plain(value: AnyValue) -> Any:
    kind = value.WhichOneof("value")
    if kind is None:
        return None
    if kind == "array_value":
        return [plain(each) for each in value.array_value.values]
    if kind == "kvlist_value":
        return plain_all(value.kvlist_value.values)
    return getattr(value, kind)


class Handler(BaseHTTPRequestHandler):
    """OTLP over HTTP, see https://opentelemetry.io/docs/specs/otlp/ (otlphttp)."""

    server: HttpReceiver
    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        data = self.rfile.read(int(self.headers["Content-Length"]))
        received = self.server.received
        received.tries += 1
        if received.status == 200:
            if self.headers.get("Content-Encoding") == "gzip":
                data = gzip.decompress(data)
            received.raw.append(data)
            received.headers.append({name.lower(): value for name, value in self.headers.items()})
            if self.path == "/v1/logs":
                received.take_logs(LogsRequest.FromString(data))
            elif self.path == "/v1/metrics":
                received.take_metrics(MetricsRequest.FromString(data))
        known = self.path in ("/v1/logs", "/v1/metrics")
        self.send_response(received.status if known else 404)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_: Any) -> None:
        pass


class HttpReceiver(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, received: Received, port: int) -> None:
        self.received = received
        super().__init__(("127.0.0.1", port), Handler)


@contextmanager
def http_receiver(port: int = 0) -> Iterator[Received]:
    """A running receiver over HTTP."""
    received = Received()
    with HttpReceiver(received, port) as server:
        received.endpoint = f"http://127.0.0.1:{server.server_address[1]}"
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        try:
            yield received
        finally:
            server.shutdown()
            thread.join()


class Logs(logs_service_pb2_grpc.LogsServiceServicer):
    def __init__(self, received: Received) -> None:
        self.received = received

    def Export(self, request: Any, context: Any) -> Any:  # noqa: N802  gRPC's name
        remember(self.received, request, context)
        self.received.take_logs(request)
        return logs_service_pb2.ExportLogsServiceResponse()


class Metrics(metrics_service_pb2_grpc.MetricsServiceServicer):
    def __init__(self, received: Received) -> None:
        self.received = received

    def Export(self, request: Any, context: Any) -> Any:  # noqa: N802  gRPC's name
        remember(self.received, request, context)
        self.received.take_metrics(request)
        return metrics_service_pb2.ExportMetricsServiceResponse()


def remember(received: Received, request: Any, context: Any) -> None:
    received.tries += 1
    received.raw.append(request.SerializeToString())
    received.headers.append(dict(context.invocation_metadata()))


@contextmanager
def grpc_receiver() -> Iterator[Received]:
    """A running receiver over gRPC."""
    received = Received()
    server = grpc.server(ThreadPoolExecutor(max_workers=4))
    logs_service_pb2_grpc.add_LogsServiceServicer_to_server(Logs(received), server)
    metrics_service_pb2_grpc.add_MetricsServiceServicer_to_server(Metrics(received), server)
    received.endpoint = f"http://127.0.0.1:{server.add_insecure_port('127.0.0.1:0')}"
    server.start()
    try:
        yield received
    finally:
        server.stop(grace=None).wait()
