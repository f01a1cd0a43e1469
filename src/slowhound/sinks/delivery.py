"""Delivery: one thread that hands reports to the classes named in ``SINKS``.

The hound only puts a report into a bounded queue, so a sink that is slow or dead delays neither
the next snapshot nor a request. The thread starts with the first report.
"""

from __future__ import annotations

import contextlib
import importlib
import os
from collections import deque
from collections.abc import Callable
from typing import Any, Protocol

from slowhound.guard import guard
from slowhound.losses import lost
from slowhound.osthread import OsThread
from slowhound.report import Report

QUEUE_LIMIT = 100
# Seconds; a report wakes the thread at once.
NOTHING_TO_DO = 3600.0


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
    """The queue and, from the first report on, its thread.

    That is one of the operating system's under gevent as well: a sink may wait there while a
    greenlet blocks, and what it waits in blocks no greenlet.
    """

    def __init__(self, specs: tuple[Any, ...]) -> None:
        self._specs = specs
        self._begin()

    def _begin(self) -> None:
        self._pid = os.getpid()
        self._queue: deque[Report] = deque()
        self._thread = OsThread(self._run)
        self._started = False

    def put(self, report: Report) -> None:
        """Queues one report; a full queue drops its oldest, which is counted."""
        if not self._specs:
            return
        if self._pid != os.getpid():
            self._begin()  # what is queued, the parent will deliver
        # Two at once, while a worker stops, are one report more or less.
        if len(self._queue) >= QUEUE_LIMIT:
            with contextlib.suppress(IndexError):  # the thread was faster
                self._queue.popleft()
                lost("reports for sinks", "the queue is full")
        self._queue.append(report)
        if not self._started:
            self._start()
        self._thread.wake()

    def stop(self, timeout: float = 2.0) -> None:
        """Lets the thread finish what is queued, for ``timeout`` seconds at most."""
        self._thread.stop(timeout)

    def _start(self) -> None:
        try:
            self._thread.start()
            self._started = True
        except RuntimeError as exc:  # no more threads; the next report tries again
            lost("the thread of the sinks", exc, 0)

    def _run(self, wait: Callable[[float], bool]) -> None:
        sinks: list[tuple[str, Sink]] = []
        for spec in self._specs:
            name = spec if isinstance(spec, str) else spec["sink"]
            with guard(f"sink {name}"):
                sinks.append((name, build(spec)))
        ending = False
        while not ending:
            # Nothing that was queued before the end is missed: told to end, it looks once more.
            ending = wait(NOTHING_TO_DO)
            while self._queue:
                self._deliver(sinks, self._queue.popleft())
        for name, sink in sinks:
            with guard(f"sink {name}"):
                sink.close()

    @staticmethod
    def _deliver(sinks: list[tuple[str, Sink]], report: Report) -> None:
        for name, sink in sinks:
            watch = guard(f"sink {name}")
            if watch.off:
                lost("reports for sinks", f"{name} is off")
                continue
            with watch:
                sink.deliver(report)
