"""Statements by their shape: which of them cost the most, and which line runs them."""

from __future__ import annotations

from slowhound.store.questions.question import WITHIN
from slowhound.viewer.pages.shared import command
from slowhound.viewer.query import Asked, chosen
from slowhound.viewer.responses import Data, Page
from slowhound.viewer.sources import Where

MOST = 200
SORTS = {
    "total": "total DESC",
    "runs": "runs DESC",
    "requests": "requests DESC",
    "mean": "mean DESC",
    "each": "most_each DESC",
}
STATEMENTS = f"""
SELECT q.fingerprint AS statement, sum(q.time) AS total, sum(q.count) AS runs,
       count(*) AS requests, sum(q.time) / sum(q.count) AS mean, max(q.count) AS most_each,
       argmax(q.line, q.count) AS line_of, argmax(resp_view, q.time) AS view_of,
       max(ts) AS last_seen
FROM events explode(db_top, q)
WHERE {WITHIN}
GROUP BY statement ORDER BY
"""  # noqa: S608  constants of ours


def data(asked: Asked, where: Where) -> Data:
    """A row for each statement that was among a request's costliest."""
    order = SORTS[asked.get("sort") or "total"]
    text = f"{STATEMENTS} {order}, statement LIMIT {MOST + 1}"
    rows = where.source().sql(text, asked.bounds()).objects()
    return {
        "rows": rows[:MOST],
        "more": len(rows) > MOST,
        "most": max((row["total"] or 0.0 for row in rows), default=0.0),
        "command": command(asked, where, "ask", "sql"),
    }


PAGE = Page(
    "sql",
    "SQL",
    "Statements by their shape, without values: each request keeps its costliest.",
    data,
    {"sort": chosen(*SORTS, label="sort by")},
)
