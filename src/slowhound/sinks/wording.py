"""Composes the headline and the facts of a report for messages; none contains a line break."""

from __future__ import annotations

import re

from slowhound.core.report import Finished, Report
from slowhound.event.formats import one_line

_NOT_IN_IDS = re.compile(r"[^A-Za-z0-9.-]")
FACTS = {
    "resp_view": "View",
    "req_route": "Route",
    "task_name": "Task",
    "slow_loc": "At",
    "crash_cause_loc": "At",
    "timeout_cause_loc": "At",
    "crash_sql": "SQL",
    "timeout_sql": "SQL",
    "db_queries": "Queries",
    "db_time": "Database, s",
    "cache_time": "Cache, s",
    "out_time": "Outbound calls, s",
    "gil_hold_est": "Held the GIL, s (estimate)",
    "gil_wait_est": "Waited for the GIL, s (estimate)",
    "gil_held_by": "GIL held by",
    "loop_blocked_by": "Event loop blocked by",
    "release": "Release",
    "req_id": "Request",
    "trace_id": "Trace",
    "flame": "Flame graph",
    "report": "Report",
}


def headline(report: Report) -> str:
    """For example ``Slow, stuck: shop.views.checkout (31.2 s)``."""
    view = one_line(report.view if report.view != "-" else report.event.get("req_path") or "-")
    seconds = report.event.get("resp_time")
    took = f" ({seconds:.1f} s)" if isinstance(seconds, int | float) else ""
    if report.finished is not None:
        return f"Finished after {report.finished.seconds:.1f} s: {view}"
    if report.kind == "timeout":
        return f"Worker timed out: {view}{took}"
    if report.kind == "crash":
        cause = one_line(report.event.get("crash_cause") or "unknown")
        return f"Worker died ({cause}): {view}{took}"
    stuck = ", stuck" if report.event.get("slow_verdict") == "stuck" else ""
    return f"Slow{stuck}: {view}{took}"


def group_note(report: Report) -> str:
    """A sentence about the report's group, or an empty text."""
    if report.first_seen:
        return "The first of its group."
    if report.held_back:
        return f"{report.held_back} more of this group were held back since the last message."
    return ""


def end_note(finished: Finished) -> str:
    """How the request ended."""
    return (
        f"Finished after {finished.seconds:.3f} s: status {finished.status or '-'},"
        f" outcome {one_line(finished.outcome or '-')}."
    )


def facts(report: Report) -> list[tuple[str, str]]:
    """What is known of the report, each fact with its label."""
    event = report.event
    known = [
        (label, one_line(event[name]))
        for name, label in FACTS.items()
        if event.get(name) not in (None, "")
    ]
    where = f"{one_line(report.host)}, pid {report.pid}"
    return [*known, ("Group", report.fingerprint), ("Where", where)]


def opening(report: Report) -> list[str]:
    """The first lines of a message."""
    lines = [headline(report), one_line(report.request_line)]
    if report.finished is not None:
        lines.append(end_note(report.finished))
    remark = group_note(report)
    return [*lines, remark] if remark else lines


def cut(text: str, limit: int) -> str:
    """At most ``limit`` characters of it."""
    return text if len(text) <= limit else text[: limit - 1] + "…"


def safe_id(report: Report) -> str:
    """The report's id, without characters that a header cannot have."""
    return _NOT_IN_IDS.sub("-", report.id[:100])
