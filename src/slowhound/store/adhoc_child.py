"""The process that answers a person's SQL, see ``adhoc``: what it is given, bounds, and says."""

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
from slowhound.store.answer import LONGEST, StoreError
from slowhound.store.broken import UnreadableError, reading
from slowhound.store.dialect import for_duckdb
from slowhound.store.event_files import Files
from slowhound.store.parquet import inside

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

# Bytes in memory, of the whole process: 76 MB are Python and DuckDB themselves. It looks each 5 ms,
# in which some 10 MB more can come.
RESIDENT, BEGIN_WITH, LOOK_EVERY = 256 * 1024**2, 128 * 1024**2, 0.005
# And bytes that are asked for, beyond those that it has when it begins, which the kernel refuses at
# once. More than of the former: what DuckDB reads into takes 32 MB for each thread, mostly unused.
DATA = 448 * 1024**2
# Of an answer as it is sent: a page of it would be as large.
LARGEST = 8 * 1024**2
# Bytes that each value counts for beside its text: `[]` takes one there, and 64 in Python.
VALUE = 16
COLUMNS = 2_000  # of an answer; events have a hundred
# Of lists in an answer, and of lists in them.
MEMBERS, DEPTH = 200, 4
LEFT_OUT = "..."
PART = 20  # rows that are fetched at once
# Seconds after the interruption until it ends without having heard it.
GRACE = 0.5
# Exit codes, where nothing is said.
TIME, MEMORY = 76, 77
NO_MEMORY = re.compile("out of memory|bad_alloc|failed to allocate|cannot allocate", re.IGNORECASE)


class Answered(msgspec.Struct, array_like=True):
    """What it says: an answer, or what ``failed`` (time, memory, files, question)."""

    failed: str = ""
    text: str = ""
    columns: tuple[str, ...] = ()
    rows: list[tuple[Any, ...]] = []
    remarks: tuple[str, ...] = ()


def main(segments: list[str], parquet: list[str], text: str, seconds: float, rows: int) -> None:
    """Answers into standard output, and ends."""
    out = os.dup(1)
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    threading.Thread(target=_end_with, args=(int(sys.argv[1]),), daemon=True).start()
    try:
        found = _answer(Files(tuple(segments), tuple(parquet)), text, seconds, rows)
        data = msgspec.msgpack.encode(found)
    except MemoryError:
        os._exit(MEMORY)
    with open(out, "wb") as file:
        file.write(data)
    os._exit(0)  # nothing waits for threads of DuckDB


def _end_after(seconds: float) -> None:
    time.sleep(seconds)
    os._exit(TIME)


def _end_beyond(resident: int) -> None:
    while _resident() <= resident:
        time.sleep(LOOK_EVERY)
    os._exit(MEMORY)


def _bound() -> int:
    """Bytes: so many, or more for a Python or a DuckDB that begins with as many."""
    return max(RESIDENT, _resident() + BEGIN_WITH)


def _resident() -> int:
    """Bytes that it has in memory; 0 where that is not known."""
    with suppress(OSError), open("/proc/self/statm", "rb") as statm:
        return int(statm.read().split()[1]) * resource.getpagesize()
    return 0


def _end_with(pipe: int) -> None:
    os.read(pipe, 1)  # nobody writes: it ends with the process that asks
    os._exit(1)


def _answer(files: Files, text: str, seconds: float, rows: int) -> Answered:
    try:
        return _asked(files, text, seconds, rows)
    except MemoryError:
        return Answered("memory")
    except UnreadableError as exc:
        return Answered("memory" if NO_MEMORY.search(str(exc)) else "files", str(exc)[:LONGEST])
    except StoreError as exc:
        return Answered("question", str(exc)[:LONGEST])


def _asked(files: Files, text: str, seconds: float, rows: int) -> Answered:
    import duckdb

    from slowhound.store.connections import alone, bounded, shut
    from slowhound.store.select_only import one_select
    from slowhound.store.views import make_views

    with reading(), alone(duckdb) as connection:
        make_views(connection, files, lambda path: inside(connection, path))
        shut(connection, files)
        until = clock.monotonic() + seconds
        _set_bounds(seconds)
        with bounded(connection, seconds):
            wanted = for_duckdb(one_select(connection, text))
            done = connection.execute(wanted)
            return _fetched(done, rows, until)


def _set_bounds(seconds: float) -> None:
    # DuckDB hears an interruption between two of its steps only, and one of them may take hours.
    threading.Thread(target=_end_after, args=(seconds + GRACE,), daemon=True).start()
    threading.Thread(target=_end_beyond, args=(_bound(),), daemon=True).start()
    processor = math.ceil(seconds + GRACE) * (os.cpu_count() or 1) + 5
    # No file can grow, and no core is written. Not macOS, which knows no bound of data.
    for kind, bound in (
        (resource.RLIMIT_CORE, 0),
        (resource.RLIMIT_FSIZE, 0),
        (resource.RLIMIT_CPU, processor),
        (resource.RLIMIT_DATA, _data() + DATA),
    ):
        with suppress(OSError, ValueError):
            resource.setrlimit(kind, (bound, bound))


def _data() -> int:
    """Bytes that ``RLIMIT_DATA`` counts by now."""
    with suppress(OSError), open("/proc/self/status", "rb") as status:
        for line in status:
            if line.startswith(b"VmData:"):
                return int(line.split()[1]) * 1024
    return 128 * 1024**2


def _fetched(done: DuckDBPyConnection, rows: int, until: float) -> Answered:
    columns = bounded_columns([each[0] for each in done.description or ()])
    found: list[tuple[Any, ...]] = []
    size = 0
    while part := done.fetchmany(PART):
        if clock.monotonic() > until:
            return Answered("time")
        for row in part:
            if len(found) == rows:
                return _told(columns, found, f"only the first {rows} rows are shown")
            made = tuple(bounded_value(each) for each in row)
            size += len(msgspec.msgpack.encode(made)) + VALUE * _values(made)
            if size > LARGEST:
                remark = f"only the first {len(found)} rows are shown: all are more than 8 MB"
                return _told(columns, found, remark)
            found.append(made)
    return _told(columns, found)


def _told(columns: tuple[str, ...], rows: list[tuple[Any, ...]], *remarks: str) -> Answered:
    return Answered(columns=columns, rows=rows, remarks=remarks)


def bounded_columns(names: Sequence[Any]) -> tuple[str, ...]:
    """The names of an answer's columns.

    Raises:
        StoreError: there are too many of them.
    """
    if len(names) > COLUMNS:
        raise StoreError(f"an answer has {COLUMNS:,} columns at most, not {len(names):,}")
    return tuple(str(each)[:LONGEST] for each in names)


def _values(value: Any) -> int:
    """How many values there are in one, with itself."""
    members = value.values() if isinstance(value, dict) else value
    return 1 + sum(map(_values, members)) if isinstance(value, list | tuple | dict) else 1


def bounded_value(value: Any, depth: int = DEPTH) -> Any:
    """A value of DuckDB's, plain and of a bounded size; what is no number is a text."""
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, int):
        return value if -(2**63) <= value < 2**63 else str(value)
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, list | tuple | dict):
        return _members(value, depth - 1) if depth > 0 else LEFT_OUT
    return value[:LONGEST] if isinstance(value, str | bytes) else str(value)[:LONGEST]


def _members(value: Any, depth: int) -> Any:
    if isinstance(value, dict):
        pairs = islice(value.items(), MEMBERS)
        found = {str(key)[:LONGEST]: bounded_value(each, depth) for key, each in pairs}
        return {**found, LEFT_OUT: LEFT_OUT} if len(value) > MEMBERS else found
    members = [bounded_value(each, depth) for each in value[:MEMBERS]]
    return [*members, LEFT_OUT] if len(value) > MEMBERS else members
