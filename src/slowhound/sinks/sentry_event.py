"""Makes Sentry's event of a report, as plain data and without importing Sentry.

https://develop.sentry.dev/sdk/data-model/event-payloads/
"""

from __future__ import annotations

import functools
import os
import sys
import uuid
from typing import Any

from slowhound.core.report import Report
from slowhound.event.formats import encodable, one_line
from slowhound.frames.frames import Frame
from slowhound.frames.source_lines import source_lines
from slowhound.redaction import masking
from slowhound.runtime.app_files import absolute, is_app, short_path
from slowhound.sinks.wording import headline

LEVELS = {"slow": "warning", "timeout": "fatal", "crash": "fatal"}
TYPES = {"slow": "SlowRequest", "timeout": "WorkerTimeout", "crash": "WorkerDied"}
# Sentry shows 250 frames; of a deeper stack these are sent.
OUTERMOST_FRAMES, INNERMOST_FRAMES = 50, 200
CONTEXT_LINES = 5
LINE_LIMIT = 300
BREADCRUMBS_LIMIT = 50
VERDICT_LIMIT = 8000
TAG_LIMIT = 200

TIME_FIELDS = {
    "resp_time": "total",
    "queue_time": "queue (before)",
    "db_time": "database",
    "cache_time": "cache",
    "tmpl_time": "templates",
    "out_time": "outbound",
    "rest_time": "rest",
    "resp_cpu_time": "CPU (overlaps)",
    "gc_time": "garbage collection (overlaps)",
    "gil_wait_est": "waited for the GIL (estimate, overlaps)",
    "gil_hold_est": "held the GIL (estimate, overlaps)",
    "loop_lag": "event loop stood still (estimate, overlaps)",
}
VERDICT_FIELDS = (
    "req_id",
    "slow_verdict",
    "slow_after",
    "slow_loc",
    "slow_stack_by",
    "slow_fingerprint",
    "gil_held_by",
    "loop_blocked_by",
    "crash_cause",
    "crash_signal",
    "crash_code",
    "report",
    "flame",
)
CATEGORIES = {"sql": "query", "http": "httplib"}


def event_id(report: Report) -> str:
    """The same for each attempt to deliver a report: Sentry keeps only the first one."""
    return uuid.uuid5(uuid.NAMESPACE_URL, f"slowhound:{report.id}").hex


def event_of(report: Report) -> dict[str, Any]:
    """The event; it has the client's user agent, but not its address."""
    event = report.event
    name, kind = _transaction(event)
    made = {
        "event_id": event_id(report),
        "timestamp": report.intercepted,
        "platform": "python",
        "logger": "slowhound",
        "level": LEVELS.get(report.kind, "warning"),
        "fingerprint": ["slowhound", report.fingerprint],
        "transaction": name,
        "transaction_info": {"source": kind},
        "server_name": report.host,
        "release": event.get("release"),
        "tags": _tags(report),
        "contexts": _contexts(report),
        "exception": {"values": [_exception(report)]},
        "breadcrumbs": {"values": _breadcrumbs(report)},
    }
    if "req_method" in event:
        made["request"] = _request(report)
    cleaned: dict[str, Any] = encodable(
        {key: each for key, each in made.items() if each is not None}
    )
    return cleaned


def _transaction(event: dict[str, Any]) -> tuple[str, str]:
    if event.get("req_route"):
        return f"/{str(event['req_route']).lstrip('/')}", "route"
    if event.get("task_name"):
        return str(event["task_name"]), "task"
    if event.get("resp_view"):
        return str(event["resp_view"]), "component"
    return str(event.get("req_path") or "-"), "url"


def _tags(report: Report) -> dict[str, str]:
    event = report.event
    known = {
        "event_type": report.kind,
        "verdict": event.get("slow_verdict"),
        "cause": event.get("crash_cause"),
        "view": report.view,
        "host": report.host,
        "pid": report.pid,
        "worker": f"{report.host}:{report.pid}",
        "service": event.get("service"),
        "release": event.get("release"),
    }
    return {
        name: one_line(value)[:TAG_LIMIT]
        for name, value in known.items()
        if value not in (None, "", "-")
    }


def _contexts(report: Report) -> dict[str, Any]:
    event = report.event
    verdict: dict[str, Any] = {name: event[name] for name in VERDICT_FIELDS if event.get(name)}
    if report.verdict:
        verdict["verdict"] = report.verdict[:VERDICT_LIMIT]
    if report.held_back:
        verdict["held_back"] = report.held_back
    if report.others:
        verdict["others_in_flight"] = [line.strip() for line in report.others[:20]]
    if report.finished is not None:
        verdict["finished"] = report.finished._asdict()
    saturation = ("g_w_", "g_backlog", "g_threads", "g_queue", "w_")
    contexts: dict[str, Any] = {
        "slowhound": verdict,
        "time": {words: event[name] for name, words in TIME_FIELDS.items() if event.get(name)},
        "database": _database(report),
        "saturation": {name: value for name, value in event.items() if name.startswith(saturation)},
    }
    contexts = {name: context for name, context in contexts.items() if context}
    if event.get("trace_id") and event.get("span_id"):
        contexts["trace"] = {
            "trace_id": event["trace_id"],
            "span_id": event["span_id"],
            "op": "http.server" if "req_method" in event else "queue.task",
        }
    return contexts


def _database(report: Report) -> dict[str, Any]:
    event = report.event
    found = {name: event[name] for name in event if name.startswith("db_")}
    if event.get(f"{report.kind}_sql"):
        found["running"] = event[f"{report.kind}_sql"]
        found["running_for"] = event.get(f"{report.kind}_sql_time")
    queries = [moment for moment in report.timeline or () if moment.kind == "sql"]
    queries.sort(key=lambda moment: moment.took, reverse=True)
    if queries:
        found["longest"] = [
            f"{moment.took:.3f} s  {one_line(moment.text)[:300]}" for moment in queries[:5]
        ]
    return found


def _breadcrumbs(report: Report) -> list[dict[str, Any]]:
    return [
        {
            "timestamp": report.started + moment.at,
            "category": CATEGORIES.get(moment.kind, moment.kind),
            "type": "default",
            "level": "info",
            "message": moment.text[:1000],
            "data": {"seconds": round(moment.took, 6)},
        }
        for moment in (report.timeline or [])[-BREADCRUMBS_LIMIT:]
    ]


def _request(report: Report) -> dict[str, Any]:
    event = report.event
    # Its secrets are masked already: report.request_line
    address = report.request_line.partition(" ")[2]
    url, _, query = address.partition("?")
    request: dict[str, Any] = {"method": event["req_method"], "url": url[:2000]}
    if query:
        request["query_string"] = query
    headers = {"User-Agent": "req_user_agent", "Referer": "req_referrer"}
    request["headers"] = {name: event[field] for name, field in headers.items() if event.get(field)}
    return request


def _exception(report: Report) -> dict[str, Any]:
    verdict = report.verdict.partition("\n")[0]
    made: dict[str, Any] = {
        "type": TYPES.get(report.kind, "SlowRequest"),
        "value": f"{headline(report)}{f': {verdict}' if verdict else ''}"[:1000],
        "mechanism": {"type": "slowhound", "handled": report.kind == "slow"},
        "thread_id": report.thread_id or None,
    }
    frames = frames_of(report)
    if frames:
        made["stacktrace"] = {"frames": frames}
    return made


def frames_of(report: Report) -> list[dict[str, Any]]:
    """The frames, outermost first; of a worker that died, those that its box has."""
    if report.snapshot is None:
        stack = _stack_of_text(report.event.get(f"{report.kind}_stack"))
        return [_frame(each) for each in stack]
    whole = report.snapshot.stack
    cut = len(whole) > OUTERMOST_FRAMES + INNERMOST_FRAMES
    kept = whole[:OUTERMOST_FRAMES] + whole[-INNERMOST_FRAMES:] if cut else whole
    made = [_frame(each) for each in kept]
    # Local variables are known of the innermost frames of the application.
    own = [frame for frame in reversed(made) if frame["in_app"]]
    known = reversed(report.snapshot.variables or [])
    for frame, (function, variables) in zip(own, known, strict=False):
        if frame["function"] != function:
            break
        frame["vars"] = dict(variables)
    return made


def _frame(frame: Frame) -> dict[str, Any]:
    path, shown = masking.name(short_path(frame.filename)), frame.shown
    made = {
        "filename": path,
        "abs_path": shown.filename,
        "module": path.removesuffix(".py").removesuffix("/__init__").strip("/").replace("/", "."),
        "function": shown.function,
        "lineno": frame.line,
        "in_app": is_app(frame.filename),
    }
    before = min(frame.line - 1, CONTEXT_LINES)
    lines = source_lines(frame.filename, frame.line - before, frame.line + CONTEXT_LINES)
    if 0 <= before < len(lines):
        made["pre_context"] = [_line(each) for each in lines[:before]]
        made["context_line"] = _line(lines[before])
        made["post_context"] = [_line(each) for each in lines[before + 1 :]]
    return made


def _line(line: str) -> str:
    return line.rstrip("\n")[:LINE_LIMIT]


def _stack_of_text(text: Any) -> list[Frame]:
    """From ``path:line:function < path:line:function``, innermost first."""
    found = []
    for each in str(text or "").split(" < "):
        parts = each.rsplit(":", 2)
        if len(parts) == 3 and parts[1].isdecimal():
            found.append(Frame(_where_is(parts[0]), int(parts[1]), parts[2]))
    return found[::-1]


@functools.lru_cache(maxsize=1024)
def _where_is(path: str) -> str:
    """The absolute path of one that is relative to ``sys.path``."""
    for root in sys.path:
        whole = os.path.join(absolute(root), path)
        if os.path.isfile(whole):
            return whole
    return path
