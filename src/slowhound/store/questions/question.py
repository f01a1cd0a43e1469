"""The type of a question, and the conditions that many of them share."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, NamedTuple


class Parameter(NamedTuple):
    """A parameter of a question; with a default of None it is required."""

    default: Any
    type: type
    meaning: str


class Question(NamedTuple):
    """One question, its SQL and the meaning of its answer."""

    name: str
    title: str
    text: str  # what the answer means and what to do with it; Markdown
    columns: tuple[str, ...]
    sql: str
    parameters: Mapping[str, Parameter] = MappingProxyType({})


IN_PERIOD = "ts >= $since AND ts < $until"
# Each request has exactly one of these events.
IS_ENDED_REQUEST = "event_type IN ('request', 'timeout', 'crash') AND task_name IS NULL"
ENDED_REQUESTS = f"{IS_ENDED_REQUEST}\n  AND {IN_PERIOD}"
HAS_FAILED = "resp_outcome IN ('error', 'timeout', 'killed')"
# With SAMPLING a kept event stands for several; without it this is a count. An impossible rate of
# a damaged line would make all sums infinite.
STANDS_FOR = (
    "CASE WHEN sample_rate > 1e-9 AND sample_rate < 1.0 THEN 1.0 / sample_rate ELSE 1.0 END"
)
REQUEST_COUNT = f"CAST(floor(sum({STANDS_FOR}) + 0.5) AS BIGINT)"

STEP_PARAMETER = {"step": Parameter(60.0, float, "seconds of one row")}
IN_SECONDS = " Times are seconds."
