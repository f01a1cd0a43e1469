"""One report, and the others of its group."""

from __future__ import annotations

from slowhound.viewer import report_parser
from slowhound.viewer.pages.request import EVENTS, flame_of
from slowhound.viewer.pages.shared import NEWEST, of_request, why_not_here
from slowhound.viewer.query import Asked, Parameter, Wrong, text
from slowhound.viewer.responses import Data, Missing, Page
from slowhound.viewer.sources import Where

MOST = 50
GROUP = f"""
SELECT ts, req_id, req_method, req_path, task_name, resp_view, resp_time, slow_after, slow_loc,
       slow_verdict, slow_stack_by, slow_fingerprint, report, host, pid
FROM events WHERE event_type = 'slow' AND slow_fingerprint = $group
ORDER BY {NEWEST} LIMIT {MOST}
"""  # noqa: S608  constants of ours
ONE = f"""
SELECT ts, req_id, req_method, req_path, task_name, resp_view, resp_time, slow_after, slow_loc,
       slow_verdict, slow_stack_by, slow_fingerprint, report, host, pid
FROM events WHERE event_type = 'slow' AND report = $name ORDER BY {NEWEST} LIMIT 1
"""  # noqa: S608
TOTAL = "SELECT count(*) AS n FROM events WHERE event_type = 'slow' AND slow_fingerprint = $group"


def data(asked: Asked, where: Where) -> Data:
    """The report that was named, else the newest of the group."""
    source = where.source()
    one = source.sql(ONE, {"name": asked.get("name")}).objects() if asked.get("name") else []
    group = asked.get("group") or (one[0]["slow_fingerprint"] if one else None)
    if not group and not one:
        raise (
            Wrong("name: name a report or a group")
            if not asked.get("name")
            else Missing("No slow request with this report is in the store.")
        )
    rows = source.sql(GROUP, {"group": group}).objects() if group else one
    if not rows and not one:
        raise Missing("No report of this group is in the store: it is older than what is kept.")
    event = one[0] if one else rows[0]
    found = report_parser.read(where.reports, event["report"]) if event["report"] else None
    parts = report_parser.sections(found) if found else []
    moments = report_parser.timeline(parts)
    return {
        "event": event,
        "group": group,
        "total": source.sql(TOTAL, {"group": group}).rows[0][0] if group else 1,
        "rows": rows,
        "is_here": found is not None,
        "why_not": None
        if found is not None
        else why_not_here(where, event["host"], "REPORTS_MAX_BYTES"),
        "sections": [part._asdict() for part in parts],
        "timeline": moments,
        "whole": max([event["resp_time"] or 0.0, *map(report_parser.end, moments)]),
        **flame_of(source.sql(EVENTS, {"id": event["req_id"]}).objects(), where),
        "command": of_request(asked, where, event["req_id"]),
    }


PAGE = Page(
    "report",
    "Report",
    "What a slow request was doing, and why it waited.",
    data,
    {"name": Parameter(text, "name"), "group": Parameter(text, "group")},
    menu="reports",
)
