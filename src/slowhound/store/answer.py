"""What a source of events answers with, and how it fails."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple, Protocol


class StoreError(Exception):
    """The store cannot answer; the text is for people and says what to do."""


class Answer(NamedTuple):
    """A table: names of columns, and rows in their order. Seconds are floats.

    ``notes`` say what a reader should know: torn lines, rows left out, a question's own remarks.
    """

    columns: tuple[str, ...]
    rows: list[tuple[Any, ...]]
    notes: tuple[str, ...] = ()

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


class Source(Protocol):
    """Something that answers. Safe to use from several threads at once."""

    def ask(
        self,
        question: str,
        *,
        since: float | None = None,
        until: float | None = None,
        limit: int = 50,
        **parameters: Any,
    ) -> Answer:
        """The answer to a named question, see ``questions``.

        Args:
            question: its name.
            since: events from then on, seconds since 1970; None: all.
            until: events before then; None: all.
            limit: rows, at most.
            parameters: the question's own.

        Raises:
            StoreError: no such question or parameter, or the store cannot answer.
        """

    def sql(self, text: str, parameters: Mapping[str, Any] | None = None) -> Answer:
        """The answer to SQL of ours: trusted text, with the shim's words and ``$name`` bound.

        Raises:
            StoreError: the engine refused it.
        """

    def adhoc(self, text: str, seconds: float = 10.0, rows: int = 1000) -> Answer:
        """The answer to a person's SQL: one SELECT over ``events`` and nothing else.

        It cannot read files, attach, write, change settings, or run for longer than ``seconds``;
        rows beyond ``rows`` are left out, and a note says so.

        Raises:
            StoreError: it is not such a SELECT, it took too long, or the engine refused it.
        """

    def health(self) -> Health:
        """What is there. Never raises for a broken file: ``problems`` say it."""

    def close(self) -> None:
        """Gives back what the source holds."""


LONGEST = 10_000  # characters of a text in an answer to a person's SQL


def plain(row: Sequence[Any]) -> tuple[Any, ...]:
    """A row without what JSON does not have: of no rows ClickHouse says NaN, DuckDB NULL."""
    return tuple(
        None if isinstance(each, float) and not math.isfinite(each) else each for each in row
    )
