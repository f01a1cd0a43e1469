"""Reports the slow requests of a peer whose threads cannot run.

While C code holds the GIL of a worker, that worker's hound can write no report. Its box tells which
requests are in flight, and ``gil.unresponsive`` which thread holds the GIL, with the stacks where
they can be read. Gunicorn's arbiter and the hounds of its peers do this; a lock keeps two of them
from reporting the same request.
"""

from __future__ import annotations

import contextlib
import os
import struct
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import msgspec

from slowhound.blackbox.layout import REPORTED, STALL_REPORTED
from slowhound.blackbox.payloads import Settings, read_settings, read_who
from slowhound.blackbox.peer_reports import add_report
from slowhound.blackbox.reader import BoxState, Pending, is_alive, read_from, reporting
from slowhound.config.overrides import Override
from slowhound.core.report import Report
from slowhound.delivery.report_files import ReportFiles
from slowhound.delivery.spool import spool_new
from slowhound.frames.frames import innermost
from slowhound.gil.readers import IN_A_WORKER
from slowhound.gil.reading import Reader
from slowhound.gil.unresponsive import (
    UNRESPONSIVE_AFTER,
    Hold,
    examine,
    is_unchanged,
    silent_for,
)
from slowhound.peers.box_fields import complete, shared_threads
from slowhound.peers.stalled_reports import age_of, compose, slow_event, summary
from slowhound.runtime.clocks import clock
from slowhound.system.files import opened

# Seconds between two checks of a process that gives no sign of life.
SHORTEST_WAIT, LONGEST_WAIT = 1.0, 60.0
Write = Callable[[dict[str, Any]], None]


class StalledPeer:
    """Checks one process again and again, and reports its requests while it cannot run.

    Args:
        path: that of its box.
        write: writes one event.
        deliver: passes a report to the sinks of this process; None: it has none, and leaves the
            report to a worker.
        readers: the ways to read its stacks, in the order in which they are tried.
        patience: seconds that a report without a stack is delayed, so that another process that
            can read the stack may report first.
    """

    def __init__(
        self,
        path: str,
        write: Write,
        deliver: Callable[[Report], None] | None = None,
        readers: Sequence[Reader] = IN_A_WORKER,
        patience: float = 0.0,
    ) -> None:
        self.path = path
        self.write = write
        self.deliver = deliver
        self.readers = readers
        self.patience = patience
        # When to check its process again, once it gives no sign of life (monotonic).
        self.next_check = 0.0

    def check(self, state: BoxState) -> list[str]:
        """Reports what is overdue; the names of new reports. ``state`` is that of its header.

        Takes 0.1 s when something is overdue, and as long as the readers do.
        """
        silent = silent_for(state)
        if silent <= UNRESPONSIVE_AFTER:
            self.next_check = 0.0
            return []
        if clock.monotonic() < self.next_check:
            return []
        with _alone(self.path) as whole:
            reports, pause = ([], SHORTEST_WAIT) if whole is None else self._report_overdue(whole)
        # Less and less often: one that has hung for a minute may hang for an hour.
        longest = min(max(silent / 2, SHORTEST_WAIT), LONGEST_WAIT)
        self.next_check = clock.monotonic() + min(max(pause, SHORTEST_WAIT), longest)
        return reports

    def _report_overdue(self, state: BoxState) -> tuple[list[str], float]:
        """The names of new reports, and for how many seconds there will be nothing to do."""
        settings = read_settings(state.settings)
        late = [
            ((age_of(pending) or 0.0) - threshold, pending, threshold)
            for pending in state.pending
            if not pending.reported
            and (threshold := _threshold(pending, settings, self.path)) is not None
        ]
        next_due = min((-each for each, _, _ in late if each < 0), default=LONGEST_WAIT)
        overdue = [each for each in late if each[0] >= 0]
        hold = examine(self.path, state, self.readers) if overdue else None
        if hold is None:
            return [], next_due
        waited = min(hold.seconds - UNRESPONSIVE_AFTER, max(late_by for late_by, _, _ in overdue))
        if not hold.stacks and waited < self.patience:
            return [], SHORTEST_WAIT
        shared = shared_threads(state)
        for thread in shared & {*hold.suspects, *hold.stacks}:
            self._report_thread(thread, hold, state)
        names = [
            self._report(pending, threshold, hold, state, settings)
            for _, pending, threshold in overdue
            if pending.thread not in shared
        ]
        return [name for name in names if name], next_due  # on a full disk there is none

    def _report_thread(self, thread: int, hold: Hold, state: BoxState) -> None:
        """For an event loop or hub whose GIL is held: which of its requests holds it is unknown."""
        if state.stall_reported == state.heartbeat:
            return
        self._write_cell(STALL_REPORTED * 8, state.heartbeat)
        requests = [pending for pending in state.pending if pending.thread == thread]
        event: dict[str, Any] = {
            "event_type": "stall",
            "stall_kind": "gil",
            "stall_time": hold.seconds,
            "stall_requests": len(requests),
            "stall_by": "one of the requests of this thread",
        }
        if thread in hold.stacks:
            event["stall_in"] = str(innermost(hold.stacks[thread].stack))
        self.write(complete(event, state))

    def _report(
        self,
        pending: Pending,
        threshold: float,
        hold: Hold,
        state: BoxState,
        settings: Settings,
    ) -> str:
        directory = os.path.dirname(os.path.dirname(self.path))
        files = ReportFiles(directory, settings.reports_max or 2**28, settings.reports)
        name = files.name(pending.number, state.pid)
        event = slow_event(pending, threshold, hold, state)
        report = compose(pending, hold, state, event)
        # Meanwhile it may have gone on, and report by itself now; or it may have ended.
        if not is_unchanged(self.path, state) or not files.create(name, report.text()):
            return ""
        event["report"] = name
        with contextlib.suppress(OSError):  # then it knows less of what was reported
            # Before the cell: a process that sees the cell finds this.
            add_report(self.path, summary(pending, hold, state, event))
        with contextlib.suppress(OSError):  # then it has ended
            self._mark(pending)
        self.write(event)
        if self.deliver is not None:
            self.deliver(report)
        elif settings.deliver:
            spool_new(directory, report)
        return name

    def _mark(self, pending: Pending) -> None:
        """Marks the slot as reported, unless it belongs to another request by now."""
        with opened(self.path) as fd:
            number = int.from_bytes(os.pread(fd, 8, pending.at), sys.byteorder, signed=True)
        if number == pending.number:
            self._write_cell(pending.at + REPORTED * 8, number)

    def _write_cell(self, at: int, value: int) -> None:
        """Writes into the box, where the process and other peers will see it."""
        with opened(self.path, os.O_WRONLY) as fd:
            # An aligned cell: readers see the old or the new value, nothing in between.
            os.pwrite(fd, struct.pack("=q", value), at)


@contextmanager
def _alone(path: str) -> Iterator[BoxState | None]:
    """The whole state of a living process, for one peer at a time; else None."""
    with reporting(path) as is_mine:
        state = None
        if is_mine:
            with contextlib.suppress(OSError), opened(path) as box:
                state = read_from(box) if is_alive(box) else None
        yield state


def _threshold(pending: Pending, settings: Settings, path: str) -> float | None:
    """The threshold of a request; None when it must not be reported, or is not known here."""
    view = pending.view.decode("utf-8", "replace") or None
    override = Override()
    override.read(os.path.dirname(os.path.dirname(path)))
    lowered = override.threshold((view,))
    if settings.slow_after is None or settings.slow_by_name is None:
        return None
    who = read_who(pending.who)
    if who.task is not msgspec.UNSET:
        return who.slow_after
    for each in settings.ignore:
        if each == view or (each.startswith("/") and (who.path or "").startswith(each)):
            return None
    if lowered is not None:
        return lowered
    return settings.slow_by_name.get(view or "", settings.slow_after)
