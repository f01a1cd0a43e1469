"""Makes OpenTelemetry's metrics of events: durations and rates, saturation, deaths.

Only ``sinks.otel`` and what it is made of import this.
"""

from __future__ import annotations

import os
from typing import Any

from opentelemetry.metrics import Meter
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import MetricExporter, MetricExportResult, MetricReader
from opentelemetry.sdk.resources import Resource

from slowhound.runtime.library_names import find

# https://opentelemetry.io/docs/specs/semconv/http/http-metrics/
BUCKETS = [0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1, 2.5, 5, 7.5, 10]
KNOWN_METHODS = frozenset(
    ("CONNECT", "DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT", "QUERY", "TRACE")
)
TIME_PARTS = {
    "queue_time": "queue",
    "db_time": "db",
    "cache_time": "cache",
    "tmpl_time": "template",
    "out_time": "outbound",
    "rest_time": "rest",
    "resp_cpu_time": "cpu",
    "gc_time": "gc",
}
GAUGES = {
    "g_w_count": ("slowhound.workers", "{worker}", "Workers of this server"),
    "g_w_active": ("slowhound.workers.active", "{worker}", "Workers with a request in flight"),
    "g_backlog": ("slowhound.backlog", "{connection}", "Connections waiting for accept"),
    "g_threads": ("slowhound.threads", "{thread}", "Threads of this worker"),
    "g_threads_busy": ("slowhound.threads.busy", "{thread}", "Requests in flight in it"),
    "g_queue": ("slowhound.queue", "{connection}", "Connections waiting for one of them"),
    "w_rss": ("slowhound.worker.memory", "By", "Resident memory of this worker"),
}
# With SAMPLING an event counts for at most so many.
REQUESTS_PER_EVENT_LIMIT = 1000
# Ended workers that are remembered: each counts once, however many requests it had.
ENDED_WORKERS_LIMIT = 200


NO_METRICS = "no metrics are sent to OpenTelemetry"
HAS_METRICS = (
    find("opentelemetry.sdk.metrics.export.MetricReader._receive_metrics", NO_METRICS) is not None
)
PREFERRED = (
    "opentelemetry.sdk.metrics.export.MetricExporter:_preferred_temporality",
    "opentelemetry.sdk.metrics.export.MetricExporter:_preferred_aggregation",
)
for _name in PREFERRED:
    find(_name, "sums sent to OpenTelemetry are cumulative, whatever the environment sets")


class CollectingReader(MetricReader):
    """Keeps what it collected for the caller, which sends it and learns whether it arrived."""

    collected: Any = None

    def _receive_metrics(self, metrics_data: Any, timeout_millis: float = 0, **_: Any) -> None:
        self.collected = metrics_data

    def shutdown(self, timeout_millis: float = 0, **_: Any) -> None:
        """Nothing is open."""


class Metrics:
    """The instruments of one process; used by one thread only.

    Args:
        exporter: sends them; also decides whether sums are cumulative.
        resource: of this process.
        pid: of this process; events of another one, which has ended, set no gauges.
    """

    def __init__(self, exporter: MetricExporter, resource: Resource, pid: int) -> None:
        self.exporter = exporter
        self.pid = pid
        preferred = [getattr(exporter, name.rpartition(":")[2], None) for name in PREFERRED]
        self.reader = CollectingReader(*preferred)
        provider = MeterProvider([self.reader], resource=resource, shutdown_on_exit=False)
        meter = provider.get_meter("slowhound")
        self._ended: dict[tuple[Any, Any], None] = {}
        self._make(meter)

    def _make(self, meter: Meter) -> None:
        def seconds(name: str, meaning: str) -> Any:
            return meter.create_histogram(
                name, "s", meaning, explicit_bucket_boundaries_advisory=BUCKETS
            )

        self.requests = seconds("http.server.request.duration", "Duration of HTTP requests")
        self.tasks = seconds("slowhound.task.duration", "Duration of background work")
        self.parts = seconds("slowhound.request.time", "Where the time of requests went")
        self.slow = meter.create_counter("slowhound.slow", "{request}", "Requests found slow")
        self.deaths = meter.create_counter(
            "slowhound.worker.deaths", "{worker}", "Workers that died with requests in flight"
        )
        self.stalls = meter.create_counter("slowhound.stalls", "{stall}", "Workers that stood")
        self.gauges = {
            field: meter.create_gauge(name, unit, meaning)
            for field, (name, unit, meaning) in GAUGES.items()
        }

    def count(self, event: dict[str, Any]) -> None:
        """Adds one event to the instruments that it is about."""
        kind = event["event_type"]
        if kind == "slow":
            self.slow.add(1, _where(event))
        elif kind == "stall":
            self.stalls.add(1, {"slowhound.stall_kind": str(event.get("stall_kind"))})
        elif kind in ("request", "task", "timeout", "crash"):
            self._count_end(event)
        if kind in ("timeout", "crash"):
            self._count_death(event)
        elif event.get("pid") == self.pid:
            for field, gauge in self.gauges.items():
                value = event.get(field)
                if isinstance(value, int):
                    gauge.set(value)

    def _count_end(self, event: dict[str, Any]) -> None:
        took = event.get("resp_time")
        if not isinstance(took, float):
            return
        where = _where(event)
        for _ in range(stands_for(event)):
            if "req_method" not in event:
                self.tasks.record(took, {**where, **_error(event)})
                continue
            self.requests.record(took, {**where, **_error(event)})
            for field, part in TIME_PARTS.items():
                if field in event and isinstance(event[field], float):
                    self.parts.record(event[field], {**where, "slowhound.part": part})

    def _count_death(self, event: dict[str, Any]) -> None:
        worker = event.get("host"), event.get("pid")
        if worker in self._ended:
            return
        self._ended[worker] = None
        if len(self._ended) > ENDED_WORKERS_LIMIT:
            del self._ended[next(iter(self._ended))]
        cause = str(event.get("crash_cause") or event["event_type"])
        self.deaths.add(1, {"slowhound.crash_cause": cause})

    def send(self) -> bool:
        """Sends all; False when that failed: cumulative sums are in the next sending then."""
        self.reader.collect()
        data, self.reader.collected = self.reader.collected, None
        try:
            return data is None or self.exporter.export(data) is MetricExportResult.SUCCESS
        except OSError:  # SDKs before 1.40, when the collector does not answer
            return False


def stands_for(event: dict[str, Any]) -> int:
    """How many requests a kept event stands for under ``SAMPLING``; right on average."""
    rate = event.get("sample_rate")
    if not isinstance(rate, float) or rate <= 0.0:
        return 1
    # Not random.random(): an application may rely on the sequence of that.
    return min(int(1.0 / rate + int.from_bytes(os.urandom(2)) / 0x10000), REQUESTS_PER_EVENT_LIMIT)


def _where(event: dict[str, Any]) -> dict[str, Any]:
    if "req_method" not in event:
        names = {"slowhound.task_kind": "task_kind", "slowhound.task_name": "task_name"}
        return {name: str(event.get(field)) for name, field in names.items()}
    method = event["req_method"]
    # Clients can invent any number of methods; each would be a time series of its own.
    found = {"http.request.method": method if method in KNOWN_METHODS else "_OTHER"}
    if event.get("req_route"):
        found["http.route"] = str(event["req_route"])
    return found


def _error(event: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    status = event.get("resp_status")
    if isinstance(status, int):
        found["http.response.status_code"] = status
    if event.get("exc_type") and not event.get("exc_handled"):
        found["error.type"] = str(event["exc_type"])
    elif isinstance(status, int) and status >= 500:
        found["error.type"] = str(status)
    elif event.get("resp_outcome") not in (None, "ok", "disconnect", "ignored"):
        found["error.type"] = str(event["resp_outcome"])
    return found
