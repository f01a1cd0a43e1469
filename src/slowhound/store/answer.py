"""The types of answers of the store, and its exception."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, NamedTuple


class StoreError(Exception):
    """The store cannot answer; the text is for people and includes what to do."""


class Answer(NamedTuple):
    """A table: names of columns, and rows in order. Seconds are floats.

    ``remarks`` are for the reader: files that could not be read, rows that were left out.
    """

    columns: tuple[str, ...]
    rows: list[tuple[Any, ...]]
    remarks: tuple[str, ...] = ()

    def objects(self) -> list[dict[str, Any]]:
        """The rows by the names of their columns."""
        return [dict(zip(self.columns, row, strict=True)) for row in self.rows]


class Health(NamedTuple):
    """What is in the store, and which files of it could not be read."""

    events: int
    files: int
    bytes: int
    torn: int  # lines that were cut short; they are left out
    oldest: float | None  # seconds since 1970
    newest: float | None
    problems: tuple[str, ...]


LONGEST_VALUE = 10_000  # characters of a text in an answer to ad-hoc SQL


def finite_row(row: Sequence[Any]) -> tuple[Any, ...]:
    """A row that JSON can hold: aggregates of no rows are NaN in ClickHouse, NULL in DuckDB."""
    return tuple(
        None if isinstance(each, float) and not math.isfinite(each) else each for each in row
    )
