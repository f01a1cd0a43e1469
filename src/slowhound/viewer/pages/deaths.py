"""The page of worker deaths and timeouts, with the requests that were in flight."""

from __future__ import annotations

from slowhound.store.questions.question import IN_PERIOD
from slowhound.viewer.pages.shared import NEWEST, buckets, command, span, spread, step_of
from slowhound.viewer.query import Query, QueryParameter, text
from slowhound.viewer.responses import Data, Page
from slowhound.viewer.sources import Sources

MOST_DEATHS = 200
IS_DEATH = f"{IN_PERIOD} AND event_type IN ('crash', 'timeout')"
CAUSE = "CASE WHEN event_type = 'timeout' THEN 'timeout' ELSE coalesce(crash_cause, 'unknown') END"
CAUSES_SQL = f"""
SELECT {CAUSE} AS cause, count(*) AS n, min(ts) AS first_seen, max(ts) AS last_seen
FROM events WHERE {IS_DEATH} GROUP BY cause ORDER BY n DESC, cause
"""  # noqa: S608  made of constants only
DEATHS_OVER_TIME = f"""
SELECT floor(ts / $step) * $step AS bucket, count(*) AS n
FROM events WHERE {IS_DEATH} GROUP BY bucket
"""  # noqa: S608
DEATHS = f"""
SELECT ts, {CAUSE} AS cause, req_id, req_method, req_path, task_name, resp_view, resp_time,
       crash_signal, crash_code, coalesce(crash_cause_loc, timeout_cause_loc) AS loc,
       coalesce(crash_stack, timeout_stack) AS stack,
       coalesce(crash_sql, timeout_sql) AS statement, host, pid, w_age, w_rss
FROM events WHERE {IS_DEATH}
"""  # noqa: S608


def data(query: Query, sources: Sources) -> Data:
    """The causes, the deaths over time, and each request that was lost."""
    store = sources.store()
    causes = store.sql(CAUSES_SQL, query.bounds()).objects()
    rows, values = DEATHS, query.bounds()
    if query.get("cause"):
        rows += f" AND {CAUSE} = $cause"
        values = {**values, "cause": query.get("cause")}
    rows += f" ORDER BY {NEWEST} LIMIT {MOST_DEATHS + 1}"
    found = store.sql(rows, values).objects()
    data: Data = {
        "causes": causes,
        "rows": found[:MOST_DEATHS],
        "more": len(found) > MOST_DEATHS,
        "command": command(query, sources, "ask", "deaths"),
    }
    if causes:
        oldest = min(cause["first_seen"] for cause in causes)
        start, end = span(query, oldest, max(cause["last_seen"] for cause in causes))
        step = step_of(start, end)
        at = buckets(start, end, step)
        counted = dict(store.sql(DEATHS_OVER_TIME, {**query.bounds(), "step": step}).rows)
        data["series"] = {"step": step, "at": at, "deaths": spread(counted, at)}
    return data


PAGE = Page(
    "deaths",
    "Deaths",
    "Requests whose worker died or timed out, and what they were doing.",
    data,
    {"cause": QueryParameter(text, "cause")},
)
