"""The overview: rates, times, errors, saturation and deaths, in total and over time."""

from __future__ import annotations

from typing import Any

from slowhound.store.questions.question import IN_PERIOD
from slowhound.store.source import Source
from slowhound.viewer.pages.shared import (
    ENDED_REQUEST,
    ENDED_REQUEST_COUNT_SQL,
    ERROR_COUNT_SQL,
    NEWEST,
    buckets,
    command,
    span,
    spread,
    step_of,
)
from slowhound.viewer.query import Query
from slowhound.viewer.responses import Data, Page
from slowhound.viewer.sources import Sources

TOTALS_SQL = f"""
SELECT {ENDED_REQUEST_COUNT_SQL} AS requests,
       {ERROR_COUNT_SQL} AS errors,
       countif(event_type = 'slow') AS slow,
       countif(event_type = 'crash' OR event_type = 'timeout') AS deaths,
       countif(event_type = 'stall') AS stalls,
       countif(event_type = 'partial_failure') AS partial_failures,
       countif(event_type = 'task') AS tasks,
       quantile(0.5, CASE WHEN {ENDED_REQUEST} THEN resp_time END) AS p50,
       quantile(0.95, CASE WHEN {ENDED_REQUEST} THEN resp_time END) AS p95,
       quantile(0.99, CASE WHEN {ENDED_REQUEST} THEN resp_time END) AS p99,
       quantile(0.95, queue_time) AS queue_p95,
       max(CASE WHEN g_w_count > 0 THEN g_w_active / g_w_count END) AS busiest,
       max(g_backlog) AS backlog,
       min(ts) AS oldest, max(ts) AS newest, count(*) AS events
FROM events WHERE {IN_PERIOD}
"""  # noqa: S608  made of constants only
SERIES_SQL = f"""
SELECT floor(ts / $step) * $step AS bucket,
       {ENDED_REQUEST_COUNT_SQL} AS requests,
       {ERROR_COUNT_SQL} AS errors,
       countif(event_type = 'slow') AS slow,
       countif(event_type = 'crash' OR event_type = 'timeout') AS deaths,
       quantile(0.5, CASE WHEN {ENDED_REQUEST} THEN resp_time END) AS p50,
       quantile(0.95, CASE WHEN {ENDED_REQUEST} THEN resp_time END) AS p95,
       quantile(0.99, CASE WHEN {ENDED_REQUEST} THEN resp_time END) AS p99,
       max(CASE WHEN g_w_count > 0 THEN g_w_active / g_w_count END) AS busy,
       max(CASE WHEN g_threads > 0 THEN g_threads_busy / g_threads END) AS threads,
       max(g_backlog) AS backlog
FROM events WHERE {IN_PERIOD}
GROUP BY bucket ORDER BY bucket
"""  # noqa: S608
BUSIEST_SQL = f"""
SELECT resp_view, {ENDED_REQUEST_COUNT_SQL} AS n, sum(resp_time) AS total,
       quantile(0.95, resp_time) AS p95, {ERROR_COUNT_SQL} AS errors
FROM events WHERE {IN_PERIOD} AND {ENDED_REQUEST}
GROUP BY resp_view ORDER BY total DESC, resp_view LIMIT 8
"""  # noqa: S608
LATEST_SQL = f"""
SELECT ts, event_type, req_id, req_method, req_path, resp_view, resp_time, crash_cause, slow_loc,
       stall_kind
FROM events WHERE {IN_PERIOD} AND event_type IN ('slow', 'crash', 'timeout', 'stall')
ORDER BY {NEWEST} LIMIT 8
"""  # noqa: S608
COUNTS = ("requests", "errors", "slow", "deaths")
MEASUREMENTS = ("p50", "p95", "p99", "busy", "threads", "backlog")


def data(query: Query, sources: Sources) -> Data:
    """Totals, series, the views with the most time, and the latest slow requests and deaths."""
    store = sources.store()
    totals = store.sql(TOTALS_SQL, query.bounds()).objects()[0]
    health = store.health()
    found: Data = {
        "totals": totals,
        "health": health._asdict(),
        "command": command(query, sources, "ask", "traffic"),
    }
    if not totals["events"]:
        return found
    start, end = span(query, totals["oldest"], totals["newest"])
    totals["rate"] = totals["requests"] / (end - start)
    totals["error_rate"] = totals["errors"] / totals["requests"] if totals["requests"] else None
    return found | {
        "series": _series(store, query, start, end),
        "busiest": store.sql(BUSIEST_SQL, query.bounds()).objects(),
        "latest": store.sql(LATEST_SQL, query.bounds()).objects(),
    }


def _series(store: Source, query: Query, start: float, end: float) -> dict[str, Any]:
    step = step_of(start, end)
    rows = store.sql(SERIES_SQL, {**query.bounds(), "step": step}).objects()
    at = buckets(start, end, step)
    series: dict[str, Any] = {"step": step, "at": at}
    for name in (*COUNTS, *MEASUREMENTS):
        missing = 0 if name in COUNTS else None
        series[name] = spread({row["bucket"]: row[name] for row in rows}, at, missing)
    return series


def extras(query: Query, data: Data) -> Data:
    """The series as rows of a table, the latest first, for readers who do not use the charts."""
    series = data.get("series")
    if series is None:
        return {}
    names = ("at", *COUNTS, *MEASUREMENTS)
    columns = zip(*(series[name] for name in names), strict=True)
    return {"numbers": [dict(zip(names, row, strict=True)) for row in columns][::-1]}


PAGE = Page(
    "overview", "Overview", "Traffic, times, errors and deaths of this site.", data, extras=extras
)
