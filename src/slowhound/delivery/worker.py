"""Runs the thread that hands reports and events to the classes named in ``SINKS``.

The hound only puts a report into a bounded queue, so a sink that is slow or down delays neither
the next snapshot nor a request. The thread decides which reports are sent (``admission``), writes
those into the spool, and sends what is in the spool (``sender``): its own reports, and those that
other processes left there. A sink that fails is tried again, with growing pauses, and does not
stop the others. Each report arrives at least once, with the same ``report.id`` each time.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from typing import Any

from slowhound.config.config import Limit
from slowhound.core.report import Report
from slowhound.delivery.admission import Admission
from slowhound.delivery.backoff import sinks_of
from slowhound.delivery.event_queue import EventQueue
from slowhound.delivery.memory_spool import MemoryBackedSpool
from slowhound.delivery.queue import ReportQueue
from slowhound.delivery.sender import Sender
from slowhound.runtime.clocks import clock
from slowhound.runtime.unpatched import original
from slowhound.system.guard import guard
from slowhound.system.losses import lost
from slowhound.system.os_thread import OsThread

# Seconds; a report wakes the thread at once.
EVENTS_EVERY = 1.0
SPOOL_CHECK_EVERY = 5.0
# Seconds for what is left when the process ends; and if the sinks are only imported then.
STOP_TIMEOUT, FIRST_STOP_TIMEOUT = 4.0, 8.0
# Seconds after Django's setup, in which wsgi.py and the middleware are imported.
SECONDS_AFTER_SETUP = 3


class Delivery:
    """The queues, and the thread that empties them.

    It is a thread of the operating system under gevent as well: a greenlet that blocks does not
    stop it, and a sink that waits blocks no greenlet.

    Args:
        specs: ``SINKS``.
        directory: ``DIR``, with the spool.
        limit: how many reports of a group are sent; None: all.
    """

    def __init__(self, specs: tuple[Any, ...], directory: str, limit: Limit | None = None) -> None:
        self._specs = specs
        self._directory = directory
        self._limit = limit
        self.events = EventQueue()
        # Called with each event, by the request's own thread; None: no sink wants them.
        self.feed: Callable[[dict[str, Any]], None] | None = self.events.put if specs else None
        self._seconds_loaded = 0
        self._begin()

    def _begin(self) -> None:
        self._pid = os.getpid()
        self.events.begin()
        self._queue = ReportQueue(self._limit.most if self._limit is not None else None)
        spool = MemoryBackedSpool(self._directory)
        self._sender = Sender(spool, [])
        self._admission = Admission(self._queue, self.events, spool, self._limit)
        self._starting = original("_thread", "allocate_lock")()
        self._renew()

    def _renew(self) -> None:
        self._sender.sinks = sinks_of(self._specs)
        self._sender.deadline = float("inf")
        self.events.feed_to(self._sender.sinks)
        self._thread = OsThread(self._run)
        self._started = False
        # Held until the sinks are made.
        self._made = original("_thread", "allocate_lock")()
        self._made.acquire()
        self._next_spool_check = clock.monotonic()

    def put(self, report: Report) -> None:
        """Takes one report."""
        if self._specs:
            self.start()
            self._queue.put(report)
            self._thread.wake()

    def put_end(self, report: Report) -> None:
        """Takes a report again, after its request has ended."""
        if self._specs:
            self.start()
            self._queue.put_end(report)
            self._thread.wake()

    def start_when_loaded(self) -> None:
        """Starts the thread once the application is loaded; called about once a second.

        Not while the application still imports its modules: a thread that imports a sink may then
        get a module that is only half there.
        """
        apps = sys.modules.get("django.apps")
        self._seconds_loaded += apps is not None and apps.apps.ready
        if self._seconds_loaded > SECONDS_AFTER_SETUP:
            self.start()

    def start(self) -> None:
        """Starts the thread if it does not run; it also sends what others left in the spool."""
        if not self._specs:
            return
        if self._pid != os.getpid():
            self._begin()  # the parent sends what is in the queues
        # The hound and a thread that ends by a timeout may both be here.
        if not self._started and self._starting.acquire(blocking=False):
            try:
                if not self._started:
                    self._thread.start()
                    self._started = True
            except RuntimeError as exc:  # no more threads; the next call tries again
                lost("the thread of the sinks", exc, 0)
            finally:
                self._starting.release()

    def prepare(self) -> None:
        """Makes the sinks before Python ends: after that no thread starts and nothing imports."""
        if self._specs:
            self.start()
            if self._made.acquire(timeout=FIRST_STOP_TIMEOUT):
                self._made.release()

    def flush(self) -> None:
        """Sends what waits now; what comes later is sent by new sinks."""
        if self._specs:
            self.stop()
            if not self._thread.alive():
                self._renew()

    def stop(self, timeout: float = STOP_TIMEOUT) -> None:
        """Lets the thread send what it has, for ``timeout`` seconds at most; the rest waits.

        A process that ends before its thread has begun sends what it has all the same.
        """
        if not self._started and (self.events or self._queue):
            self.start()
            timeout = max(timeout, FIRST_STOP_TIMEOUT)
        self._sender.deadline = clock.monotonic() + timeout * 0.75
        self._thread.stop(timeout)

    def _run(self, wait: Callable[[float], bool]) -> None:
        sinks = self._sender.sinks
        try:
            made = [sink.make() for sink in sinks]
        finally:
            self._made.release()
        if all(made) and not self.events.takers():
            self.feed = None
            self.events.close()
        ending = False
        while not ending:
            # Nothing that came before the end is missed: there is one more turn after the request
            # to end.
            ending = wait(self._pause())
            turn_guard = guard("delivery")
            if not turn_guard.off:
                with turn_guard:
                    self._turn()
        for sink in sinks:
            sink.close()

    def _pause(self) -> float:
        """Seconds until there is something to do."""
        due = min(self._next_spool_check, self._sender.next_try) - clock.monotonic()
        return min(max(due, 0.05), EVENTS_EVERY if self.feed is not None else SPOOL_CHECK_EVERY)

    def _turn(self) -> None:
        self._admission.admit_queued()
        if clock.monotonic() >= self._next_spool_check:
            self._next_spool_check = clock.monotonic() + SPOOL_CHECK_EVERY
            self._admission.adopt()
            self._admission.release()
        self.events.hand_over()
        self._sender.send(between=self._between)

    def _between(self) -> None:
        """What comes in while a sink is slow is in the spool before the next one is tried."""
        self._admission.admit_queued()
        self.events.hand_over()
