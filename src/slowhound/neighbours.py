"""What a process does for a neighbour whose threads cannot run: it reports in its place.

While C code holds the GIL of a worker, that worker's hound can write no report. The boxes say which
requests it has in flight; ``late`` gives their stacks. Gunicorn's arbiter and the hounds of
siblings look; a lock on the file of stacks keeps two of them from reporting the same.
"""

from __future__ import annotations

import contextlib
import os
import struct
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from slowhound.blackbox import REPORTED, STALL_TOLD, held, take
from slowhound.boxes import STACKS, BoxState, Pending, beside, open_box, read
from slowhound.fields import VERSION
from slowhound.frames import fingerprint, innermost
from slowhound.late import LATE, late_by, stacks
from slowhound.notes import read_note
from slowhound.override import Override
from slowhound.postmortem import LARGEST, about, shared_threads, signed
from slowhound.report import Report, Snapshot
from slowhound.reporttext import one_line
from slowhound.selfdumps import SelfDump
from slowhound.sinks.reports import ReportFiles
from slowhound.sinks.spool import spool_new

Write = Callable[[dict[str, Any]], None]


class Neighbour:
    """One look after another at the process of one box.

    Args:
        path: of its box.
        write: writes one event.
        deliver: hands a report to the sinks of this process; None: it has none, and leaves the
            report to a worker.
    """

    def __init__(
        self, path: str, write: Write, deliver: Callable[[Report], None] | None = None
    ) -> None:
        self.path = path
        self.write = write
        self.deliver = deliver
        self._next_look = 0.0
        self._pause = 0.0

    def look(self, state: BoxState) -> list[str]:
        """Reports what is overdue; the paths of new reports. ``state`` is that of its header.

        Takes up to 0.6 s when the process is late, and looks less and less often at one that
        stays so.
        """
        if late_by(state) <= LATE:
            self._pause = 0.0
            return []
        now = time.monotonic()
        if self._pause and now < self._next_look:
            return []
        self._pause = min(max(self._pause * 2, 1.0), 60.0)
        self._next_look = now + self._pause
        with _alone(self.path) as whole:
            return [] if whole is None else self._report_overdue(whole)

    def _report_overdue(self, state: BoxState) -> list[str]:
        settings = read_note(state.settings)
        overdue = [
            (pending, threshold)
            for pending in state.pending
            if not pending.reported
            and (threshold := _threshold(pending, settings, self.path)) is not None
            and (_age(pending) or 0.0) >= threshold
        ]
        if not overdue:
            self._pause = 1.0
            return []
        found = stacks(self.path, state)
        shared = shared_threads(state)
        for thread in shared & found.keys():
            self._tell(thread, found[thread], state)
        names = [
            self._report(pending, threshold, found[pending.thread], state, settings)
            for pending, threshold in overdue
            if pending.thread in found and pending.thread not in shared
        ]
        return [name for name in names if name]  # on a full disk there is none

    def _tell(self, thread: int, dump: SelfDump, state: BoxState) -> None:
        """An event loop or hub whose GIL is held: which of its requests it is nobody can say."""
        if state.stall_told == state.heartbeat:
            return
        self._write_cell(STALL_TOLD * 8, state.heartbeat)
        requests = [pending for pending in state.pending if pending.thread == thread]
        event = {
            "event_type": "stall",
            "stall_kind": "gil",
            "stall_time": late_by(state),
            "stall_requests": len(requests),
            "stall_by": "one of the requests of this thread",
            "stall_in": str(innermost(dump.stack)),
        }
        self.write({**signed(event, state, read_note(state.settings)), "v": VERSION})

    def _report(
        self,
        pending: Pending,
        threshold: float,
        dump: SelfDump,
        state: BoxState,
        settings: dict[str, Any],
    ) -> str:
        directory = os.path.dirname(os.path.dirname(self.path))
        files = ReportFiles(
            directory, settings.get("reports_max") or 2**28, settings.get("reports")
        )
        name = files.name(pending.number, state.pid)
        event = _event(pending, threshold, dump, state, settings)
        report = _compose(pending, dump, state, event)
        if not files.create(name, report.text()):
            return ""
        event["report"] = name
        self._write_cell(pending.at + REPORTED * 8, pending.number)
        self.write(event)
        if self.deliver is not None:
            self.deliver(report)
        elif settings.get("deliver"):
            spool_new(directory, report)
        return name

    def _write_cell(self, at: int, value: int) -> None:
        """Leaves a word in the box: the process, and the next neighbour, will see it."""
        fd = os.open(self.path, os.O_WRONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
        try:
            # An aligned cell: others see the old or the new value, nothing in between.
            os.pwrite(fd, struct.pack("=q", value), at)
        finally:
            os.close(fd)


@contextmanager
def _alone(path: str) -> Iterator[BoxState | None]:
    """The whole state of a living process, for one neighbour at a time; else None."""
    with contextlib.ExitStack() as opened:
        try:
            lock = open_box(beside(path, STACKS))
            opened.callback(os.close, lock)
            take(lock)
            box = open_box(path)
            opened.callback(os.close, box)
            state = read(os.read(box, LARGEST)) if held(box) else None
        except OSError:
            state = None
        yield state


def _age(pending: Pending) -> float | None:
    started = read_note(pending.who).get("started")
    return time.monotonic() - started if isinstance(started, float) else None


def _threshold(pending: Pending, settings: dict[str, Any], path: str) -> float | None:
    """The threshold of a request; None when it is not to be reported, or not known here."""
    view = pending.view.decode("utf-8", "replace") or None
    override = Override()
    override.read(os.path.dirname(os.path.dirname(path)))
    lowered = override.threshold((view,))
    slow_after, by_name = settings.get("slow_after"), settings.get("slow_by_name")
    ignore = settings.get("ignore")
    if not isinstance(slow_after, float) or not isinstance(by_name, dict):
        return None
    who = read_note(pending.who)
    if "task" in who:
        own = who.get("slow_after")
        return float(own) if isinstance(own, int | float) else None
    asked = who.get("path")
    for each in ignore if isinstance(ignore, list) else ():
        if each == view or (str(each).startswith("/") and str(asked).startswith(str(each))):
            return None
    found = lowered if lowered is not None else by_name.get(view, slow_after)
    return float(found) if isinstance(found, int | float) else None


def _event(
    pending: Pending,
    threshold: float,
    dump: SelfDump,
    state: BoxState,
    settings: dict[str, Any],
) -> dict[str, Any]:
    event = {"event_type": "slow", **about(pending, time.monotonic())}
    event["slow_after"] = threshold
    event["slow_loc"] = str(innermost(dump.stack))
    event["slow_stack_by"] = dump.by
    event["slow_fingerprint"] = fingerprint(event.get("resp_view"), dump.stack)
    event["report"] = None  # here in the line; its name comes later
    return {**signed(event, state, settings), "v": VERSION}


def _compose(pending: Pending, dump: SelfDump, state: BoxState, event: dict[str, Any]) -> Report:
    started = time.time() - (_age(pending) or 0.0)
    who = read_note(pending.who)
    return Report(
        event=event,
        request_line=f"{who.get('method')} {who.get('path')}",
        started=started,
        intercepted=time.time(),
        host=str(event["host"]),
        thread_id=pending.thread,
        pid=state.pid,
        parent=state.parent,
        snapshot=Snapshot(dump.taken - started, dump.stack, by=dump.by),
        timeline=None,
        others=[_other(each) for each in state.pending if each is not pending],
    )


def _other(pending: Pending) -> str:
    who = read_note(pending.who)
    view = pending.view.decode("utf-8", "replace") or "-"
    words = (who.get("method"), who.get("path"), view, who.get("id"))
    return f"  {_age(pending) or 0.0:9.3f} s  " + "  ".join(one_line(each) for each in words)
