"""The columns of ``events`` in both engines, generated from ``fields.FIELDS``."""

from __future__ import annotations

import json

from slowhound.event.fields import FIELDS, Field

DUCKDB_TYPES = {"str": "VARCHAR", "int": "BIGINT", "float": "DOUBLE", "bool": "BOOLEAN"}
DUCKDB_TYPES |= {"dict": "JSON", "list": "JSON"}
CLICKHOUSE_TYPES = {"str": "String", "int": "Int64", "float": "Float64", "bool": "Bool"}
CLICKHOUSE_TYPES |= {"dict": "String", "list": "String"}
# These identify an event, and every event has them: not nullable, so ClickHouse can sort by them.
REQUIRED = ("event_type", "ts", "host", "pid")
LATEST_TIME = 2**33  # the year 2242; a later time is damage, and cannot become a date
# True for a line that is an event and not torn; DuckDB's JSON has NaN, larger than any number.
IS_EVENT = f"(event_type IS NOT NULL AND ts >= 0 AND ts < {LATEST_TIME})"
# Texts that differ from event to event; ClickHouse stores all others in a dictionary.
HIGH_CARDINALITY = {
    *("req_id", "req_path", "req_referrer", "req_query_keys", "exc_msg", "task_id", "report"),
    *("timeout_stack", "crash_stack"),
}
# Lists whose elements have columns; other lists and dicts are JSON as text.
LIST_COLUMNS = {
    "db_top": {"fingerprint": "str", "count": "int", "time": "float", "line": "str"},
}


def duckdb_types() -> dict[str, str]:
    """Each column's type in DuckDB, in the order of the table."""
    return {field.name: _duckdb(field) for field in FIELDS} | {
        "segment": "VARCHAR",
        "app": "MAP(VARCHAR, VARCHAR)",
    }


def _duckdb(field: Field) -> str:
    if field.name not in LIST_COLUMNS:
        return DUCKDB_TYPES[field.type]
    parts = ", ".join(
        f'"{name}" {DUCKDB_TYPES[kind]}' for name, kind in LIST_COLUMNS[field.name].items()
    )
    return f"STRUCT({parts})[]"


def json_structure() -> str:
    """The structure of an event for DuckDB's ``json_transform``: the same types, as JSON."""
    structure = {
        field.name: [{name: DUCKDB_TYPES[kind] for name, kind in LIST_COLUMNS[field.name].items()}]
        if field.name in LIST_COLUMNS
        else DUCKDB_TYPES[field.type]
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
    if field.name in LIST_COLUMNS:
        parts = ", ".join(
            f"{name} {CLICKHOUSE_TYPES[kind]}" if kind != "str" else f"{name} Nullable(String)"
            for name, kind in LIST_COLUMNS[field.name].items()
        )
        return f"Array(Tuple({parts}))"
    kind = CLICKHOUSE_TYPES[field.type]
    if field.name not in REQUIRED:
        kind = f"Nullable({kind})"
    few = field.type == "str" and field.name not in HIGH_CARDINALITY
    return f"LowCardinality({kind})" if few else kind
