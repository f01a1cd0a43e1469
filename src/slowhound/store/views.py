"""Makes the view ``events`` over files, in a DuckDB database."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from slowhound.store.columns import IS_EVENT, duckdb_types
from slowhound.store.dialect import DUCKDB_MACROS
from slowhound.store.event_files import EventFiles, name_of, read_segments
from slowhound.store.parquet import ParquetInfo, read_parquet

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection


def make_views(
    connection: DuckDBPyConnection, files: EventFiles, info_of: Callable[[str], ParquetInfo]
) -> None:
    """Makes the views ``every_line`` and ``events``, and the macros of ``dialect``.

    ``info_of`` returns what a Parquet file was made of.
    """
    # No rows, but all columns with their types: files of other versions may lack some.
    columns = ", ".join(f'NULL::{kind} AS "{name}"' for name, kind in duckdb_types().items())
    parts = [f"SELECT {columns} WHERE false"]
    found = {path: info_of(path) for path in files.parquet}
    parts += read_parquet({path: each.columns for path, each in found.items()})
    inside = {name for each in found.values() for name in each.segments}
    rest = [path for path in files.segments if name_of(path) not in inside]
    if rest:
        parts.append(read_segments(rest))
    connection.execute(
        f"CREATE OR REPLACE TEMP VIEW every_line AS {' UNION ALL BY NAME '.join(parts)};"
        "CREATE OR REPLACE TEMP VIEW events AS"
        f" SELECT * FROM every_line WHERE {IS_EVENT};"
        f"{DUCKDB_MACROS}"
    )
