"""Delivery: one thread that hands reports to the classes named in ``SINKS``.

The hound only puts a report into a bounded queue, so a sink that is slow or dead delays neither
the next snapshot nor a request. The thread starts with the first report.
"""

from __future__ import annotations

import importlib
import queue
import threading
from typing import Any, Protocol

from slowhound.guard import guard
from slowhound.losses import lost
from slowhound.report import Report

QUEUE_LIMIT = 100


class Sink(Protocol):
    """What a class in ``SINKS`` has to have; its other settings are keyword arguments."""

    def deliver(self, report: Report) -> None:
        """Takes one report; may be slow, may raise."""

    def close(self) -> None:
        """Called once when the worker stops."""


def build(spec: Any) -> Sink:
    """The sink of one entry of ``SINKS``: a dotted path, or a mapping with it under ``sink``."""
    options = {} if isinstance(spec, str) else dict(spec)
    path = spec if isinstance(spec, str) else options.pop("sink")
    module, _, name = path.rpartition(".")
    sink: Sink = getattr(importlib.import_module(module), name)(**options)
    return sink


class Delivery:
    """The queue and, from the first report on, its thread."""

    def __init__(self, specs: tuple[Any, ...]) -> None:
        self._specs = specs
        self._queue: queue.Queue[Report | None] = queue.Queue(QUEUE_LIMIT)
        self._thread: threading.Thread | None = None

    def put(self, report: Report) -> None:
        """Queues one report; a full queue drops its oldest, which is counted."""
        if not self._specs:
            return
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name="slowhound-sinks", daemon=True)
            self._thread.start()
        while True:
            try:
                self._queue.put_nowait(report)
                return
            except queue.Full:
                try:
                    self._queue.get_nowait()
                    lost("reports for sinks", "the queue is full")
                except queue.Empty:
                    pass

    def stop(self, timeout: float = 2.0) -> None:
        """Lets the thread finish what is queued, for ``timeout`` seconds at most."""
        if self._thread is not None:
            try:
                self._queue.put_nowait(None)
            except queue.Full:
                return
            self._thread.join(timeout)

    def _run(self) -> None:
        sinks: list[tuple[str, Sink]] = []
        for spec in self._specs:
            name = spec if isinstance(spec, str) else spec["sink"]
            with guard(f"sink {name}"):
                sinks.append((name, build(spec)))
        while (report := self._queue.get()) is not None:
            for name, sink in sinks:
                watch = guard(f"sink {name}")
                if watch.off:
                    lost("reports for sinks", f"{name} is off")
                    continue
                with watch:
                    sink.deliver(report)
        for name, sink in sinks:
            with guard(f"sink {name}"):
                sink.close()
