"""What a source of events answers with, and how it fails."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, NamedTuple


class StoreError(Exception):
    """The store cannot answer; the text is for people and says what to do."""


class Answer(NamedTuple):
    """A table: names of columns, and rows in their order. Seconds are floats.

    ``remarks`` are for the reader: files that could not be read, rows that were left out.
    """

    columns: tuple[str, ...]
    rows: list[tuple[Any, ...]]
    remarks: tuple[str, ...] = ()

    def objects(self) -> list[dict[str, Any]]:
        """The rows by the names of their columns."""
        return [dict(zip(self.columns, row, strict=True)) for row in self.rows]


class Health(NamedTuple):
    """What is in the store, and what of it could not be read."""

    events: int
    files: int
    bytes: int
    torn: int  # lines that were cut short, and left out
    oldest: float | None  # seconds since 1970
    newest: float | None
    problems: tuple[str, ...]


LONGEST = 10_000  # characters of a text in an answer to a person's SQL


def plain(row: Sequence[Any]) -> tuple[Any, ...]:
    """A row without what JSON does not have: of no rows ClickHouse says NaN, DuckDB NULL."""
    return tuple(
        None if isinstance(each, float) and not math.isfinite(each) else each for each in row
    )
