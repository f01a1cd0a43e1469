"""Where events are asked for: one interface over the local files and over ClickHouse.

``open_source`` gives a ``Source``. Both engines have one table, ``events``: a column for each field
of ``event/fields.py``, ``segment`` (the file it was written to), and ``app``, a map from the names
of the application's own fields (``app_plan``) to their values as text.

SQL is written once, in what the two engines share, and with the few words that ``shim`` turns into
each one's own; see there for the rules.
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
        StoreError: its library is not installed, or nobody answers there.
    """
    if spec.startswith(CLICKHOUSE_SCHEMES):
        from slowhound.store.clickhouse import ClickHouse

        return ClickHouse(spec)
    from slowhound.store.duckdb import LocalFiles

    return LocalFiles(spec)
