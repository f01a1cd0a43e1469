"""Decides which reports are sent: those of this process, those left by others, those held back."""

from __future__ import annotations

from slowhound.config.config import Limit
from slowhound.core.report import Report
from slowhound.delivery.event_queue import EventQueue
from slowhound.delivery.item import DeliveryItem
from slowhound.delivery.queue import ReportQueue
from slowhound.delivery.rate_limit import RateLimiter
from slowhound.delivery.spool import Spool
from slowhound.runtime.clocks import clock


class Admission:
    """Moves reports into the spool; all of it runs on the delivery thread.

    Args:
        queue: the reports of this process.
        events: gets the events that other processes left.
        spool: gets what is to be sent, and has what other processes left.
        limit: how many reports of a group are sent; None: all.
    """

    def __init__(
        self, queue: ReportQueue, events: EventQueue, spool: Spool, limit: Limit | None
    ) -> None:
        self._queue = queue
        self._events = events
        self._spool = spool
        self._limit = limit
        self._adopted: set[str] = set()

    def admit_queued(self) -> None:
        """Empties the queue; what of it is sent goes into the spool."""
        if not self._queue:
            return
        batch = self._queue.take()
        now = clock.time()
        with self._spool.limiter() as limiter:
            self._admit(limiter, batch.reports, now)
            for fingerprint, overflow in batch.overflow.items():
                limiter.count_held(fingerprint, overflow.number, now)
                self._spool.put_held(overflow.newest)
            sent = limiter.sent_ids()
            for report in batch.ends:
                if report.id in sent or self._limit is None:
                    self._spool.put(DeliveryItem(report, follow_up=True))

    def adopt(self) -> None:
        """Takes what was left by processes that send nothing themselves."""
        for name in self._spool.names(".events"):
            for event in self._spool.take_events(name):
                self._events.put(event)
        names = self._spool.names(".new")
        self._adopted &= set(names)
        for name in names:
            if name in self._adopted:
                continue  # it could not be removed
            with self._spool.claim(name) as claimed:
                if claimed is not None:
                    report = claimed.item.report
                    self._events.put(report.event)  # the process that wrote it has no sinks
                    with self._spool.limiter() as limiter:
                        self._admit(limiter, [report], clock.time())
                    self._adopted.add(name)
                    self._spool.remove(name)

    def release(self) -> None:
        """Sends the newest report of each group that was held back, if there is room again."""
        names = self._spool.names(".held")
        if not names:
            return
        with self._spool.limiter() as limiter:
            for name in names:
                with self._spool.claim(name) as claimed:
                    if claimed is not None:
                        report = claimed.item.report
                        released = limiter.release(report, self._limit, clock.time())
                        if released is not None:
                            self._spool.put(DeliveryItem(released))
                            self._spool.drop_held(report.fingerprint)

    def _admit(self, limiter: RateLimiter, reports: list[Report], now: float) -> None:
        known = limiter.sent_ids()
        held: dict[str, Report] = {}
        for report in reports:
            if report.id in known:  # a peer has sent it already
                if report.finished is not None:
                    self._spool.put(DeliveryItem(report, follow_up=True))
                continue
            admitted = limiter.admit(report, self._limit, now)
            if admitted is None:
                held[report.fingerprint] = report
            else:
                self._spool.put(DeliveryItem(admitted))
                self._spool.drop_held(report.fingerprint)
        for report in held.values():
            self._spool.put_held(report)
