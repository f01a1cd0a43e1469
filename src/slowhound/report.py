"""The report of a slow request: the layout of dogslow's, and what else was known."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from slowhound.formats import clean
from slowhound.frames import Stack, render
from slowhound.record import Moment, Record
from slowhound.redact import query_string, sql_shape

DATE = "%d-%m-%Y %H:%M:%S UTC"
SHOWN_MOMENTS = 50
SHOWN_OTHERS = 50
WAYS = {
    "thread": "The GIL was held: the thread wrote this stack itself, from C code, while no other"
    " Python\nthread of the process could run.",
    "asked": "The GIL was held, by this thread or by another one that sleeps: this thread wrote its"
    " stack\nitself, when another process asked it to.",
    "remote": "The GIL was held: another process read this stack, while no other Python thread of"
    " this one\ncould run.",
}


@dataclass(frozen=True)
class Snapshot:
    """One look at a slow request: its stack, its age in seconds, and by which way it was taken.

    ``by`` is ``hound``, or what ``selfdumps.SelfDump`` and ``late`` say.
    """

    age: float
    stack: Stack
    by: str = "hound"
    variables: list[tuple[str, list[tuple[str, str]]]] | None = None

    def text(self) -> str:
        """The traceback, and which way it was taken when that says something."""
        shown = snapshot_text(self.stack)
        return f"{shown}\n\n{WAYS[self.by]}" if self.by in WAYS else shown


@dataclass(frozen=True)
class Report:
    """A slow request as a sink gets it: plain data, no live object of the application."""

    event: dict[str, Any]  # the `slow` event
    request_line: str
    started: float  # seconds since 1970
    intercepted: float
    host: str
    thread_id: int
    snapshot: Snapshot | None  # None: it ended before anybody could look
    verdict: str = ""
    pid: int = field(default_factory=os.getpid)
    parent: int = field(default_factory=os.getppid)
    blind: float = 0.0  # seconds for which the watchdog had not run when it ended
    timeline: list[Moment] | None = field(default_factory=list)  # None: not known here
    timeline_left_out: int = 0
    others: list[str] = field(default_factory=list)

    def text(self) -> str:
        """The whole report as it stands in the file."""
        parts = [
            f"Undead request intercepted at: {_date(self.intercepted)}",
            self._head(),
            self._stack(),
            *(["Verdict:\n" + verdict_text(self.verdict)] if self.verdict else []),
            self._facts(),
            timeline_text(self.timeline, self.timeline_left_out),
            others_text(self.others),
        ]
        if self.snapshot is not None and self.snapshot.variables is not None:
            parts.append(locals_text(self.snapshot.variables))
        elif self.snapshot is not None:
            parts.append("Local variables are off; SLOWHOUND['LOCALS'] = True adds them, masked.")
        return "\n\n".join(parts) + "\n"

    def _head(self) -> str:
        return "\n".join(
            (
                one_line(self.request_line),
                f"Hostname:   {self.host}",
                f"Thread ID:  {self.thread_id}",
                f"Process ID: {self.pid}",
                f"Parent PID: {self.parent}",
                f"Started:    {_date(self.started)}",
            )
        )

    def _stack(self) -> str:
        if self.snapshot is not None:
            return self.snapshot.text()
        return (
            "  No stack: the request ended before the watchdog could look.\n"
            f"  The watchdog had not run for {self.blind:.3f} s. When that is long, no other thread"
            " ran either:\n  C code held the GIL (a sort, a regular expression, an extension), or"
            " the process did not run."
        )

    def _facts(self) -> str:
        names = [
            "req_id",
            "resp_view",
            "req_route",
            "slow_after",
            "resp_time",
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


def _date(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime(DATE)


def one_line(value: Any) -> str:
    """``value`` on one line: nothing that a client sent can add a line or move a cursor."""
    if isinstance(value, float):
        return f"{value:.3f}"
    text = clean(value)
    return text if text.isprintable() else ascii(text)[1:-1]


def snapshot_text(stack: Stack) -> str:
    """The traceback of one snapshot."""
    return "\n".join(
        line if line.isprintable() else ascii(line)[1:-1] for line in render(stack).split("\n")
    )


def verdict_text(verdict: str) -> str:
    """Its lines, each indented."""
    return "\n".join(f"  {one_line(line)}" for line in verdict.split("\n"))


def timeline_text(timeline: list[Moment] | None, left_out: int) -> str:
    """The last moments: when, for how long, what."""
    if timeline is None:
        return "Timeline: known to the process itself only, which cannot run now."
    if not timeline:
        return "Timeline: nothing recorded yet."
    rows = [
        f"  {moment.at:9.3f} s  {moment.took:8.3f} s  {moment.kind:<8}  "
        f"{one_line(moment.text)[:300]}"
        for moment in timeline[-SHOWN_MOMENTS:]
    ]
    hidden = max(len(timeline) - SHOWN_MOMENTS, 0) + left_out
    if hidden:
        rows.append(f"  ({hidden} more are not shown)")
    return "Timeline (start, duration, what):\n" + "\n".join(rows)


def others_text(others: list[str]) -> str:
    """The other requests in flight in this worker."""
    if not others:
        return "Other requests in flight in this worker: none."
    return "Other requests in flight in this worker:\n" + "\n".join(others)


def describe_others(record: Record, records: list[Record], now: float) -> list[str]:
    """One line for each other request, oldest first, bounded."""
    rest = sorted((each for each in records if each is not record), key=lambda each: each.started)
    rows = [
        f"  {each.age(now):9.3f} s  {one_line(each.method)} {one_line(each.path)}"
        f"  {one_line(each.view or '-')}  {each.id}"
        for each in rest[:SHOWN_OTHERS]
    ]
    if len(rest) > SHOWN_OTHERS:
        rows.append(f"  ({len(rest) - SHOWN_OTHERS} more are not shown)")
    return rows


def locals_text(variables: list[tuple[str, list[tuple[str, str]]]]) -> str:
    """The local variables, frame by frame."""
    parts = ["Full backtrace with local variables (masked and cut):"]
    for function, names in variables:
        parts.append(f"  in {function}")
        parts += [f"    {name} = {one_line(value)}" for name, value in names]
    return "\n".join(parts)


def later_text(snapshot: Snapshot, before: Stack, verdict: str) -> str:
    """What a repeated look adds to the file; a stack that has not moved is not repeated."""
    still = snapshot.stack == before
    stack = "  The stack is the same." if still else snapshot.text()
    parts = [f"\nStill running after {snapshot.age:.3f} s:", stack]
    if verdict:
        parts.append("Verdict by now:\n" + verdict_text(verdict))
    if snapshot.variables is not None:
        parts.append(locals_text(snapshot.variables))
    return "\n\n".join(parts) + "\n"


def end_text(record: Record, verdict: str) -> str:
    """The last lines of the file, once the request has ended."""
    return (
        f"\nVerdict in the end:\n{verdict_text(verdict)}\n"
        f"\nFinished after {record.took:.3f} s: status {record.status or '-'},"
        f" outcome {record.outcome or '-'}.\n"
    )


def request_line(record: Record) -> str:
    """``GET http://host/path?query``, with secret values of the query masked; a task's name."""
    if record.kind == "task":
        return f"{record.method} {record.path}"
    environ = record.environ or {}
    scheme = environ.get("wsgi.url_scheme", "http")
    host = environ.get("HTTP_HOST") or environ.get("SERVER_NAME") or "-"
    query = environ.get("QUERY_STRING")
    asked = f"?{query_string(query)}" if query else ""
    return f"{record.method} {scheme}://{host}{record.path}{asked}"


def without_literals(moment: Moment) -> Moment:
    """The moment as it may leave the process."""
    return moment._replace(text=sql_shape(moment.text)) if moment.kind == "sql" else moment
