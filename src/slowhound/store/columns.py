"""The columns of ``events`` in both engines, made from ``fields.FIELDS``."""

from __future__ import annotations

import json

from slowhound.event.fields import FIELDS, Field

DUCKDB = {"str": "VARCHAR", "int": "BIGINT", "float": "DOUBLE", "bool": "BOOLEAN"}
DUCKDB |= {"dict": "JSON", "list": "JSON"}
CLICKHOUSE = {"str": "String", "int": "Int64", "float": "Float64", "bool": "Bool"}
CLICKHOUSE |= {"dict": "String", "list": "String"}
# What identifies an event, and is in each: not nullable, so that ClickHouse can sort by it.
ALWAYS = ("event_type", "ts", "host", "pid")
LATEST = 2**33  # the year 2242; a moment beyond it is damage, and no date can be made of it
# Of a line that is an event, and not torn; DuckDB's JSON has NaN, which is more than any number.
IS_EVENT = f"(event_type IS NOT NULL AND ts >= 0 AND ts < {LATEST})"
# Texts of which nearly each event has another; ClickHouse keeps a dictionary of all others.
MANIFOLD = {
    *("req_id", "req_path", "req_referrer", "req_query_keys", "exc_msg", "task_id", "report"),
    *("timeout_stack", "crash_stack"),
}
# Lists whose elements have columns; other lists and dicts are JSON as text.
LISTS = {
    "db_top": {"fingerprint": "str", "count": "int", "time": "float", "line": "str"},
}


def duckdb_types() -> dict[str, str]:
    """Each column's type in DuckDB, in the order of the table."""
    return {field.name: _duckdb(field) for field in FIELDS} | {
        "segment": "VARCHAR",
        "app": "MAP(VARCHAR, VARCHAR)",
    }


def _duckdb(field: Field) -> str:
    if field.name not in LISTS:
        return DUCKDB[field.type]
    parts = ", ".join(f'"{name}" {DUCKDB[kind]}' for name, kind in LISTS[field.name].items())
    return f"STRUCT({parts})[]"


def json_structure() -> str:
    """What ``json_transform`` is told about an event: the same types, as JSON."""
    structure = {
        field.name: [{name: DUCKDB[kind] for name, kind in LISTS[field.name].items()}]
        if field.name in LISTS
        else DUCKDB[field.type]
        for field in FIELDS
    }
    return json.dumps(structure)


def clickhouse_types() -> dict[str, str]:
    """Each column's type in ClickHouse, in the order of the table."""
    return {field.name: _clickhouse(field) for field in FIELDS} | {
        "segment": "LowCardinality(String)",
        "app": "Map(LowCardinality(String), Nullable(String))",
    }


def _clickhouse(field: Field) -> str:
    if field.name in LISTS:
        parts = ", ".join(
            f"{name} {CLICKHOUSE[kind]}" if kind != "str" else f"{name} Nullable(String)"
            for name, kind in LISTS[field.name].items()
        )
        return f"Array(Tuple({parts}))"
    kind = CLICKHOUSE[field.type]
    if field.name not in ALWAYS:
        kind = f"Nullable({kind})"
    few = field.type == "str" and field.name not in MANIFOLD
    return f"LowCardinality({kind})" if few else kind
