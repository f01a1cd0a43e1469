"""Writes the reports of slow requests, and hands them to the sinks."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any, Protocol

from slowhound.blackbox.peer_reports import PeerReport
from slowhound.core.box_payloads import FRAMES
from slowhound.core.in_flight import snapshot_in_flight
from slowhound.core.observations import LastStack, Snapshot, without_literals
from slowhound.core.record import Record
from slowhound.core.report import Finished, Report
from slowhound.core.slow import Slow
from slowhound.frames.frames import fingerprint, innermost
from slowhound.runtime.clocks import clock
from slowhound.watch.samples import judge
from slowhound.watch.wording import describe_others, end_text, held_text, later_text, request_line


class ReportWriter(Protocol):
    """Where reports are written."""

    def name(self, number: int) -> str: ...
    def create(self, name: str, text: str) -> bool: ...
    def append(self, name: str, text: str) -> None: ...


class Events(Protocol):
    """Where ``slow`` events go; must not block."""

    def describe_slow(self, record: Record, age: float) -> dict[str, Any]:
        """The event of a record that is ``age`` seconds old."""

    def emit(self, event: dict[str, Any], record: Record) -> object:
        """Writes it."""


class Reports(Protocol):
    """Where finished reports go: to the sinks; must not block."""

    def put(self, report: Report) -> None:
        """Delivers it."""

    def put_end(self, report: Report) -> None:
        """Delivers it again, now that its request has ended."""


class Reporter:
    """Writes reports and ``slow`` events; runs on the hound's thread, but for ``name``.

    Args:
        host: this host's name.
        files: where reports are written.
        events: where the events go.
        reports: where the reports go that are written.
    """

    def __init__(self, host: str, files: ReportWriter, events: Events, reports: Reports) -> None:
        self.host = host
        self.files = files
        self._events = events
        self._reports = reports
        # What another process has reported of a request; set with the black box.
        self.reported_by_peer: Callable[[int], PeerReport | None] = lambda _: None

    def name(self, record: Record, slow: Slow) -> None:
        """Gives the report its name: a new one, or takes over a peer's."""
        if record.slot is not None and record.slot.reported(record.number):
            slow.by_peer = True
            self._take_over(record, slow)
        else:
            slow.report = self.files.name(record.number) or None

    def _take_over(self, record: Record, slow: Slow) -> None:
        reported = self.reported_by_peer(record.number)
        if reported is not None:
            slow.take_over(reported)
            if reported.gil_hold is not None:
                record.gil_hold = max(record.gil_hold, reported.gil_hold)

    def write(
        self,
        record: Record,
        slow: Slow,
        snapshot: Snapshot | None,
        finished: Finished | None = None,
    ) -> None:
        """The report file and the ``slow`` event, unless another process has written them."""
        verdict = judge(record)
        slow.verdict = verdict.word
        event = self._events.describe_slow(record, snapshot.age if snapshot else record.took)
        report = self._compose(record, snapshot, event, verdict.text)
        if not slow.by_peer:
            if slow.report is not None and not self.files.create(slow.report, report.text()):
                slow.report = event["report"] = None
            self._events.emit(event, record)
        slow.delivered = replace(report, finished=finished)
        self._reports.put(slow.delivered)

    def _compose(
        self, record: Record, snapshot: Snapshot | None, event: dict[str, Any], verdict: str
    ) -> Report:
        started = clock.time() - record.age()
        return Report(
            event=event,
            request_line=request_line(record),
            started=started,
            intercepted=started + event["resp_time"],
            host=self.host,
            thread_id=record.thread_id,
            snapshot=snapshot,
            gil=held_text(record.gil_hold) if snapshot is None and record.gil_hold else "",
            last_stack=_last_stack(record) if snapshot is None else None,
            verdict=verdict,
            blind=(record.slow.unsampled or 0.0) if record.slow else 0.0,
            timeline=[without_literals(moment) for moment in record.moments()],
            timeline_left_out=record.timeline_left_out,
            others=describe_others(record, snapshot_in_flight(), clock.monotonic()),
        )

    def again(self, record: Record, slow: Slow, snapshot: Snapshot, verdict: str = "") -> None:
        """Adds one more snapshot."""
        if slow.report is not None:
            self.files.append(slow.report, later_text(snapshot, slow.stack, verdict))
            slow.stack = snapshot.stack

    def end(self, record: Record, slow: Slow) -> None:
        """Adds how it ended; writes all of it when the request was not sampled while it ran."""
        verdict = judge(record).text
        finished = Finished(record.took, record.status, record.outcome, verdict)
        if slow.unsampled is not None:
            if not slow.by_peer:
                self._take_over(record, slow)  # what was written while it ended
            self.write(record, slow, None, finished)
        elif slow.delivered is not None and record.outcome != "timeout":  # a timeout has its own
            self._reports.put_end(replace(slow.delivered, finished=finished))
        if slow.report is not None:
            self.files.append(slow.report, end_text(record, verdict))


def _last_stack(record: Record) -> LastStack | None:
    """The last one that was captured of a request that has ended."""
    if not record.samples:
        return None
    last = record.samples[-1]
    return LastStack([str(frame) for frame in last.stack[-FRAMES:]], record.took - last.age)


def begin(record: Record, threshold: float, snapshot: Snapshot | None) -> Slow:
    """What is known of a slow request at first."""
    stack = snapshot.stack if snapshot is not None else ()
    place = innermost(stack)
    loc = None if place is None else str(place)
    slow = Slow(threshold, loc, fingerprint(record.view, stack))
    if snapshot is not None:
        slow.stack, slow.by = stack, snapshot.by
    return slow
