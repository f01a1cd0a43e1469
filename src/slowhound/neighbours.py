"""What a process does for a neighbour whose threads cannot run: it reports in its place.

While C code holds the GIL of a worker, that worker's hound can write no report. The boxes say which
requests it has in flight, ``gil.unresponsive`` who holds the GIL, and the stacks where they can be
had. Gunicorn's arbiter and the hounds of siblings do this; a lock keeps two of them from reporting
the same.
"""

from __future__ import annotations

import contextlib
import os
import struct
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from slowhound.blackbox import REPORTED, STALL_TOLD, held
from slowhound.boxes import BoxState, Pending, open_box, read_from, reporting
from slowhound.fields import VERSION
from slowhound.frames import fingerprint, innermost
from slowhound.gil.readers import IN_A_WORKER
from slowhound.gil.reading import Reader
from slowhound.gil.unresponsive import UNRESPONSIVE_AFTER, Hold, examine, silent_for
from slowhound.notes import read_note
from slowhound.override import Override
from slowhound.postmortem import about, running_sql, shared_threads, signed
from slowhound.report import LastStack, Report, Snapshot
from slowhound.reporttext import one_line
from slowhound.sinks.reports import ReportFiles
from slowhound.sinks.spool import spool_new

Write = Callable[[dict[str, Any]], None]


class Neighbour:
    """Checks the process of one box again and again.

    Args:
        path: of its box.
        write: writes one event.
        deliver: hands a report to the sinks of this process; None: it has none, and leaves the
            report to a worker.
        readers: the ways to read its stacks, in the order in which they are tried.
        patience: seconds for which others, who may have a way to a stack, come first when it has
            none.
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
        self._next_look = 0.0
        self._pause = 0.0

    def look(self, state: BoxState) -> list[str]:
        """Reports what is overdue; the paths of new reports. ``state`` is that of its header.

        Takes 0.1 s when the process does not show itself, and as long as the readers do; it
        looks less and less often at one that stays so.
        """
        if silent_for(state) <= UNRESPONSIVE_AFTER:
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
        hold = examine(self.path, state, self.readers)
        if hold is None:
            return []
        if not hold.stacks and hold.seconds < UNRESPONSIVE_AFTER + self.patience:
            self._pause = 1.0
            return []
        shared = shared_threads(state)
        for thread in shared & {*hold.suspects, *hold.stacks}:
            self._tell(thread, hold, state)
        names = [
            self._report(pending, threshold, hold, state, settings)
            for pending, threshold in overdue
            if pending.thread in {*hold.suspects, *hold.stacks} - shared
        ]
        return [name for name in names if name]  # on a full disk there is none

    def _tell(self, thread: int, hold: Hold, state: BoxState) -> None:
        """An event loop or hub whose GIL is held: which of its requests it is nobody can say."""
        if state.stall_told == state.heartbeat:
            return
        self._write_cell(STALL_TOLD * 8, state.heartbeat)
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
        self.write({**signed(event, state, read_note(state.settings)), "v": VERSION})

    def _report(
        self,
        pending: Pending,
        threshold: float,
        hold: Hold,
        state: BoxState,
        settings: dict[str, Any],
    ) -> str:
        directory = os.path.dirname(os.path.dirname(self.path))
        files = ReportFiles(
            directory, settings.get("reports_max") or 2**28, settings.get("reports")
        )
        name = files.name(pending.number, state.pid)
        event = _event(pending, threshold, hold, state, settings)
        report = _compose(pending, hold, state, event)
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
        state = None
        if opened.enter_context(reporting(path)):
            with contextlib.suppress(OSError):
                box = open_box(path)
                opened.callback(os.close, box)
                state = read_from(box) if held(box) else None
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
    hold: Hold,
    state: BoxState,
    settings: dict[str, Any],
) -> dict[str, Any]:
    now = time.monotonic()
    event = {"event_type": "slow", **about(pending, now)}
    event["slow_after"] = threshold
    event.update(_stack_fields(pending, hold, now, event.get("resp_view")))
    if hold.suspects == (pending.thread,):
        event["gil_hold_est"] = min(hold.seconds, event.get("resp_time") or hold.seconds)
    event.update(running_sql("slow", pending, now))
    event["report"] = None  # here in the line; its name comes later
    return {**signed(event, state, settings), "v": VERSION}


def _stack_fields(pending: Pending, hold: Hold, now: float, view: str | None) -> dict[str, Any]:
    """Where it stands, or where it was last seen, and how long ago."""
    taken = hold.stacks.get(pending.thread)
    if taken is not None:
        return {
            "slow_loc": str(innermost(taken.stack)),
            "slow_stack_by": taken.by,
            "slow_fingerprint": fingerprint(view, taken.stack),
        }
    found: dict[str, Any] = {}
    last = _last_stack(pending, now)
    if last is not None:
        found["slow_loc"] = read_note(pending.stack).get("cause")
        found["slow_stack_by"] = "hound"
        found["slow_stack_age"] = last.age
    return {**found, "slow_fingerprint": fingerprint(view, ())}


def _last_stack(pending: Pending, now: float) -> LastStack | None:
    last = read_note(pending.stack)
    stack, taken = last.get("stack"), last.get("taken")
    if not isinstance(stack, list) or not stack or not isinstance(taken, float):
        return None
    return LastStack([str(each) for each in stack], max(now - taken, 0.0))


def _compose(pending: Pending, hold: Hold, state: BoxState, event: dict[str, Any]) -> Report:
    now = time.monotonic()
    started = time.time() - (_age(pending) or 0.0)
    who = read_note(pending.who)
    taken = hold.stacks.get(pending.thread)
    snapshot = None
    if taken is not None:
        snapshot = Snapshot(taken.taken - started, taken.stack, by=taken.by)
    return Report(
        event=event,
        request_line=f"{who.get('method')} {who.get('path')}",
        started=started,
        intercepted=time.time(),
        host=str(event["host"]),
        thread_id=pending.thread,
        pid=state.pid,
        parent=state.parent,
        snapshot=snapshot,
        gil=hold.text(pending.thread),
        last_stack=_last_stack(pending, now) if snapshot is None else None,
        timeline=None,
        others=[_other(each) for each in state.pending if each is not pending],
    )


def _other(pending: Pending) -> str:
    who = read_note(pending.who)
    view = pending.view.decode("utf-8", "replace") or "-"
    words = (who.get("method"), who.get("path"), view, who.get("id"))
    return f"  {_age(pending) or 0.0:9.3f} s  " + "  ".join(one_line(each) for each in words)
