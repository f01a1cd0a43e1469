"""Opens the source of events that a specification names: the local files, or ClickHouse.

This module only has ``open_source``; it imports an engine when that is needed. Both sources have
one table, ``events``: a column for each field of ``event/fields.py``, ``segment`` (the file that
the event was written to), and ``app``, a map from the names of the application's own fields
(``app_plan``) to their values as text. SQL is written once for both, see ``dialect``.
"""

from __future__ import annotations

from slowhound.store.source import Source

CLICKHOUSE_SCHEMES = ("clickhouse://", "clickhouses://", "chdb://")


def open_source(spec: str) -> Source:
    """The source that ``spec`` names.

    Args:
        spec: the path of ``DIR``; or ``clickhouse://user:password@host:8123/database?table=events``
            (``clickhouses://`` for TLS); or ``chdb://``, ClickHouse within this process, for tests.

    Raises:
        StoreError: its library is not installed, or the server does not answer.
    """
    if spec.startswith(CLICKHOUSE_SCHEMES):
        from slowhound.store.clickhouse import ClickHouse

        return ClickHouse(spec)
    from slowhound.store.duckdb import LocalFiles

    return LocalFiles(spec)
