"""SQL, periods and texts that several pages use."""

from __future__ import annotations

import math
import shlex
from typing import Any

from slowhound.runtime.durations import parse_duration
from slowhound.store.questions.question import HAS_FAILED, IS_ENDED_REQUEST, STANDS_FOR
from slowhound.viewer.query import Query
from slowhound.viewer.sources import Sources

ENDED_REQUEST = f"({IS_ENDED_REQUEST})"
ERROR_COUNT_SQL = f"countif({ENDED_REQUEST} AND {HAS_FAILED})"
# How many requests these are: with SAMPLING a kept event stands for several.
STANDS_FOR_REQUESTS = f"CASE WHEN {ENDED_REQUEST} THEN {STANDS_FOR} END"
ENDED_REQUEST_COUNT_SQL = f"floor(coalesce(sum({STANDS_FOR_REQUESTS}), 0.0) + 0.5)"
# The last terms of each order, so that pages and both engines agree on the order of equal rows.
NEWEST = "ts DESC, req_id, event_type, host, pid, seq"
ROUND_STEPS = (1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 21600, 43200, 86400)
MOST_BUCKETS = 90


def command(query: Query, sources: Sources, *arguments: str, period: bool = True) -> str:
    """The command that prints the same; ``period`` is False for one without ``--since``."""
    parts = ["slowhound", *arguments]
    if period and query.since is not None:
        parts.append(f"--since={_time_argument(query.period, query.since)}")
    if period and query.until is not None:
        parts.append(f"--until={_time_argument(query.given['until'], query.until)}")
    parts.append(f"--from={sources.store_name}" if sources.is_fleet else f"--dir={sources.dir}")
    return shlex.join(parts)


def why_not_here(sources: Sources, host: str, cap: str) -> str:
    """Why a file that an event names is not here: events are shipped, files are not."""
    if sources.is_fleet:
        return (
            f"Its file is not here: files stay on the host that wrote them, {host}, where"
            f" `slowhound view` shows it until newer files replace it ({cap})."
        )
    return (
        f"Its file is not here. It was removed for newer ones ({cap}), or it is on the host"
        " that wrote it."
    )


def of_request(query: Query, sources: Sources, req_id: str) -> str:
    """The command that prints what was recorded of one request."""
    arguments = ("ask", "request", f"id={req_id}") if sources.is_fleet else ("report", req_id)
    return command(query, sources, *arguments, period=False)


def _time_argument(given: str, moment: float) -> str:
    """A time as an argument of a command, where dates are local time; here they are UTC."""
    return given if parse_duration(given) is not None else f"{moment:.0f}"


def span(query: Query, oldest: float, newest: float) -> tuple[float, float]:
    """The part of the period that charts show: from the first event to the period's end."""
    start = max(query.since or 0.0, oldest)
    end = query.until or max(query.now, newest)
    return start, max(end, start + 1.0)


def step_of(start: float, end: float) -> float:
    """The width of a bucket: a round number, so large that there are at most ``MOST_BUCKETS``."""
    wanted = (end - start) / MOST_BUCKETS
    found = next((each for each in ROUND_STEPS if each >= wanted), None)
    return float(found or math.ceil(wanted / 86400) * 86400)


def buckets(start: float, end: float, step: float) -> list[float]:
    """The start of each bucket of a period."""
    first = math.floor(start / step)
    return [(first + each) * step for each in range(math.floor(end / step) - first + 1)]


def spread(found: dict[float, Any], at: list[float], missing: Any = 0) -> list[Any]:
    """A value for each bucket."""
    return [found.get(each, missing) for each in at]
