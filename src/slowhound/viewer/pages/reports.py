"""Slow reports in groups: what has one cause stands together."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from slowhound.store.questions.question import WITHIN
from slowhound.viewer.pages.shared import buckets, command, span, spread
from slowhound.viewer.query import Asked, chosen
from slowhound.viewer.responses import Data, Page
from slowhound.viewer.sources import Where

MOST = 200
STEPS = 32
SORTS = {
    "last": "last_seen DESC",
    "first": "first_seen DESC",
    "n": "n DESC",
    "slowest": "slowest DESC",
}
GROUPS = f"""
SELECT slow_fingerprint, count(*) AS n, min(ts) AS first_seen, max(ts) AS last_seen,
       max(resp_time) AS slowest, argmax(resp_view, ts) AS view_name,
       argmax(task_name, ts) AS task, argmax(slow_loc, ts) AS loc,
       argmax(slow_verdict, ts) AS verdict, argmax(report, ts) AS newest_report,
       countif(slow_verdict = 'stuck') AS stuck
FROM events WHERE {WITHIN} AND event_type = 'slow' AND slow_fingerprint IS NOT NULL
GROUP BY slow_fingerprint ORDER BY
"""  # noqa: S608  constants of ours
OVER_TIME = f"""
SELECT slow_fingerprint, floor(ts / $step) * $step AS bucket, count(*) AS n
FROM events WHERE {WITHIN} AND event_type = 'slow' AND slow_fingerprint IS NOT NULL
GROUP BY slow_fingerprint, bucket
"""  # noqa: S608


def data(asked: Asked, where: Where) -> Data:
    """A row for each group; ``counts`` are its reports over the period."""
    source = where.source()
    order = SORTS[asked.get("sort") or "last"]
    text = f"{GROUPS} {order}, slow_fingerprint LIMIT {MOST + 1}"
    rows = source.sql(text, asked.bounds()).objects()
    more, rows = len(rows) > MOST, rows[:MOST]
    if rows:
        start, end = span(
            asked,
            min(row["first_seen"] for row in rows),
            max(row["last_seen"] for row in rows),
        )
        step = (end - start) / STEPS
        counted: dict[str, dict[float, int]] = {}
        for name, at, n in source.sql(OVER_TIME, {**asked.bounds(), "step": step}).rows:
            counted.setdefault(name, {})[round(at / step)] = n
        _add_counts(rows, counted, [round(at / step) for at in buckets(start, end, step)])
    printed = command(replace(asked, until=None), where, "reports")  # it knows no end
    return {"rows": rows, "more": more, "command": printed}


def _add_counts(
    rows: list[dict[str, Any]], counted: dict[str, dict[float, int]], at: list[int]
) -> None:
    for row in rows:
        row["counts"] = spread(counted.get(row["slow_fingerprint"], {}), [*map(float, at)])


def extras(asked: Asked, data: Data) -> Data:
    """What a reader of the screen hears in the place of the small bars."""
    for row in data["rows"]:
        row["said"] = f"{row['n']} reports over the period, at most {max(row['counts'])} at once"
    return {}


PAGE = Page(
    "reports",
    "Reports",
    "Slow requests, reported while they ran; those with one cause in one group.",
    data,
    {"sort": chosen(*SORTS, label="sort by")},
    extras=extras,
)
