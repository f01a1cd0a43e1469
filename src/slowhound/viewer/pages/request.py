"""The page of one request: its events, all fields with their meaning, and where its time went."""

from __future__ import annotations

from typing import Any

from slowhound.event.fields import FIELDS, NAMES
from slowhound.viewer import report_parser
from slowhound.viewer.pages import flame
from slowhound.viewer.pages.shared import of_request, why_not_here
from slowhound.viewer.query import BadQuery, Query, QueryParameter, text
from slowhound.viewer.responses import Data, NotFound, Page
from slowhound.viewer.sources import Sources
from slowhound.viewer.tags import PARTS_OF_TIME

EVENTS_SQL = (
    "SELECT * FROM events WHERE req_id = $id ORDER BY ts, event_type, host, pid, seq LIMIT 100"
)
TERMINAL_EVENTS = ("request", "task", "timeout", "crash")
# Fields are displayed in groups, by how their names begin.
FIELD_GROUPS = {
    "Request": ("req_", "task_"),
    "Response": ("resp_",),
    "Exception": ("exc_",),
    "Database": ("db_",),
    "Cache, templates, outbound": ("cache_", "tmpl_", "out_"),
    "Waiting": ("queue_", "gc_", "gil_", "loop_", "rest_"),
    "Slow": ("slow_", "report", "flame"),
    "Death": ("timeout_", "crash_"),
    "Stall": ("stall_",),
    "Server and worker": ("g_", "w_"),
    "Recording": ("",),  # all others
}
OVERLAPPING = {
    "resp_cpu_time": "CPU",
    "gc_time": "garbage collection",
    "gil_wait_est": "waiting for the GIL (estimate)",
    "loop_lag": "the event loop was blocked (estimate)",
}


def data(query: Query, sources: Sources) -> Data:
    """The events of one request, the terminal one first, and its report when there is one."""
    if not query.get("id"):
        raise BadQuery("id: give the id of a request")
    events = [
        _present(row) for row in sources.store().sql(EVENTS_SQL, {"id": query.get("id")}).objects()
    ]
    if not events:
        raise NotFound("No event of this request is in the store. Old events are removed.")
    events.sort(key=lambda event: event["event_type"] not in TERMINAL_EVENTS)
    main = events[0]
    name = next((event["report"] for event in events if event.get("report")), None)
    report = report_parser.read(sources.reports, name) if name else None
    parts = report_parser.sections(report) if report else []
    moments = report_parser.timeline(parts)
    return {
        "id": query.get("id"),
        "main": main,
        "events": events,
        "report": name,
        "report_is_here": report is not None,
        "timeline": moments,
        "whole": max(
            [main.get("resp_time") or 0.0, *(each["at"] + each["took"] for each in moments)]
        ),
        **flame_of(events, sources),
        "command": of_request(query, sources, query.get("id")),
    }


def flame_of(events: list[dict[str, Any]], sources: Sources) -> Data:
    """The name of a request's flame graph, out of one of its events; and why it is not here."""
    named = next((each for each in events if each.get("flame")), None)
    if named is None:
        return {"flame": None, "flame_why_not": None}
    missing = None
    if not flame.is_here(named["flame"]):
        missing = why_not_here(sources, named["host"], "FLAMES['MAX_BYTES']")
    return {"flame": named["flame"], "flame_why_not": missing}


def _present(row: dict[str, Any]) -> dict[str, Any]:
    """The event without its empty columns; the application's ``app_*`` become fields again."""
    app = row.pop("app", None) or {}
    kept = {
        name: value
        for name, value in row.items()
        if value is not None and value != [] and name != "segment"
    }
    return kept | {name: value for name, value in dict(app).items() if value is not None}


def _groups(event: dict[str, Any]) -> list[dict[str, Any]]:
    """The fields of an event in groups, each with its meaning."""
    meanings = {field.name: field.meaning for field in FIELDS}
    left = {name: value for name, value in event.items() if name not in ("db_top", "event_type")}
    found = []
    app = {name: left.pop(name) for name in sorted(left) if name not in NAMES}
    for title, starts in FIELD_GROUPS.items():
        names = [name for name in left if name.startswith(starts)]
        rows = [
            {"name": name, "value": left.pop(name), "meaning": meanings.get(name, "")}
            for name in names
        ]
        if rows:
            found.append({"title": title, "rows": rows})
    if app:
        rows = [{"name": name, "value": value, "meaning": ""} for name, value in app.items()]
        found.insert(1, {"title": "Application", "rows": rows})
    return found


def extras(query: Query, data: Data) -> Data:
    """The fields in groups, and the parts of the time by name."""
    main = data["main"]
    taken = [(key, name, main.get(f"{key}_time") or 0.0) for key, name in PARTS_OF_TIME]
    whole = sum(took for _, _, took in taken)
    return {
        "groups": [{"event": event, "groups": _groups(event)} for event in data["events"]],
        "shares": [
            {"key": key, "name": name, "took": took, "share": took / whole}
            for key, name, took in taken
            if took > 0
        ],
        "overlap": [
            {"name": name, "took": main[key]} for key, name in OVERLAPPING.items() if main.get(key)
        ],
    }


PAGE = Page(
    "request",
    "Request",
    "Everything that was recorded of one request.",
    data,
    {"id": QueryParameter(text, "id")},
    menu="requests",
    extras=extras,
)
