"""The view ``events`` over files, in a database of DuckDB's."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from slowhound.event.fields import FIELDS
from slowhound.store.columns import IS_EVENT, duckdb_types
from slowhound.store.dialect import DUCKDB_MACROS
from slowhound.store.event_files import Files, name_of, read_segments
from slowhound.store.parquet import Inside, read_parquet

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

KNOWN = [field.name for field in FIELDS]


def make_views(connection: DuckDBPyConnection, files: Files, held: Callable[[str], Inside]) -> None:
    """Makes ``every_line``, ``events`` and the shim's macros; ``held`` as in ``files.compact``."""
    # No row, but each column and its type: files of another version have others.
    columns = ", ".join(f'NULL::{kind} AS "{name}"' for name, kind in duckdb_types().items())
    parts = [f"SELECT {columns} WHERE false"]
    found = {path: held(path) for path in files.parquet}
    parts += read_parquet({path: each.columns for path, each in found.items()})
    inside = {name for each in found.values() for name in each.segments}
    rest = [path for path in files.segments if name_of(path) not in inside]
    if rest:
        parts.append(read_segments(rest, KNOWN))
    connection.execute(
        f"CREATE OR REPLACE TEMP VIEW every_line AS {' UNION ALL BY NAME '.join(parts)};"
        "CREATE OR REPLACE TEMP VIEW events AS"
        f" SELECT * FROM every_line WHERE {IS_EVENT};"
        f"{DUCKDB_MACROS}"
    )
