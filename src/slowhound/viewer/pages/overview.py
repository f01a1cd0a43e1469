"""What is going on: rates, times, errors, saturation, deaths; over time."""

from __future__ import annotations

from typing import Any

from slowhound.store.questions.question import WITHIN
from slowhound.store.source import Source
from slowhound.viewer.pages.shared import (
    ENDED,
    ERRORS,
    NEWEST,
    REQUESTS,
    buckets,
    command,
    span,
    spread,
    step_of,
)
from slowhound.viewer.query import Asked
from slowhound.viewer.responses import Data, Page
from slowhound.viewer.sources import Where

TOTALS = f"""
SELECT {REQUESTS} AS requests,
       {ERRORS} AS errors,
       countif(event_type = 'slow') AS slow,
       countif(event_type = 'crash' OR event_type = 'timeout') AS deaths,
       countif(event_type = 'stall') AS stalls,
       countif(event_type = 'partial_failure') AS partial_failures,
       countif(event_type = 'task') AS tasks,
       quantile(0.5, CASE WHEN {ENDED} THEN resp_time END) AS p50,
       quantile(0.95, CASE WHEN {ENDED} THEN resp_time END) AS p95,
       quantile(0.99, CASE WHEN {ENDED} THEN resp_time END) AS p99,
       quantile(0.95, queue_time) AS queue_p95,
       max(CASE WHEN g_w_count > 0 THEN g_w_active / g_w_count END) AS busiest,
       max(g_backlog) AS backlog,
       min(ts) AS oldest, max(ts) AS newest, count(*) AS events
FROM events WHERE {WITHIN}
"""  # noqa: S608  constants of ours
OVER_TIME = f"""
SELECT floor(ts / $step) * $step AS bucket,
       {REQUESTS} AS requests,
       {ERRORS} AS errors,
       countif(event_type = 'slow') AS slow,
       countif(event_type = 'crash' OR event_type = 'timeout') AS deaths,
       quantile(0.5, CASE WHEN {ENDED} THEN resp_time END) AS p50,
       quantile(0.95, CASE WHEN {ENDED} THEN resp_time END) AS p95,
       quantile(0.99, CASE WHEN {ENDED} THEN resp_time END) AS p99,
       max(CASE WHEN g_w_count > 0 THEN g_w_active / g_w_count END) AS busy,
       max(CASE WHEN g_threads > 0 THEN g_threads_busy / g_threads END) AS threads,
       max(g_backlog) AS backlog
FROM events WHERE {WITHIN}
GROUP BY bucket ORDER BY bucket
"""  # noqa: S608
BUSIEST = f"""
SELECT resp_view, {REQUESTS} AS n, sum(resp_time) AS total, quantile(0.95, resp_time) AS p95,
       {ERRORS} AS errors
FROM events WHERE {WITHIN} AND {ENDED}
GROUP BY resp_view ORDER BY total DESC, resp_view LIMIT 8
"""  # noqa: S608
LATEST = f"""
SELECT ts, event_type, req_id, req_method, req_path, resp_view, resp_time, crash_cause, slow_loc,
       stall_kind
FROM events WHERE {WITHIN} AND event_type IN ('slow', 'crash', 'timeout', 'stall')
ORDER BY {NEWEST} LIMIT 8
"""  # noqa: S608
COUNTED = ("requests", "errors", "slow", "deaths")
MEASURED = ("p50", "p95", "p99", "busy", "threads", "backlog")


def data(asked: Asked, where: Where) -> Data:
    """Totals, series, the busiest views, and the latest that went wrong."""
    source = where.source()
    totals = source.sql(TOTALS, asked.bounds()).objects()[0]
    health = source.health()
    found: Data = {
        "totals": totals,
        "health": health._asdict(),
        "command": command(asked, where, "ask", "traffic"),
    }
    if not totals["events"]:
        return found
    start, end = span(asked, totals["oldest"], totals["newest"])
    totals["rate"] = totals["requests"] / (end - start)
    totals["error_rate"] = totals["errors"] / totals["requests"] if totals["requests"] else None
    return found | {
        "series": _series(source, asked, start, end),
        "busiest": source.sql(BUSIEST, asked.bounds()).objects(),
        "latest": source.sql(LATEST, asked.bounds()).objects(),
    }


def _series(source: Source, asked: Asked, start: float, end: float) -> dict[str, Any]:
    step = step_of(start, end)
    rows = source.sql(OVER_TIME, {**asked.bounds(), "step": step}).objects()
    at = buckets(start, end, step)
    series: dict[str, Any] = {"step": step, "at": at}
    for name in (*COUNTED, *MEASURED):
        missing = 0 if name in COUNTED else None
        series[name] = spread({row["bucket"]: row[name] for row in rows}, at, missing)
    return series


def extras(asked: Asked, data: Data) -> Data:
    """The series as rows, the latest first, for whoever cannot or will not see a chart."""
    series = data.get("series")
    if series is None:
        return {}
    names = ("at", *COUNTED, *MEASURED)
    columns = zip(*(series[name] for name in names), strict=True)
    return {"numbers": [dict(zip(names, row, strict=True)) for row in columns][::-1]}


PAGE = Page("overview", "Overview", "What this site did, and how well.", data, extras=extras)
