"""Sends events and metrics to OpenTelemetry in batches, on a thread of its own.

Why not the SDK's ``BatchLogRecordProcessor`` and ``PeriodicExportingMetricReader``? Measured with
SDK 1.45 and a collector on loopback, ours first: at exit, at SIGTERM and after a fork both lose
nothing. But

- collector down for 40 s, 100 events: 100 and 0 arrive. The SDK drops a batch when its exporter
  gives up, after 10 s, and throws away the exporter's result, so nothing counts the loss. Down for
  30 s at 20 events a second: 0 and 340 are lost.
- 10,000 events for a queue of 4,096: ours counts each that it drops, the SDK logs a warning.
- gevent worker, 30 requests: 30 and 0 have arrived after 10 s. The SDK's thread becomes a greenlet
  of the delivery thread, where no loop runs it before the worker stops.
- Gunicorn stops a worker whose collector is down in 3 s and 8 s.

So the exporters, the records and the instruments are the SDK's, and the queue is ours. Only
``sinks.otel`` imports this.
"""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable
from typing import Any

from slowhound.delivery.event_queue import last_own_seq
from slowhound.runtime.clocks import clock
from slowhound.sinks.otel_metrics import Metrics
from slowhound.sinks.otel_private import Exported, unobserved
from slowhound.sinks.otel_records import Records
from slowhound.system.guard import guard
from slowhound.system.losses import lost
from slowhound.system.os_thread import OsThread

SEND_EVERY = 1.0  # seconds
BATCH_SIZE = 512  # events
WAITING_EVENTS_LIMIT = 4096  # that wait; then the oldest are dropped, and counted
BATCH_TRIES = 5
FIRST_BATCH_PAUSE, LONGEST_BATCH_PAUSE = 5.0, 60.0  # seconds after a batch has failed
METRICS_EVERY = 60.0  # seconds, unless ``OTEL_METRIC_EXPORT_INTERVAL`` (milliseconds) is set
FLUSH_TIMEOUT = 2.5  # seconds for what is left when the worker stops
WHAT = "events for OpenTelemetry"
NOT_TAKEN = "the collector did not take them"


class EventSender:
    """A queue of events, and the thread that empties it.

    Args:
        logs: the exporter of log records; None: events are only counted in the metrics.
        metrics: the exporter of metrics; None: none are sent.
        records: makes the log records.
        on_arrived: called with the ``seq`` of the last event of this process that has arrived, or
            is given up.
    """

    def __init__(
        self, logs: Any, metrics: Any, records: Records, on_arrived: Callable[[int], object]
    ) -> None:
        self.logs = logs
        self._metrics_exporter = metrics
        self._records = records
        self._on_arrived = on_arrived
        self._metrics: Metrics | None = None
        self._interval = _metrics_interval()
        self._metrics_at = clock.monotonic() + self._interval
        self._new: deque[dict[str, Any]] = deque()
        self._waiting: deque[dict[str, Any]] = deque()
        self._batch: list[dict[str, Any]] = []
        self._failures = 0
        self._retry_at = 0.0
        self._thread = OsThread(self._run)
        self._thread.start()

    def put(self, event: dict[str, Any]) -> None:
        """Queues one event."""
        self._new.append(event)
        _drop_oldest(self._new)

    def stop(self) -> None:
        """Sends what is left, for a few seconds at most."""
        self._thread.stop(FLUSH_TIMEOUT)

    def _run(self, wait: Callable[[float], bool]) -> None:
        ending = False
        while not ending:
            ending = wait(SEND_EVERY)
            with guard(WHAT), unobserved():
                self._sort()
                self._send_events(ending)
                self._send_metrics(ending)

    def _sort(self) -> None:
        while self._new:
            event = self._new.popleft()
            if self._metrics_exporter is not None:
                if self._metrics is None:
                    resource = self._records.resource_of(event)
                    self._metrics = Metrics(self._metrics_exporter, resource, os.getpid())
                self._metrics.count(event)
            if self.logs is not None:
                self._waiting.append(event)
            else:
                self._arrived([event])
        _drop_oldest(self._waiting)

    def _send_events(self, ending: bool) -> None:
        while self.logs is not None and (self._batch or self._waiting):
            if not ending and clock.monotonic() < self._retry_at:
                return
            while self._waiting and len(self._batch) < BATCH_SIZE:
                self._batch.append(self._waiting.popleft())
            # Counted before the export: if that raises, the batch is tried no more often.
            self._failures += 1
            pause = FIRST_BATCH_PAUSE * 2 ** (self._failures - 1)
            self._retry_at = clock.monotonic() + min(pause, LONGEST_BATCH_PAUSE)
            if self._export():
                self._arrived(self._batch)
                self._batch, self._failures, self._retry_at = [], 0, 0.0
                continue
            if self._failures >= BATCH_TRIES or ending:
                lost(WHAT, NOT_TAKEN, len(self._batch))
                if not ending:
                    self._arrived(self._batch)
                self._batch, self._failures = [], 0
            return

    def _arrived(self, events: list[dict[str, Any]]) -> None:
        last = last_own_seq(events, os.getpid())
        if last is not None:
            self._on_arrived(last)

    def _export(self) -> bool:
        if self._failures > BATCH_TRIES:
            return False  # each try has raised
        records = [self._records.record(event) for event in self._batch]
        try:
            return self.logs.export(records) is Exported.SUCCESS
        except OSError:  # SDKs before 1.40, when the collector does not answer
            return False

    def _send_metrics(self, ending: bool) -> None:
        now = clock.monotonic()
        if self._metrics is None or not (ending or now >= self._metrics_at):
            return
        self._metrics_at = now + self._interval
        if not self._metrics.send():
            lost("metrics for OpenTelemetry", NOT_TAKEN)


def _metrics_interval() -> float:
    try:
        return max(float(os.environ["OTEL_METRIC_EXPORT_INTERVAL"]) / 1000, SEND_EVERY)
    except (KeyError, ValueError):
        return METRICS_EVERY


def _drop_oldest(events: deque[dict[str, Any]]) -> None:
    over = len(events) - WAITING_EVENTS_LIMIT
    for _ in range(over):
        events.popleft()
    if over > 0:
        lost(WHAT, "too many are waiting", over)
