"""Each view: how often, how long, how often wrong, and where its time goes."""

from __future__ import annotations

from slowhound.store.questions.question import WITHIN
from slowhound.viewer.pages.shared import ENDED, ERRORS, REQUESTS, command
from slowhound.viewer.query import Asked, chosen
from slowhound.viewer.responses import Data, Page
from slowhound.viewer.sources import Where

# What may be sorted by, and the column's SQL: a URL chooses a key and never writes SQL.
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
MOST = 500
VIEWS = f"""
SELECT resp_view, {REQUESTS} AS n, sum(resp_time) AS total,
       quantile(0.5, resp_time) AS p50, quantile(0.95, resp_time) AS p95,
       quantile(0.99, resp_time) AS p99, max(resp_time) AS slowest,
       {ERRORS} AS errors, avg(coalesce(db_queries, 0)) AS queries,
       countif(db_n1 IS NOT NULL) AS n1,
       avg(coalesce(queue_time, 0)) AS mean_queue, avg(coalesce(db_time, 0)) AS mean_db,
       avg(coalesce(cache_time, 0)) AS mean_cache, avg(coalesce(out_time, 0)) AS mean_out,
       avg(coalesce(tmpl_time, 0)) AS mean_tmpl, avg(coalesce(rest_time, 0)) AS mean_rest
FROM events WHERE {WITHIN} AND {ENDED}
GROUP BY resp_view ORDER BY
"""  # noqa: S608  constants of ours
TIMES = ("queue", "db", "cache", "out", "tmpl", "rest")


def data(asked: Asked, where: Where) -> Data:
    """A row for each view; the mean of each part of its time under ``parts``."""
    order = SORTS[asked.get("sort") or "total"]
    text = f"{VIEWS} {order}, resp_view LIMIT {MOST + 1}"
    rows = where.source().sql(text, asked.bounds()).objects()
    for row in rows:
        # None: times that are no times add up to more than there are numbers for.
        row["parts"] = {f"{name}_time": row.pop(f"mean_{name}") or 0.0 for name in TIMES}
    return {
        "rows": rows[:MOST],
        "more": len(rows) > MOST,
        "longest": max((sum(row["parts"].values()) for row in rows), default=0.0),
        "command": command(asked, where, "ask", "views"),
    }


PAGE = Page(
    "views",
    "Views",
    "Each view: how often, how long, and where its time goes.",
    data,
    {"sort": chosen(*SORTS, label="sort by")},
)
