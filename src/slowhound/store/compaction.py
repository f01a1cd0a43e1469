"""Compacts closed segments to Parquet files.

A segment is closed when three things are true: its writer's lock (``flock``) is gone, because the
writer went on to the next file or ended; it was not written to for a second; and its process has
left no black box (which is reaped by reading the end of the segment). Closed segments become one
Parquet file, about a tenth of their size. It is written under another name and renamed, and then
the segments are removed: a reader never sees an incomplete file, and one that sees a segment twice
finds its name in ``SEGMENTS_KEY`` of the Parquet file. No process waits for another.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from typing import TYPE_CHECKING, NamedTuple

from slowhound.runtime.clocks import clock
from slowhound.store.answer import StoreError
from slowhound.store.broken import UnreadableError, as_unreadable
from slowhound.store.columns import IS_EVENT
from slowhound.store.event_files import list_event_files, name_of, read_segments
from slowhound.store.parquet import SEGMENTS_KEY, TORN_KEY, ParquetInfo, text
from slowhound.store.segments import UNFINISHED
from slowhound.system.file_locks import close, lock
from slowhound.system.files import create, is_removed, open_own

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

QUIET_SECONDS = 1.0  # longer than any single write()
COMPACT_BATCH_BYTES = 128 * 1024**2  # of JSON for one Parquet file: about a second of work
STALE_SECONDS = 600  # after which an unfinished file is of a reader that ended

Progress = Callable[[int, int], None]  # bytes done, bytes in all


class ClosedSegment(NamedTuple):
    """A segment without a writer; while ``fd`` is open, this process holds its lock."""

    path: str
    fd: int
    size: int
    modified: float


def closed_segments(folder: str, segments: tuple[str, ...]) -> Iterator[ClosedSegment]:
    """Those of the segments that are closed; the caller closes each ``fd``."""
    for path in segments:
        pid = name_of(path).split("-")[1]
        try:
            fd = open_own(path, os.O_RDWR)
        except OSError:
            continue
        found = os.fstat(fd)
        if _is_closed(fd, found) and not _has_box(os.path.dirname(folder), pid):
            yield ClosedSegment(path, fd, found.st_size, found.st_mtime)
        else:
            close(fd)


def is_quiet(path: str) -> bool:
    """True when the file was not written to for a second."""
    with suppress(OSError):
        return abs(clock.time() - os.path.getmtime(path)) >= QUIET_SECONDS
    return False


def _is_closed(fd: int, found: os.stat_result) -> bool:
    # An empty file is never locked here: its writer may be about to lock it.
    if not found.st_size or abs(clock.time() - found.st_mtime) < QUIET_SECONDS:
        return False
    try:
        lock(fd)
    except OSError:
        return False
    return not is_removed(fd)  # else another reader has compacted it


def _has_box(directory: str, pid: str) -> bool:
    with suppress(OSError):
        return any(name.startswith(f"{pid}-") for name in os.listdir(f"{directory}/boxes"))
    return False


def compact(
    connection: DuckDBPyConnection,
    folder: str,
    info_of: Callable[[str], ParquetInfo],
    progress: Progress | None = None,
) -> int:
    """Makes Parquet files of all closed segments; returns how many segments.

    Args:
        connection: of DuckDB; it may write into ``folder``.
        folder: ``DIR/events``.
        info_of: what a Parquet file was made of.
        progress: is called with the bytes done, and the bytes in all.

    Raises:
        OSError: a file could not be written; no events are lost.
        StoreError: a segment could not be read; the others were compacted.
    """
    files = list_event_files(folder)
    _remove_stale(folder)
    inside: set[str] = set()
    for path in files.parquet:
        with suppress(UnreadableError):  # it is broken
            inside |= info_of(path).segments
    with ExitStack() as stack:
        found = list(closed_segments(folder, files.segments))
        for each in found:
            stack.callback(close, each.fd)
        for each in found:
            if name_of(each.path) in inside:
                os.unlink(each.path)  # its reader ended between the two steps
        todo = [each for each in found if name_of(each.path) not in inside]
        total, done = sum(each.size for each in todo), 0
        failed: Exception | None = None
        for batch in _batches(todo):
            failed = _write_all(connection, folder, batch) or failed
            done += sum(each.size for each in batch)
            if progress is not None:
                progress(done, total)
        if failed is not None:
            raise failed
        return len(todo)


def _batches(found: list[ClosedSegment]) -> Iterator[list[ClosedSegment]]:
    batch: list[ClosedSegment] = []
    for each in found:
        if batch and sum(one.size for one in batch) + each.size > COMPACT_BATCH_BYTES:
            yield batch
            batch = []
        batch.append(each)
    if batch:
        yield batch


def _write_all(
    connection: DuckDBPyConnection, folder: str, batch: list[ClosedSegment]
) -> Exception | None:
    """Writes one file of the batch; where that fails, one of each segment that can be read.

    A broken segment must not prevent the compaction of the others. Returns its error.
    """
    try:
        _write(connection, folder, batch)
    except (UnreadableError, FileExistsError) as exc:
        if len(batch) == 1:
            return StoreError(f"{os.path.basename(batch[0].path)}: {exc}")
        found = [_write_all(connection, folder, [each]) for each in batch]
        return next((each for each in found if each is not None), None)
    return None


def _write(connection: DuckDBPyConnection, folder: str, batch: list[ClosedSegment]) -> None:
    final = os.path.join(folder, name_of(batch[0].path) + ".parquet")
    if os.path.lexists(final):
        raise FileExistsError(f"{final} exists, and does not contain the segment of this name")
    paths = [each.path for each in batch]
    unfinished = os.path.join(folder, f"compacting-{os.getpid()}-{clock.monotonic_ns()}.tmp")
    # DuckDB keeps the mode of an existing file.
    os.close(create(unfinished))
    try:
        with as_unreadable():
            _copy(connection, paths, unfinished)
        _to_disk(unfinished)
        os.rename(unfinished, final)
        newest = max(each.modified for each in batch)
        os.utime(final, (newest, newest))  # retention goes by the age of the events
        _to_disk(folder)
    except BaseException:
        with suppress(OSError):
            os.unlink(unfinished)
        raise
    for path in paths:
        with suppress(FileNotFoundError):
            os.unlink(path)


def _copy(connection: DuckDBPyConnection, paths: list[str], unfinished: str) -> None:
    try:
        connection.execute(f"CREATE OR REPLACE TEMP TABLE batch AS {read_segments(paths)}")
        row = connection.execute(
            f"SELECT count(*) FROM batch WHERE {IS_EVENT} IS NOT true"
        ).fetchone()
        made_of = ",".join(name_of(path) for path in paths)
        connection.execute(
            f"COPY (SELECT * FROM batch WHERE {IS_EVENT})"
            f" TO {text(unfinished)}"
            f" (FORMAT parquet, COMPRESSION zstd, USE_TMP_FILE false, KV_METADATA"
            f" {{'{SEGMENTS_KEY}': '{made_of}', '{TORN_KEY}': '{row[0] if row else 0}'}})"
        )
    finally:
        connection.execute("DROP TABLE IF EXISTS batch")


def _to_disk(path: str) -> None:
    """After a power loss there are the segments or the Parquet file."""
    fd = os.open(path, os.O_RDONLY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def _remove_stale(folder: str) -> None:
    with suppress(FileNotFoundError), os.scandir(folder) as entries:
        for entry in entries:
            with suppress(OSError):
                if (
                    UNFINISHED.fullmatch(entry.name)
                    and clock.time() - entry.stat(follow_symlinks=False).st_mtime > STALE_SECONDS
                ):
                    os.unlink(entry.path)
