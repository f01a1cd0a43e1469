"""The table in ClickHouse: made from ``fields.FIELDS``, and brought up to it later."""

from __future__ import annotations

from typing import Any

from slowhound.store.answer import StoreError
from slowhound.store.clickhouse import KEY, Target, said
from slowhound.store.columns import clickhouse_types

KEEP_DAYS = 30


def create_table(table: str, keep_days: int = KEEP_DAYS) -> str:
    """The statement that makes it; a partition is a day, so that old ones go at once."""
    columns = ",\n".join(
        f"  `{name}` {kind} CODEC(ZSTD(1))" for name, kind in clickhouse_types().items()
    )
    return (
        f"CREATE TABLE IF NOT EXISTS {table} (\n{columns}\n)\n"
        "ENGINE = ReplacingMergeTree\n"
        "PARTITION BY toDate(toDateTime(ts))\n"
        f"ORDER BY {KEY}\n"
        f"TTL toDateTime(ts) + INTERVAL {keep_days} DAY"
    )


def migrate(client: Any, target: Target, keep_days: int = KEEP_DAYS) -> list[str]:
    """Makes the table, or adds the columns that it does not have; returns their names.

    Raises:
        StoreError: the user may not, or the engine is another one.
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
        raise StoreError(f"{target.name}: {said(exc)}") from exc
    if engine and "Replacing" not in engine[0][0]:
        raise StoreError(f"{table} is a {engine[0][0]}; events need a ReplacingMergeTree")
    return list(missing)
