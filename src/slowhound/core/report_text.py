"""The words of a report: each part of it as text for a file or a mail."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from slowhound.core.record import Moment, Record
from slowhound.event.formats import clean
from slowhound.frames.frames import Stack, render
from slowhound.redaction import masking
from slowhound.redaction.masking import HEADER_LIMIT, client_text, short_text
from slowhound.redaction.sql.shape import sql_shape
from slowhound.redaction.urls import query_string

if TYPE_CHECKING:
    from slowhound.core.report import LastStack, Report, Snapshot

DATE = "%d-%m-%Y %H:%M:%S UTC"
SHOWN_MOMENTS = 50
SHOWN_OTHERS = 50
_HOST = re.compile(r"[\w.-]{1,253}(?::[0-9]{1,5})?")


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


def date(seconds: float) -> str:
    try:
        return datetime.fromtimestamp(seconds, UTC).strftime(DATE)
    except (OverflowError, ValueError, OSError):  # of a report that another process has written
        return "not known"


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


NO_STACK = (
    "  No stack: while the GIL is held no thread of this process can take one, and no other\n"
    "  process could read it (docs/gil.md says when one can)."
)


def ended_text(blind: float) -> str:
    """In the place of the stack of a request that ended before its first sample."""
    return (
        "  No stack: the request ended before the watchdog could take one.\n"
        f"  The watchdog had not run for {blind:.3f} s. When that is long, no other thread"
        " ran either:\n  C code held the GIL (a sort, a regular expression, an extension), or"
        " the process did not run."
    )


def last_stack_text(last: LastStack) -> str:
    """The last stack that is known, with its age."""
    rows = [f"    {one_line(str(each))}" for each in last.frames]
    return "\n".join([f"  Last known stack, {last.age:.3f} s old, innermost last:", *rows])


def held_text(seconds: float) -> str:
    """Of a request without a stack, whose thread has held the GIL, as it seems."""
    return f"The GIL was held for about {seconds:.1f} s, most likely by this thread."


def after_hold_text(seconds: float) -> str:
    """Of a stack that was taken right after its thread had held the GIL, as it seems."""
    return (
        f"The GIL was held for about {seconds:.1f} s, most likely by this thread, and no stack"
        " could be taken\nmeanwhile: this one was taken right after that."
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


def path_of(record: Record) -> str:
    """The path of another request, once it is known what of it is secret."""
    if record.kind == "request" and not record.is_resolved:
        return "(its URL is not resolved yet)"
    return one_line(record.path)


def describe_others(record: Record, records: list[Record], now: float) -> list[str]:
    """One line for each other request, oldest first, then websockets; bounded.

    What a URL holds under a secret name is known when it is resolved; until then it is not shown.
    """
    rest = [each for each in records if each is not record]
    rest.sort(key=lambda each: (each.yields, each.started))
    rows = [
        f"  {each.age(now):9.3f} s  {one_line(each.method)} {path_of(each)}"
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
    scheme = record.meta("wsgi.url_scheme") or "http"
    host = record.meta("HTTP_HOST") or record.meta("SERVER_NAME") or "-"
    # With the scheme: a client may put a user and a password before the host.
    server = f"{scheme}://{host}"
    # Of a plain one nothing is a value: what stands behind auth: is a port.
    is_plain = _HOST.fullmatch(host) is not None
    server = masking.name(server) if is_plain else client_text(server, HEADER_LIMIT)
    query = record.meta("QUERY_STRING")
    asked = f"?{query_string(query)}" if query else ""
    return f"{record.method} {server}{record.path}{asked}"


def without_literals(moment: Moment) -> Moment:
    """The moment as it may leave the process: a statement's shape, a name without secrets."""
    shown = sql_shape if moment.kind == "sql" else short_text
    return moment._replace(text=shown(moment.text))
