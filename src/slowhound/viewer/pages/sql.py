"""The page of SQL statements, grouped by shape: their cost, and the line that runs them."""

from __future__ import annotations

from slowhound.store.questions.question import IN_PERIOD
from slowhound.viewer.pages.shared import command
from slowhound.viewer.query import Query, one_of
from slowhound.viewer.responses import Data, Page
from slowhound.viewer.sources import Sources

MOST_STATEMENTS = 200
SORTS = {
    "total": "total DESC",
    "runs": "runs DESC",
    "requests": "requests DESC",
    "mean": "mean DESC",
    "each": "most_each DESC",
}
STATEMENTS_SQL = f"""
SELECT q.fingerprint AS statement, sum(q.time) AS total, sum(q.count) AS runs,
       count(*) AS requests, sum(q.time) / sum(q.count) AS mean, max(q.count) AS most_each,
       argmax(q.line, q.count) AS line_of, argmax(resp_view, q.time) AS view_of,
       max(ts) AS last_seen
FROM events explode(db_top, q)
WHERE {IN_PERIOD}
GROUP BY statement ORDER BY
"""  # noqa: S608  made of constants only


def data(query: Query, sources: Sources) -> Data:
    """A row for each statement that was among the costliest of a request."""
    order = SORTS[query.get("sort") or "total"]
    text = f"{STATEMENTS_SQL} {order}, statement LIMIT {MOST_STATEMENTS + 1}"
    rows = sources.store().sql(text, query.bounds()).objects()
    return {
        "rows": rows[:MOST_STATEMENTS],
        "more": len(rows) > MOST_STATEMENTS,
        "most": max((row["total"] or 0.0 for row in rows), default=0.0),
        "command": command(query, sources, "ask", "sql"),
    }


PAGE = Page(
    "sql",
    "SQL",
    "Statements by their shape, without values. Only the costliest of each request are recorded.",
    data,
    {"sort": one_of(*SORTS, label="sort by")},
)
