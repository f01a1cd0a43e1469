"""What a question is, and the conditions that many have in common."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, NamedTuple


class Parameter(NamedTuple):
    """A value that a question can be asked with; its default None: it must be given."""

    default: Any
    type: type
    meaning: str


class Question(NamedTuple):
    """One question, its SQL and what the answer means."""

    name: str
    title: str
    text: str  # what it tells, and what to do with it; plain Markdown
    columns: tuple[str, ...]
    sql: str
    parameters: Mapping[str, Parameter] = MappingProxyType({})


WITHIN = "ts >= $since AND ts < $until"
# Each request has exactly one of these.
ENDED = f"event_type IN ('request', 'timeout', 'crash') AND task_name IS NULL\n  AND {WITHIN}"
FAILED = "resp_outcome IN ('error', 'timeout', 'killed')"
# Under SAMPLING a kept event stands for several; without it this is a plain count. A rate that none
# can be, of a damaged line, would make infinity of all sums.
STANDS_FOR = (
    "CASE WHEN sample_rate > 1e-9 AND sample_rate < 1.0 THEN 1.0 / sample_rate ELSE 1.0 END"
)
NUMBER = f"CAST(floor(sum({STANDS_FOR}) + 0.5) AS BIGINT)"

STEP = {"step": Parameter(60.0, float, "seconds of one row")}
SECONDS = " Times are seconds."
