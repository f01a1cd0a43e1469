"""The page of one report, with the other reports of its group."""

from __future__ import annotations

from slowhound.viewer import report_parser
from slowhound.viewer.pages.request import EVENTS_SQL, flame_of
from slowhound.viewer.pages.shared import NEWEST, of_request, why_not_here
from slowhound.viewer.query import BadQuery, Query, QueryParameter, text
from slowhound.viewer.responses import Data, NotFound, Page
from slowhound.viewer.sources import Sources

MOST_OF_GROUP = 50
REPORT_COLUMNS = (
    "ts, req_id, req_method, req_path, task_name, resp_view, resp_time, slow_after, slow_loc,"
    " slow_verdict, slow_stack_by, slow_fingerprint, report, host, pid"
)
GROUP_SQL = f"""
SELECT {REPORT_COLUMNS}
FROM events WHERE event_type = 'slow' AND slow_fingerprint = $group
ORDER BY {NEWEST} LIMIT {MOST_OF_GROUP}
"""  # noqa: S608  made of constants only
REPORT_SQL = f"""
SELECT {REPORT_COLUMNS}
FROM events WHERE event_type = 'slow' AND report = $name ORDER BY {NEWEST} LIMIT 1
"""  # noqa: S608
TOTAL_SQL = (
    "SELECT count(*) AS n FROM events WHERE event_type = 'slow' AND slow_fingerprint = $group"
)


def data(query: Query, sources: Sources) -> Data:
    """The named report, else the newest of the group."""
    store = sources.store()
    one = store.sql(REPORT_SQL, {"name": query.get("name")}).objects() if query.get("name") else []
    group = query.get("group") or (one[0]["slow_fingerprint"] if one else None)
    if not group and not one:
        raise (
            BadQuery("name: give the name of a report, or a group")
            if not query.get("name")
            else NotFound("No slow request with this report is in the store.")
        )
    rows = store.sql(GROUP_SQL, {"group": group}).objects() if group else one
    if not rows and not one:
        raise NotFound("No report of this group is in the store. Old events are removed.")
    event = one[0] if one else rows[0]
    text_of = report_parser.read(sources.reports, event["report"]) if event["report"] else None
    parts = report_parser.sections(text_of) if text_of else []
    moments = report_parser.timeline(parts)
    return {
        "event": event,
        "group": group,
        "total": store.sql(TOTAL_SQL, {"group": group}).rows[0][0] if group else 1,
        "rows": rows,
        "is_here": text_of is not None,
        "why_not": None
        if text_of is not None
        else why_not_here(sources, event["host"], "REPORTS_MAX_BYTES"),
        "sections": [part._asdict() for part in parts],
        "timeline": moments,
        "whole": max([event["resp_time"] or 0.0, *map(report_parser.end, moments)]),
        **flame_of(store.sql(EVENTS_SQL, {"id": event["req_id"]}).objects(), sources),
        "command": of_request(query, sources, event["req_id"]),
    }


PAGE = Page(
    "report",
    "Report",
    "What a slow request was doing, and why it waited.",
    data,
    {"name": QueryParameter(text, "name"), "group": QueryParameter(text, "group")},
    menu="reports",
)
