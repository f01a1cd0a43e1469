"""The page of views: their requests, times and errors, and where their time goes."""

from __future__ import annotations

from slowhound.store.questions.question import IN_PERIOD
from slowhound.viewer.pages.shared import (
    ENDED_REQUEST,
    ENDED_REQUEST_COUNT_SQL,
    ERROR_COUNT_SQL,
    command,
)
from slowhound.viewer.query import Query, one_of
from slowhound.viewer.responses import Data, Page
from slowhound.viewer.sources import Sources

# The orders and their SQL: a URL chooses a key and never contains SQL.
SORTS = {
    "total": "total DESC",
    "n": "n DESC",
    "p50": "p50 DESC",
    "p95": "p95 DESC",
    "p99": "p99 DESC",
    "errors": "errors DESC",
    "queries": "queries DESC",
    "view": "resp_view",
}
MOST_VIEWS = 500
VIEWS_SQL = f"""
SELECT resp_view, {ENDED_REQUEST_COUNT_SQL} AS n, sum(resp_time) AS total,
       quantile(0.5, resp_time) AS p50, quantile(0.95, resp_time) AS p95,
       quantile(0.99, resp_time) AS p99, max(resp_time) AS slowest,
       {ERROR_COUNT_SQL} AS errors, avg(coalesce(db_queries, 0)) AS queries,
       countif(db_n1 IS NOT NULL) AS n1,
       avg(coalesce(queue_time, 0)) AS mean_queue, avg(coalesce(db_time, 0)) AS mean_db,
       avg(coalesce(cache_time, 0)) AS mean_cache, avg(coalesce(out_time, 0)) AS mean_out,
       avg(coalesce(tmpl_time, 0)) AS mean_tmpl, avg(coalesce(rest_time, 0)) AS mean_rest
FROM events WHERE {IN_PERIOD} AND {ENDED_REQUEST}
GROUP BY resp_view ORDER BY
"""  # noqa: S608  made of constants only
PARTS_OF_MEAN = ("queue", "db", "cache", "out", "tmpl", "rest")


def data(query: Query, sources: Sources) -> Data:
    """A row for each view; the mean of each part of its time under ``parts``."""
    order = SORTS[query.get("sort") or "total"]
    text = f"{VIEWS_SQL} {order}, resp_view LIMIT {MOST_VIEWS + 1}"
    rows = sources.store().sql(text, query.bounds()).objects()
    for row in rows:
        # None: damaged times may add up to more than a float can hold.
        row["parts"] = {f"{name}_time": row.pop(f"mean_{name}") or 0.0 for name in PARTS_OF_MEAN}
    return {
        "rows": rows[:MOST_VIEWS],
        "more": len(rows) > MOST_VIEWS,
        "longest": max((sum(row["parts"].values()) for row in rows), default=0.0),
        "command": command(query, sources, "ask", "views"),
    }


PAGE = Page(
    "views",
    "Views",
    "Requests, times and errors of each view, and where its time goes.",
    data,
    {"sort": one_of(*SORTS, label="sort by")},
)
