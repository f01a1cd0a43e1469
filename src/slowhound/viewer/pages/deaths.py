"""Requests that took their worker with them, or went with it."""

from __future__ import annotations

from slowhound.store.questions.question import WITHIN
from slowhound.viewer.pages.shared import NEWEST, buckets, command, span, spread, step_of
from slowhound.viewer.query import Asked, Parameter, text
from slowhound.viewer.responses import Data, Page
from slowhound.viewer.sources import Where

MOST = 200
DEAD = f"{WITHIN} AND event_type IN ('crash', 'timeout')"
CAUSE = "CASE WHEN event_type = 'timeout' THEN 'timeout' ELSE coalesce(crash_cause, 'unknown') END"
CAUSES = f"""
SELECT {CAUSE} AS cause, count(*) AS n, min(ts) AS first_seen, max(ts) AS last_seen
FROM events WHERE {DEAD} GROUP BY cause ORDER BY n DESC, cause
"""  # noqa: S608  constants of ours
OVER_TIME = f"""
SELECT floor(ts / $step) * $step AS bucket, count(*) AS n FROM events WHERE {DEAD} GROUP BY bucket
"""  # noqa: S608
ROWS = f"""
SELECT ts, {CAUSE} AS cause, req_id, req_method, req_path, task_name, resp_view, resp_time,
       crash_signal, crash_code, coalesce(crash_cause_loc, timeout_cause_loc) AS loc,
       coalesce(crash_stack, timeout_stack) AS stack,
       coalesce(crash_sql, timeout_sql) AS statement, host, pid, w_age, w_rss
FROM events WHERE {DEAD}
"""  # noqa: S608


def data(asked: Asked, where: Where) -> Data:
    """Causes, when, and each request that was lost."""
    source = where.source()
    causes = source.sql(CAUSES, asked.bounds()).objects()
    rows, values = ROWS, asked.bounds()
    if asked.get("cause"):
        rows += f" AND {CAUSE} = $cause"
        values = {**values, "cause": asked.get("cause")}
    rows += f" ORDER BY {NEWEST} LIMIT {MOST + 1}"
    found = source.sql(rows, values).objects()
    data: Data = {
        "causes": causes,
        "rows": found[:MOST],
        "more": len(found) > MOST,
        "command": command(asked, where, "ask", "deaths"),
    }
    if causes:
        oldest = min(cause["first_seen"] for cause in causes)
        start, end = span(asked, oldest, max(cause["last_seen"] for cause in causes))
        step = step_of(start, end)
        at = buckets(start, end, step)
        counted = dict(source.sql(OVER_TIME, {**asked.bounds(), "step": step}).rows)
        data["series"] = {"step": step, "at": at, "deaths": spread(counted, at)}
    return data


PAGE = Page(
    "deaths",
    "Deaths",
    "Requests whose worker died or timed out, and what they were doing.",
    data,
    {"cause": Parameter(text, "cause")},
)
