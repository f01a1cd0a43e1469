"""What several pages ask with."""

from __future__ import annotations

import math
import shlex
from typing import Any

from slowhound.runtime.durations import parse_duration
from slowhound.store.questions.question import FAILED, STANDS_FOR
from slowhound.viewer.query import Asked
from slowhound.viewer.sources import Where

# The events of which each request has exactly one.
ENDED = "(event_type IN ('request', 'timeout', 'crash') AND task_name IS NULL)"
ERRORS = f"countif({ENDED} AND {FAILED})"
# How many requests these are: under SAMPLING a kept event stands for several.
KEPT = f"CASE WHEN {ENDED} THEN {STANDS_FOR} END"
REQUESTS = f"floor(coalesce(sum({KEPT}), 0.0) + 0.5)"
# The end of an order: pages and both engines must agree on which of two comes first.
NEWEST = "ts DESC, req_id, event_type, host, pid, seq"
NICE = (1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 21600, 43200, 86400)
MOST_STEPS = 90


def command(asked: Asked, where: Where, *words: str, period: bool = True) -> str:
    """The command that prints the same; ``period`` is False for one that knows none."""
    parts = ["slowhound", *words]
    if period and asked.since is not None:
        parts.append(f"--since={_word(asked.period, asked.since)}")
    if period and asked.until is not None:
        parts.append(f"--until={_word(asked.given['until'], asked.until)}")
    parts.append(f"--from={where.shown}" if where.is_fleet else f"--dir={where.dir}")
    return shlex.join(parts)


def why_not_here(where: Where, host: str, cap: str) -> str:
    """Why a file that an event names is not here: events are shipped, files never are."""
    if where.is_fleet:
        return (
            f"Its file is not here: files stay on the host that wrote them, {host}, where"
            f" `slowhound view` shows it until it makes room for newer ones ({cap})."
        )
    return (
        f"Its file is not here. It may have made room for newer ones ({cap}), or it is on the host"
        " that wrote it."
    )


def of_request(asked: Asked, where: Where, req_id: str) -> str:
    """The command that prints what is known of one request."""
    words = ("ask", "request", f"id={req_id}") if where.is_fleet else ("report", req_id)
    return command(asked, where, *words, period=False)


def _word(given: str, moment: float) -> str:
    """A moment as the command line takes it: dates are local time there, and UTC here."""
    return given if parse_duration(given) is not None else f"{moment:.0f}"


def span(asked: Asked, oldest: float, newest: float) -> tuple[float, float]:
    """The part of the period that is worth drawing: from the first event on, up to its end."""
    start = max(asked.since or 0.0, oldest)
    end = asked.until or max(asked.now, newest)
    return start, max(end, start + 1.0)


def step_of(start: float, end: float) -> float:
    """The width of a bucket, so that there are at most ``MOST_STEPS``; a number one can name."""
    wanted = (end - start) / MOST_STEPS
    found = next((each for each in NICE if each >= wanted), None)
    return float(found or math.ceil(wanted / 86400) * 86400)


def buckets(start: float, end: float, step: float) -> list[float]:
    """The beginning of each bucket of a period."""
    first = math.floor(start / step)
    return [(first + each) * step for each in range(math.floor(end / step) - first + 1)]


def spread(found: dict[float, Any], at: list[float], missing: Any = 0) -> list[Any]:
    """A value for each bucket."""
    return [found.get(each, missing) for each in at]
