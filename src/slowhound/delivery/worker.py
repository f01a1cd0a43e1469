"""Delivery: one thread that hands reports to the classes named in ``SINKS``.

A sink is any class with ``deliver`` and ``close``, see ``Sink``; it may have two methods more:

- ``follow_up(report)``: a request whose report it was given has ended; ``report.finished`` says
  how. May raise, is tried again. A request that ended before its report went out is told of by
  ``deliver`` alone, with ``finished`` set.
- ``take_event(event)``: each event of this worker, about once a second in a batch. Not tried again
  when it raises. The dict is shared and must not be changed. A sink that keeps events has an
  attribute ``on_sent``, None at first: a function to be called with the ``seq`` of the last event
  of this process that has arrived. What had not when the process died, another one sends.

The hound only puts a report into a bounded queue, so a sink that is slow or dead delays neither
the next snapshot nor a request. The thread decides what of it is sent (``rate_limit``), writes that
into the spool, and sends what is in the spool, its own reports and those that others left there. A
sink that fails is tried again, with growing pauses, and does not stop the others. Each report
arrives at least once; ``report.id`` is the same each time.
"""

from __future__ import annotations

import contextlib
import importlib
import os
import sys
from collections import deque
from collections.abc import Callable
from functools import partial
from typing import Any

from slowhound.blackbox.box import NOBODY
from slowhound.config.config import Limit
from slowhound.core.report import Report
from slowhound.delivery.backoff import BackoffSink
from slowhound.delivery.queue import ReportQueue
from slowhound.delivery.rate_limit import RateLimiter
from slowhound.delivery.sender import Sender
from slowhound.delivery.sink import build
from slowhound.delivery.spool import DeliveryItem
from slowhound.runtime.clocks import clock
from slowhound.runtime.unpatched import original
from slowhound.system.guard import guard
from slowhound.system.losses import lost
from slowhound.system.os_thread import OsThread

EVENTS_LIMIT = 10_000
# Turns of the hound after Django's setup; wsgi.py and the middleware are imported after that.
TURNS_AFTER_SETUP = 3
# Seconds; a report wakes the thread at once.
EVENTS_EVERY = 1.0
LOOK_EVERY = 5.0
# For what is left when the process ends; and where the sinks are imported only then.
STOP, FIRST_STOP = 4.0, 8.0


def preload(specs: tuple[Any, ...]) -> None:
    """Imports our own sinks while the application loads: without bytecode files that compiles.

    On the thread that sends, it would stop all others for as long. The application's own sinks are
    left to that: they may import what is not ready yet.
    """
    for spec in specs:
        path = spec if isinstance(spec, str) else spec["sink"]
        if path.startswith("slowhound."):
            with contextlib.suppress(ImportError):  # `make` tells of it
                importlib.import_module(path.rpartition(".")[0])


def sinks_of(specs: tuple[Any, ...]) -> list[BackoffSink]:
    """One for each entry of ``SINKS``; the second one of a class is called ``path#2``."""
    sinks: list[BackoffSink] = []
    paths: list[str] = []
    for spec in specs:
        path = spec if isinstance(spec, str) else spec["sink"]
        paths.append(path)
        name = path if paths.count(path) == 1 else f"{path}#{paths.count(path)}"
        sinks.append(BackoffSink(name, lambda spec=spec: build(spec)))  # type: ignore[misc]
    return sinks


class Delivery:
    """The queue, and the thread that empties it.

    That is one of the operating system's under gevent as well: a sink may wait there while a
    greenlet blocks, and what it waits in blocks no greenlet.

    Args:
        specs: ``SINKS``.
        directory: ``DIR``, with the spool.
        limit: how many reports of a group are sent; None: all.
    """

    def __init__(self, specs: tuple[Any, ...], directory: str, limit: Limit | None = None) -> None:
        self._specs = specs
        self._directory = directory
        self._limit = limit
        # Called with each event, by the request's own thread; None: no sink wants them.
        self.feed: Callable[[dict[str, Any]], None] | None = self._feed if specs else None
        # Is told the ``seq`` of the last event that all sinks have, by whichever thread sends.
        self.tell_sent: Callable[[int], object] = int
        self._turns_loaded = 0
        self._begin()

    def _begin(self) -> None:
        self._pid = os.getpid()
        self._queue = ReportQueue(self._limit.most if self._limit is not None else None)
        self._events: deque[dict[str, Any]] = deque()
        self._sender = Sender(self._directory, [])
        self._starting = original("_thread", "allocate_lock")()
        self.sent = 0
        self._renew()

    def _renew(self) -> None:
        self._sender.sinks = sinks_of(self._specs)
        self._sender.deadline = float("inf")
        self._thread = OsThread(self._run)
        self._started = False
        # Held until the sinks are made.
        self._made = original("_thread", "allocate_lock")()
        self._made.acquire()
        self._adopted: set[str] = set()
        self._progress = dict.fromkeys((each.name for each in self._sender.sinks), self.sent)
        self._next_look = clock.monotonic()

    def put(self, report: Report) -> None:
        """Takes one report."""
        if self._specs:
            self._ready()
            self._queue.put(report)
            self._thread.wake()

    def put_end(self, report: Report) -> None:
        """Takes a report again, whose request has ended meanwhile."""
        if self._specs:
            self._ready()
            self._queue.put_end(report)
            self._thread.wake()

    def _feed(self, event: dict[str, Any]) -> None:
        if len(self._events) >= EVENTS_LIMIT:
            with contextlib.suppress(IndexError):  # the thread has just emptied it
                self._events.popleft()
                lost("events for sinks", "the queue is full")
        self._events.append(event)

    def tend_when_loaded(self) -> None:
        """Lets the sinks have what others left, once the application is loaded.

        Not while it still imports its modules: another thread that does may meet half of one.
        """
        apps = sys.modules.get("django.apps")
        self._turns_loaded += apps is not None and apps.apps.ready
        if self._turns_loaded > TURNS_AFTER_SETUP:
            self.tend()

    def tend(self) -> None:
        """Lets the thread run, which also sends what others left in the spool."""
        if self._specs:
            self._ready()

    def prepare(self) -> None:
        """Makes the sinks: what they are made of can neither be started nor imported later."""
        if self._specs:
            self._ready()
            if self._made.acquire(timeout=FIRST_STOP):
                self._made.release()

    def flush(self) -> None:
        """Sends what waits now; then others may send more, with sinks that are made anew."""
        if self._specs:
            self.stop()
            if not self._thread.alive():
                self._renew()

    def stop(self, timeout: float = STOP) -> None:
        """Lets the thread send what it has, for ``timeout`` seconds at most; the rest waits.

        A process that ends before its thread has begun sends what it has all the same.
        """
        if not self._started and self._specs and (self._events or self._queue):
            self._ready()
            timeout = max(timeout, FIRST_STOP)
        self._sender.deadline = clock.monotonic() + timeout * 0.75
        self._thread.stop(timeout)

    def _ready(self) -> None:
        if self._pid != os.getpid():
            self._begin()  # what is in there, the parent will send
        # The hound and a thread that ends by a timeout may both be here.
        if not self._started and self._starting.acquire(blocking=False):
            try:
                if not self._started:
                    self._thread.start()
                    self._started = True
            except RuntimeError as exc:  # no more threads; the next one tries again
                lost("the thread of the sinks", exc, 0)
            finally:
                self._starting.release()

    def _run(self, wait: Callable[[float], bool]) -> None:
        sinks = self._sender.sinks
        try:
            made = [sink.make() for sink in sinks]
        finally:
            self._made.release()
        if all(made) and not self._takers():
            self.feed = None
            self._events.clear()
            self._note_sent()
        ending = False
        while not ending:
            # Nothing that came before the end is missed: told to end, it looks once more.
            ending = wait(self._pause())
            watch = guard("delivery")
            if not watch.off:
                with watch:
                    self._turn()
        for sink in sinks:
            sink.close()

    def _takers(self) -> list[BackoffSink]:
        return [sink for sink in self._sender.sinks if sink.takes_events]

    def _pause(self) -> float:
        """Seconds until there is something to do."""
        due = min(self._next_look, self._sender.next_try) - clock.monotonic()
        return min(max(due, 0.05), EVENTS_EVERY if self.feed is not None else LOOK_EVERY)

    def _turn(self) -> None:
        self._judge()
        if clock.monotonic() >= self._next_look:
            self._next_look = clock.monotonic() + LOOK_EVERY
            self._adopt()
            self._release()
        self._hand_on_events()
        self._sender.send(between=self._between)

    def _between(self) -> None:
        """What comes in while a sink is slow is in the spool before the next one is tried."""
        self._judge()
        self._hand_on_events()

    def _hand_on_events(self) -> None:
        takers = self._takers()
        events: list[dict[str, Any]] = []
        with contextlib.suppress(IndexError):  # a request may drop the oldest at the same time
            for _ in range(len(self._events)):
                events.append(self._events.popleft())  # noqa: PERF401  what was taken is kept
        own = [event["seq"] for event in events if event.get("pid") == self._pid and "seq" in event]
        for sink in takers:
            tells = sink.tell_sent(partial(self._has, sink.name))
            sink.take(events)
            if own and not tells:
                self._has(sink.name, max(own))

    def _has(self, sink: str, seq: int) -> None:
        """This sink has all events up to this one."""
        self._progress[sink] = max(seq, self._progress.get(sink, 0))
        self._note_sent()

    def _note_sent(self) -> None:
        takers = [sink.name for sink in self._takers()]
        sent = min((self._progress.get(name, 0) for name in takers), default=NOBODY)
        if sent != self.sent:
            self.sent = sent
            self.tell_sent(sent)

    def _judge(self) -> None:
        """What of the queue is sent goes into the spool."""
        if not self._queue:
            return
        batch = self._queue.take()
        now = clock.time()
        with self._sender.spool.limiter() as limiter:
            self._admit(limiter, batch.reports, now)
            for fingerprint, overflow in batch.overflow.items():
                limiter.count_held(fingerprint, overflow.number, now)
                self._sender.hold(overflow.newest)
            sent = limiter.sent_ids()
            for report in batch.ends:
                if report.id in sent or self._limit is None:
                    self._sender.put(DeliveryItem(report, follow_up=True))

    def _admit(self, limiter: RateLimiter, reports: list[Report], now: float) -> None:
        known = limiter.sent_ids()
        held: dict[str, Report] = {}
        for report in reports:
            if report.id in known:  # a neighbour has told it already
                if report.finished is not None:
                    self._sender.put(DeliveryItem(report, follow_up=True))
                continue
            judged = limiter.admit(report, self._limit, now)
            if judged is None:
                held[report.fingerprint] = report
            else:
                self._sender.put(DeliveryItem(judged))
                self._sender.drop_held(report.fingerprint)
        for report in held.values():
            self._sender.hold(report)

    def _adopt(self) -> None:
        """Takes what processes left that send nothing themselves."""
        for name in self._sender.names(".events"):
            for event in self._sender.spool.take_events(name):
                if self.feed is not None:
                    self.feed(event)
        names = self._sender.names(".new")
        self._adopted &= set(names)
        for name in names:
            if name in self._adopted:
                continue  # it could not be removed
            with self._sender.spool.claim(name) as claimed:
                if claimed is not None:
                    report = claimed.item.report
                    if self.feed is not None:
                        self.feed(report.event)  # its writer has no sinks to hand it to
                    with self._sender.spool.limiter() as limiter:
                        self._admit(limiter, [report], clock.time())
                    self._adopted.add(name)
                    self._sender.spool.remove(name)

    def _release(self) -> None:
        """Sends the newest of those that were held back, where there is room again."""
        if not self._sender.holds():
            return
        with self._sender.spool.limiter() as limiter:
            for report in self._sender.held():
                released = limiter.release(report, self._limit, clock.time())
                if released is not None:
                    self._sender.put(DeliveryItem(released))
                    self._sender.drop_held(report.fingerprint)
