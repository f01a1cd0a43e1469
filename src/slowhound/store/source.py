"""What is common to the two sources of events: the local files, and a table in ClickHouse."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any

from slowhound.store.answer import Answer, Health
from slowhound.store.questions import bound


class Source(ABC):
    """Answers named questions and SQL. Safe to use from several threads at once."""

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
            limit: the maximum number of rows.
            parameters: the question's own.

        Raises:
            StoreError: no such question or parameter, or the store cannot answer.
        """
        named, values = bound(question, since, until, limit, parameters)
        # ClickHouse may return no column names where there are no rows.
        return self.sql(named.sql, values)._replace(columns=named.columns)

    @abstractmethod
    def sql(self, text: str, parameters: Mapping[str, Any] | None = None) -> Answer:
        """The answer to SQL of slowhound's: trusted, in ``dialect``, with ``$name`` bound.

        Raises:
            StoreError: the engine refused it.
        """

    @abstractmethod
    def adhoc(self, text: str, seconds: float = 10.0, rows: int = 1000) -> Answer:
        """The answer to ad-hoc SQL of a user: one SELECT over ``events`` and nothing else.

        It cannot read files, attach databases, write, change settings, or run for longer than
        ``seconds``. Rows beyond ``rows`` are left out, and a remark says so.

        Raises:
            StoreError: it is not such a SELECT, it took too long, or the engine refused it.
        """

    @abstractmethod
    def health(self) -> Health:
        """What is in the store. Never raises for a broken file: that is one of ``problems``."""

    @abstractmethod
    def close(self) -> None:
        """Releases what the source holds."""
