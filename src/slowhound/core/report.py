"""The report of a slow request, in the layout of dogslow's, with all that was known.

A request that died with its worker has one as well, made from its event (``of_death``).
"""

from __future__ import annotations

import hashlib
import os
import re
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, NamedTuple

from slowhound.core.observations import LastStack, Moment, Snapshot
from slowhound.core.report_text import (
    NO_STACK,
    date,
    ended_text,
    last_stack_text,
    locals_text,
    others_text,
    timeline_text,
    verdict_text,
)
from slowhound.event.formats import one_line, printable_lines


class Finished(NamedTuple):
    """How a slow request ended."""

    seconds: float
    status: int | None
    outcome: str | None
    verdict: str  # in the end


@dataclass(frozen=True)
class Report:
    """A slow request or a death as a sink gets it: plain data, no live object of the application.

    ``fingerprint`` names its group. ``held_back`` is how many reports of the group were not sent
    since the last one that was, ``first_seen`` whether this is the first one that is known.
    """

    event: dict[str, Any]  # the `slow` event; of a death the `timeout` or `crash` event
    request_line: str
    started: float  # seconds since 1970
    intercepted: float
    host: str
    thread_id: int
    snapshot: Snapshot | None  # None: it ended before its first sample
    verdict: str = ""
    pid: int = field(default_factory=os.getpid)
    parent: int = field(default_factory=os.getppid)
    blind: float = 0.0  # seconds for which the watchdog had not run when it ended
    gil: str = ""  # who held the GIL meanwhile, if that is known
    last_stack: LastStack | None = None  # where there is no snapshot
    timeline: list[Moment] | None = field(default_factory=list)  # None: not known here
    timeline_left_out: int = 0
    others: list[str] = field(default_factory=list)
    held_back: int = 0
    first_seen: bool = False
    finished: Finished | None = None  # of a slow request that has ended

    @property
    def id(self) -> str:
        """The same at each attempt to deliver it; no other report has it."""
        return f"{self.event.get('req_id')}.{self.kind}"

    @property
    def kind(self) -> str:
        """``slow``, ``timeout`` or ``crash``."""
        return str(self.event.get("event_type") or "slow")

    @property
    def view(self) -> str:
        """The view, a task's name, or ``-``."""
        return str(self.event.get("resp_view") or self.event.get("task_name") or "-")

    @property
    def flame(self) -> str | None:
        """File name of the flame graph in ``DIR/flames``."""
        found = self.event.get("flame")
        return found if isinstance(found, str) else None

    @property
    def fingerprint(self) -> str:
        """Twelve hex digits that name its group, made of its stack or the last one before death."""
        if self.kind == "slow":
            found = self.event.get("slow_fingerprint")
            if isinstance(found, str) and _GROUP.fullmatch(found):
                return found
        return _group_of_death(self.event)

    def text(self) -> str:
        """The whole report as it stands in the file."""
        if self.kind != "slow":
            return death_text(self)
        parts = [
            f"Undead request intercepted at: {date(self.intercepted)}{_iso(self.intercepted)}",
            self._head(),
            self._stack(),
            *([printable_lines(self.gil)] if self.gil else []),
            *(["Verdict:\n" + verdict_text(self.verdict)] if self.verdict else []),
            self._facts(),
            *([f"Flame graph: {one_line(self.flame)}"] if self.flame else []),
            timeline_text(self.timeline, self.timeline_left_out),
            others_text(self.others),
        ]
        if self.snapshot is not None and self.snapshot.variables is not None:
            parts.append(locals_text(self.snapshot.variables))
        elif self.snapshot is not None and not self.snapshot.after_hold:
            parts.append("Local variables are off; SLOWHOUND['LOCALS'] = True adds them, masked.")
        return "\n\n".join(parts) + "\n"

    def _head(self) -> str:
        return "\n".join(
            (
                one_line(self.request_line),
                f"Hostname:   {one_line(self.host)}",
                f"Thread ID:  {self.thread_id}",
                f"Process ID: {self.pid}",
                f"Parent PID: {self.parent}",
                f"Started:    {date(self.started)}",
            )
        )

    def _stack(self) -> str:
        if self.snapshot is not None:
            return self.snapshot.text()
        parts = [ended_text(self.blind) if self.blind else NO_STACK]
        if self.last_stack is not None:
            parts.append(last_stack_text(self.last_stack))
        return "\n".join(parts)

    def _facts(self) -> str:
        names = [
            "req_id",
            "resp_view",
            "req_route",
            "slow_after",
            "resp_time",
            "slow_stack_age",
            "slow_sql",
            "slow_sql_time",
            "slow_fingerprint",
            "db_queries",
            "db_time",
            "db_dup_queries",
            "gil_hold_est",
            "gil_wait_est",
            "gil_held_by",
            "loop_lag",
            "loop_blocked_by",
        ]
        rows = [
            f"  {name:<17} {one_line(self.event[name])}" for name in names if name in self.event
        ]
        return "So far:\n" + "\n".join(rows)


def _iso(seconds: float) -> str:
    """The same moment in ISO 8601, for programs. Users of dogslow parse its own date."""
    try:
        return f" ({datetime.fromtimestamp(seconds, UTC):%Y-%m-%dT%H:%M:%SZ})"
    except (OverflowError, ValueError, OSError):  # of a report that another process has written
        return ""


_GROUP = re.compile(r"[0-9a-f]{12}")
_LINE_NUMBER = re.compile(r":\d+:")


def _group_of_death(event: dict[str, Any]) -> str:
    kind = event.get("event_type")
    names = ("event_type", "crash_cause", "resp_view", "task_name", f"{kind}_loc")
    parts = [str(event.get(name)) for name in (*names, f"{kind}_cause_loc")]
    # Without line numbers, like the fingerprint of a stack.
    text = _LINE_NUMBER.sub(":", "\n".join(parts))
    return hashlib.sha256(text.encode("utf-8", "backslashreplace")).hexdigest()[:12]


def of_death(event: dict[str, Any]) -> Report:
    """The report of a request that its worker's death ended, from its terminal event."""
    ended = float(event.get("ts") or 0.0)
    method = event.get("req_method") or event.get("task_kind")
    return Report(
        event=event,
        request_line=f"{method} {event.get('req_path') or event.get('task_name')}",
        started=ended - (event.get("resp_time") or 0.0),
        intercepted=ended,
        host=str(event.get("host")),
        thread_id=0,
        snapshot=None,
        pid=event.get("pid") or 0,
        parent=0,
        timeline=None,
    )


def death_text(report: Report) -> str:
    """What is known of a death: its cause, the last stack, the SQL that was running."""
    event, kind = report.event, report.kind
    stack = str(event.get(f"{kind}_stack") or "(not known)").split(" < ")
    known = ("req_id", "resp_view", "resp_time", "crash_cause", "crash_signal", "crash_code")
    also = ("w_rss", f"{kind}_stack_age", f"{kind}_sql", f"{kind}_sql_time")
    return "\n".join(
        [
            f"Request ended with its worker at: {date(report.intercepted)}",
            "",
            one_line(report.request_line),
            f"Hostname:   {one_line(report.host)}",
            f"Process ID: {report.pid}",
            f"Started:    {date(report.started)}",
            "",
            "Last stack, innermost first:",
            *[f"  {one_line(str(each))}" for each in stack],
            "",
            "What is known:",
            *[f"  {name:<17} {one_line(event[name])}" for name in (*known, *also) if name in event],
            "",
        ]
    )
