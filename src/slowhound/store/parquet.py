"""Reads Parquet files: the segments that one was made of, and its columns as those of ``events``.

Other programs may put files into ``DIR``, and another version of slowhound has other columns. One
column of another type would make every query fail, or change the type, and so the values, of all
other files. So each known column is cast to its own type, and values that do not fit become NULL,
as in a segment; unknown columns whose types differ from file to file become text.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping
from typing import TYPE_CHECKING, NamedTuple

from slowhound.store.broken import as_unreadable
from slowhound.store.columns import duckdb_types

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

SEGMENTS_KEY = "slowhound.segments"
TORN_KEY = "slowhound.torn"
_COLUMN_TYPES = duckdb_types()
# To DuckDB names that differ only in case are the same.
_COLUMN_NAMES = {name.lower(): name for name in _COLUMN_TYPES}

# Else DuckDB would make a column of a folder whose name is like ``host=web1``.
NO_HIVE_COLUMNS = "hive_partitioning = false"
_WILDCARDS = re.compile(r"[\[*?]")

Columns = tuple[tuple[str, str], ...]  # name and type


class ParquetInfo(NamedTuple):
    """What a Parquet file was made of."""

    segments: frozenset[str]
    torn: int
    columns: Columns


def parquet_info(connection: DuckDBPyConnection, path: str) -> ParquetInfo:
    """What this Parquet file was made of.

    Raises:
        UnreadableError: it cannot be read.
    """
    with as_unreadable():
        found = connection.execute(
            f"SELECT key::VARCHAR, value::VARCHAR FROM parquet_kv_metadata({text(exactly(path))})"
        ).fetchall()
        columns = connection.execute(
            "SELECT column_name, column_type"
            f" FROM (DESCRIBE SELECT * FROM read_parquet({names([path])}, {NO_HIVE_COLUMNS}))"
        ).fetchall()
    values: dict[str, str] = dict(found)
    torn = values.get(TORN_KEY, "")
    return ParquetInfo(
        frozenset(values.get(SEGMENTS_KEY, "").split(",")),
        int(torn) if torn.isdecimal() else 0,
        tuple((name, kind) for name, kind in columns),
    )


def read_parquet(files: Mapping[str, Columns]) -> Iterator[str]:
    """SQL that reads these files, one ``SELECT`` for all that have the same columns."""
    alike: dict[Columns, list[str]] = {}
    kinds: dict[str, set[str]] = {}
    for path, columns in files.items():
        ours = all(_is_ours(name, kind) for name, kind in columns)
        # Most files were written by slowhound, perhaps with fewer columns: they are one group.
        alike.setdefault(() if ours else columns, []).append(path)
        for name, kind in columns:
            kinds.setdefault(name.lower(), set()).add(kind)
    differing = {name for name, found in kinds.items() if len(found) > 1}
    for columns, paths in alike.items():
        wanted = ", ".join(_column(*each, differing) for each in columns) or "*"
        options = f"union_by_name=true, {NO_HIVE_COLUMNS}"
        yield f"SELECT {wanted} FROM read_parquet({names(paths)}, {options})"


def _is_ours(name: str, kind: str) -> bool:
    # DuckDB does not quote names that need no quotes.
    return name in _COLUMN_TYPES and _COLUMN_TYPES[name].replace('"', "") == kind.replace('"', "")


def _column(name: str, kind: str, differing: Collection[str]) -> str:
    given = identifier(name)
    ours = _COLUMN_NAMES.get(name.lower())
    if ours is not None:
        return (
            given
            if _is_ours(name, kind)
            else f'TRY_CAST({given} AS {_COLUMN_TYPES[ours]}) AS "{ours}"'
        )
    return f"TRY_CAST({given} AS VARCHAR) AS {given}" if name.lower() in differing else given


def quoted(paths: Collection[str]) -> str:
    """A list of texts as SQL."""
    return "[" + ", ".join(text(path) for path in paths) + "]"


def names(paths: Collection[str]) -> str:
    """A list of files to read as SQL."""
    return quoted([exactly(path) for path in paths])


def exactly(path: str) -> str:
    """The path as a pattern that matches only itself: a folder may be called ``shop[1]``."""
    return _WILDCARDS.sub(r"[\g<0>]", path)


def text(value: str) -> str:
    """A text as SQL."""
    return "'" + value.replace("'", "''") + "'"


def identifier(name: str) -> str:
    """A name as SQL."""
    return '"' + name.replace('"', '""') + '"'
