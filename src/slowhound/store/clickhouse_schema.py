"""Creates the table in ClickHouse from ``fields.FIELDS``, and adds missing columns later."""

from __future__ import annotations

from typing import Any

from slowhound.store.answer import StoreError
from slowhound.store.clickhouse import SORTING_KEY, Target, error_text
from slowhound.store.columns import clickhouse_types

KEEP_DAYS = 30


def create_table(table: str, keep_days: int = KEEP_DAYS) -> str:
    """The statement that creates the table; a partition is a day, so old days are cheap to drop."""
    columns = ",\n".join(
        f"  `{name}` {kind} CODEC(ZSTD(1))" for name, kind in clickhouse_types().items()
    )
    return (
        f"CREATE TABLE IF NOT EXISTS {table} (\n{columns}\n)\n"
        "ENGINE = ReplacingMergeTree\n"
        "PARTITION BY toDate(toDateTime(ts))\n"
        f"ORDER BY {SORTING_KEY}\n"
        f"TTL toDateTime(ts) + INTERVAL {keep_days} DAY"
    )


def migrate(client: Any, target: Target, keep_days: int = KEEP_DAYS) -> list[str]:
    """Creates the table, or adds the columns that it lacks; returns their names.

    Raises:
        StoreError: the user lacks the rights, or the table has another engine.
    """
    table = target.table
    try:
        client.command(create_table(table, keep_days))
        there = client.query(
            "SELECT name FROM system.columns WHERE database = currentDatabase()"
            " AND table = {name:String}",
            parameters={"name": table},
        ).result_rows
        missing = {
            name: kind for name, kind in clickhouse_types().items() if (name,) not in set(there)
        }
        if missing:
            added = ", ".join(
                f"ADD COLUMN IF NOT EXISTS `{name}` {kind} CODEC(ZSTD(1))"
                for name, kind in missing.items()
            )
            client.command(f"ALTER TABLE {table} {added}")
        engine = client.query(
            "SELECT engine FROM system.tables WHERE database = currentDatabase()"
            " AND name = {name:String}",
            parameters={"name": table},
        ).result_rows
    except Exception as exc:
        raise StoreError(f"{target.name}: {error_text(exc)}") from exc
    if engine and "Replacing" not in engine[0][0]:
        raise StoreError(f"{table} is a {engine[0][0]}; events need a ReplacingMergeTree")
    return list(missing)
