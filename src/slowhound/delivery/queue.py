"""Holds the reports that the hound has handed over until the delivery thread takes them.

Adding a report takes microseconds, and waits for no more than a few dict operations of the other
thread. The queue is bounded: if reports of a group come in faster than they can be sent, the first
ones and the newest are kept and the others counted.
"""

from __future__ import annotations

from collections import Counter
from typing import NamedTuple

from slowhound.core.report import Report
from slowhound.runtime.unpatched import original
from slowhound.system.losses import lost

QUEUED_REPORTS_LIMIT = 100
# Ids of reports that were queued; only the ends of these requests are queued as well.
KNOWN_IDS_LIMIT = 2000
# Seconds. A signal may end a request in the very thread that holds the lock.
LOCK_TIMEOUT = 0.5
LOCKED = "the queue is locked"


class Overflow(NamedTuple):
    """Reports of one group of which only the newest was kept."""

    number: int
    newest: Report


class Batch(NamedTuple):
    """What was in the queue; ``overflow`` is by fingerprint."""

    reports: list[Report]
    ends: list[Report]
    overflow: dict[str, Overflow]


class ReportQueue:
    """Reports that wait for the delivery thread.

    Args:
        per_group: how many reports of one group are kept; others are only counted. None: all.
    """

    def __init__(self, per_group: int | None) -> None:
        self.per_group = per_group
        # A real lock under gevent too: the other side is a thread of the operating system.
        self._lock = original("_thread", "allocate_lock")()
        self._ids: dict[str, None] = {}
        self._reports: dict[str, Report] = {}  # by id
        self._ends: list[Report] = []
        self._groups: Counter[str] = Counter()
        self._overflow: dict[str, Overflow] = {}

    def __bool__(self) -> bool:
        return bool(self._reports or self._ends or self._overflow)

    def put(self, report: Report) -> None:
        """Adds a report; a full queue drops its oldest, which is counted."""
        key, group = report.id, report.fingerprint
        if not self._lock.acquire(timeout=LOCK_TIMEOUT):
            lost("reports for sinks", LOCKED)
            return
        try:
            if self.per_group is not None and self._groups[group] >= self.per_group:
                counted = self._overflow[group].number if group in self._overflow else 0
                self._overflow[group] = Overflow(counted + 1, report)
                return
            full = len(self._reports) >= QUEUED_REPORTS_LIMIT
            if full:
                oldest = self._reports.pop(next(iter(self._reports)))
                self._groups[oldest.fingerprint] -= 1
            self._reports[key] = report
            self._groups[group] += 1
            self._ids[key] = None
            if len(self._ids) > KNOWN_IDS_LIMIT:
                del self._ids[next(iter(self._ids))]
        finally:
            self._lock.release()
        if full:
            lost("reports for sinks", "the queue is full")

    def put_end(self, report: Report) -> None:
        """Adds the end of a slow request, unless its report was not kept."""
        key = report.id
        if not self._lock.acquire(timeout=LOCK_TIMEOUT):
            lost("the ends of slow requests for sinks", LOCKED)
            return
        try:
            if key in self._reports:
                self._reports[key] = report  # one message has both
                return
            full = len(self._ends) >= QUEUED_REPORTS_LIMIT
            if key in self._ids and not full:
                self._ends.append(report)
        finally:
            self._lock.release()
        if full:
            lost("the ends of slow requests for sinks", "the queue is full")

    def take(self) -> Batch:
        """Empties it."""
        with self._lock:
            batch = Batch(list(self._reports.values()), self._ends, self._overflow)
            self._reports, self._ends = {}, []
            self._groups, self._overflow = Counter(), {}
        return batch
