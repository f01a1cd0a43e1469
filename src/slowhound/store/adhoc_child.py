"""The child process that runs ad-hoc SQL, see ``adhoc``: its limits and its result."""

from __future__ import annotations

import math
import os
import re
import resource
import sys
import threading
import time
from collections.abc import Sequence
from contextlib import suppress
from itertools import islice
from typing import TYPE_CHECKING, Any

import msgspec

from slowhound.runtime.clocks import clock
from slowhound.store.answer import LONGEST_VALUE, StoreError
from slowhound.store.broken import UnreadableError, as_unreadable
from slowhound.store.dialect import for_duckdb
from slowhound.store.event_files import EventFiles
from slowhound.store.parquet import parquet_info

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

# Bytes of memory of the whole process: Python and DuckDB themselves take 76 MB. They are checked
# every 5 ms, in which about 10 MB can be added.
RESIDENT_LIMIT, RESIDENT_MARGIN, MEMORY_CHECK_EVERY = 256 * 1024**2, 128 * 1024**2, 0.005
# And bytes that it may allocate beyond those that it has at the start; the kernel refuses more. It
# is larger than the former, because DuckDB's buffers take 32 MB for each thread, mostly unused.
DATA_LIMIT = 448 * 1024**2
# Bytes of an answer as it is sent; a page with it is about as large.
LARGEST_ANSWER = 8 * 1024**2
# Bytes that each value counts in addition to its encoding: `[]` is one byte there, 64 in Python.
VALUE_OVERHEAD = 16
MOST_COLUMNS = 2_000  # of an answer; events have about a hundred
# Members of a list in an answer, and levels of lists within lists.
MOST_MEMBERS, DEEPEST_LIST = 200, 4
CUT_MARK = "..."
ROWS_AT_ONCE = 20  # rows that are fetched at once
# Seconds after the interruption until the process ends, if DuckDB has not noticed it.
END_GRACE = 0.5
# Exit codes of a process that sent no result.
EXIT_TIME, EXIT_MEMORY = 76, 77
OUT_OF_MEMORY = re.compile(
    "out of memory|bad_alloc|failed to allocate|cannot allocate", re.IGNORECASE
)


class ChildResult(msgspec.Struct, array_like=True):
    """An answer, or the kind of error: ``failed`` is time, memory, files or question."""

    failed: str = ""
    text: str = ""
    columns: tuple[str, ...] = ()
    rows: list[tuple[Any, ...]] = []
    remarks: tuple[str, ...] = ()


def main(segments: list[str], parquet: list[str], text: str, seconds: float, rows: int) -> None:
    """Writes the result to standard output, and ends."""
    out = os.dup(1)
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    threading.Thread(target=_end_with, args=(int(sys.argv[1]),), daemon=True).start()
    try:
        found = _answer(EventFiles(tuple(segments), tuple(parquet)), text, seconds, rows)
        data = msgspec.msgpack.encode(found)
    except MemoryError:
        os._exit(EXIT_MEMORY)
    with open(out, "wb") as file:
        file.write(data)
    os._exit(0)  # without waiting for threads of DuckDB


def _end_after(seconds: float) -> None:
    time.sleep(seconds)
    os._exit(EXIT_TIME)


def _end_beyond(resident: int) -> None:
    while _resident() <= resident:
        time.sleep(MEMORY_CHECK_EVERY)
    os._exit(EXIT_MEMORY)


def _resident_limit() -> int:
    """Bytes; more than ``RESIDENT_LIMIT`` where Python and DuckDB need as much from the start."""
    return max(RESIDENT_LIMIT, _resident() + RESIDENT_MARGIN)


def _resident() -> int:
    """Bytes of memory of this process; 0 where that is not known."""
    with suppress(OSError), open("/proc/self/statm", "rb") as statm:
        return int(statm.read().split()[1]) * resource.getpagesize()
    return 0


def _end_with(pipe: int) -> None:
    os.read(pipe, 1)  # returns when the parent process ends: nothing is ever written
    os._exit(1)


def _answer(files: EventFiles, text: str, seconds: float, rows: int) -> ChildResult:
    try:
        return _run(files, text, seconds, rows)
    except MemoryError:
        return ChildResult("memory")
    except UnreadableError as exc:
        return ChildResult(
            "memory" if OUT_OF_MEMORY.search(str(exc)) else "files", str(exc)[:LONGEST_VALUE]
        )
    except StoreError as exc:
        return ChildResult("question", str(exc)[:LONGEST_VALUE])


def _run(files: EventFiles, text: str, seconds: float, rows: int) -> ChildResult:
    import duckdb

    from slowhound.store.connections import private_database, restrict, time_limited
    from slowhound.store.select_only import one_select
    from slowhound.store.views import make_views

    with as_unreadable(), private_database(duckdb) as connection:
        make_views(connection, files, lambda path: parquet_info(connection, path))
        restrict(connection, files)
        until = clock.monotonic() + seconds
        _set_limits(seconds)
        with time_limited(connection, seconds):
            wanted = for_duckdb(one_select(connection, text))
            done = connection.execute(wanted)
            return _fetch(done, rows, until)


def _set_limits(seconds: float) -> None:
    # DuckDB notices an interruption only between two of its steps, and one step may take hours.
    threading.Thread(target=_end_after, args=(seconds + END_GRACE,), daemon=True).start()
    threading.Thread(target=_end_beyond, args=(_resident_limit(),), daemon=True).start()
    cpu_seconds = math.ceil(seconds + END_GRACE) * (os.cpu_count() or 1) + 5
    # No file can grow, and no core is written. macOS has no limit of data.
    for kind, limit in (
        (resource.RLIMIT_CORE, 0),
        (resource.RLIMIT_FSIZE, 0),
        (resource.RLIMIT_CPU, cpu_seconds),
        (resource.RLIMIT_DATA, _allocated() + DATA_LIMIT),
    ):
        with suppress(OSError, ValueError):
            resource.setrlimit(kind, (limit, limit))


def _allocated() -> int:
    """Bytes of this process that ``RLIMIT_DATA`` counts."""
    with suppress(OSError), open("/proc/self/status", "rb") as status:
        for line in status:
            if line.startswith(b"VmData:"):
                return int(line.split()[1]) * 1024
    return 128 * 1024**2


def _fetch(done: DuckDBPyConnection, rows: int, until: float) -> ChildResult:
    columns = bounded_columns([each[0] for each in done.description or ()])
    found: list[tuple[Any, ...]] = []
    size = 0
    while part := done.fetchmany(ROWS_AT_ONCE):
        if clock.monotonic() > until:
            return ChildResult("time")
        for row in part:
            if len(found) == rows:
                return _result(columns, found, f"only the first {rows} rows are shown")
            made = tuple(bounded_value(each) for each in row)
            size += len(msgspec.msgpack.encode(made)) + VALUE_OVERHEAD * _values(made)
            if size > LARGEST_ANSWER:
                remark = f"only the first {len(found)} rows are shown: all are more than 8 MB"
                return _result(columns, found, remark)
            found.append(made)
    return _result(columns, found)


def _result(columns: tuple[str, ...], rows: list[tuple[Any, ...]], *remarks: str) -> ChildResult:
    return ChildResult(columns=columns, rows=rows, remarks=remarks)


def bounded_columns(names: Sequence[Any]) -> tuple[str, ...]:
    """The names of an answer's columns.

    Raises:
        StoreError: there are too many of them.
    """
    if len(names) > MOST_COLUMNS:
        raise StoreError(f"an answer has {MOST_COLUMNS:,} columns at most, not {len(names):,}")
    return tuple(str(each)[:LONGEST_VALUE] for each in names)


def _values(value: Any) -> int:
    """How many values a value contains, itself included."""
    members = value.values() if isinstance(value, dict) else value
    return 1 + sum(map(_values, members)) if isinstance(value, list | tuple | dict) else 1


def bounded_value(value: Any, depth: int = DEEPEST_LIST) -> Any:
    """A value of DuckDB as JSON can hold it, of limited size; values of other types become text."""
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, int):
        return value if -(2**63) <= value < 2**63 else str(value)
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, list | tuple | dict):
        return _members(value, depth - 1) if depth > 0 else CUT_MARK
    return value[:LONGEST_VALUE] if isinstance(value, str | bytes) else str(value)[:LONGEST_VALUE]


def _members(value: Any, depth: int) -> Any:
    if isinstance(value, dict):
        pairs = islice(value.items(), MOST_MEMBERS)
        found = {str(key)[:LONGEST_VALUE]: bounded_value(each, depth) for key, each in pairs}
        return {**found, CUT_MARK: CUT_MARK} if len(value) > MOST_MEMBERS else found
    members = [bounded_value(each, depth) for each in value[:MOST_MEMBERS]]
    return [*members, CUT_MARK] if len(value) > MOST_MEMBERS else members
