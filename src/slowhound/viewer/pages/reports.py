"""The page of slow reports, grouped by cause."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from slowhound.store.questions.question import IN_PERIOD
from slowhound.viewer.pages.shared import buckets, command, span, spread
from slowhound.viewer.query import Query, one_of
from slowhound.viewer.responses import Data, Page
from slowhound.viewer.sources import Sources

MOST_GROUPS = 200
BARS = 32
SORTS = {
    "last": "last_seen DESC",
    "first": "first_seen DESC",
    "n": "n DESC",
    "slowest": "slowest DESC",
}
GROUPS_SQL = f"""
SELECT slow_fingerprint, count(*) AS n, min(ts) AS first_seen, max(ts) AS last_seen,
       max(resp_time) AS slowest, argmax(resp_view, ts) AS view_name,
       argmax(task_name, ts) AS task, argmax(slow_loc, ts) AS loc,
       argmax(slow_verdict, ts) AS verdict, argmax(report, ts) AS newest_report,
       countif(slow_verdict = 'stuck') AS stuck
FROM events WHERE {IN_PERIOD} AND event_type = 'slow' AND slow_fingerprint IS NOT NULL
GROUP BY slow_fingerprint ORDER BY
"""  # noqa: S608  made of constants only
COUNTS_SQL = f"""
SELECT slow_fingerprint, floor(ts / $step) * $step AS bucket, count(*) AS n
FROM events WHERE {IN_PERIOD} AND event_type = 'slow' AND slow_fingerprint IS NOT NULL
GROUP BY slow_fingerprint, bucket
"""  # noqa: S608


def data(query: Query, sources: Sources) -> Data:
    """A row for each group; ``counts`` are its reports over the period."""
    store = sources.store()
    order = SORTS[query.get("sort") or "last"]
    text = f"{GROUPS_SQL} {order}, slow_fingerprint LIMIT {MOST_GROUPS + 1}"
    rows = store.sql(text, query.bounds()).objects()
    more, rows = len(rows) > MOST_GROUPS, rows[:MOST_GROUPS]
    if rows:
        start, end = span(
            query,
            min(row["first_seen"] for row in rows),
            max(row["last_seen"] for row in rows),
        )
        step = (end - start) / BARS
        counted: dict[str, dict[float, int]] = {}
        for name, at, n in store.sql(COUNTS_SQL, {**query.bounds(), "step": step}).rows:
            counted.setdefault(name, {})[round(at / step)] = n
        _add_counts(rows, counted, [round(at / step) for at in buckets(start, end, step)])
    # The command has no --until.
    same = command(replace(query, until=None), sources, "reports")
    return {"rows": rows, "more": more, "command": same}


def _add_counts(
    rows: list[dict[str, Any]], counted: dict[str, dict[float, int]], at: list[int]
) -> None:
    for row in rows:
        row["counts"] = spread(counted.get(row["slow_fingerprint"], {}), [*map(float, at)])


def extras(query: Query, data: Data) -> Data:
    """What a screen reader says in place of the small bars."""
    for row in data["rows"]:
        row["counts_label"] = (
            f"{row['n']} reports over the period, at most {max(row['counts'])} at once"
        )
    return {}


PAGE = Page(
    "reports",
    "Reports",
    "Slow requests, reported while they ran, grouped by cause.",
    data,
    {"sort": one_of(*SORTS, label="sort by")},
    extras=extras,
)
