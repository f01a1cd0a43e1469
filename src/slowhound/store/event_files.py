"""The files of events, and their compaction to Parquet.

A segment is closed when nobody writes to it any more: its writer's lock (``flock``) is gone, for
it went on to the next file or it died, it has been quiet for a second, and its process has left no
black box (whoever buries that looks at the end of the segment). Closed segments go together into
one Parquet file, about a tenth of their size. It is filled under another name, renamed, and then
the segments are removed: a reader never sees half of a file, and who sees a segment twice finds its
name in ``SEGMENTS_KEY`` of the Parquet file. Nobody waits for anybody.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Container, Iterator, Sequence
from contextlib import ExitStack, suppress
from typing import TYPE_CHECKING, NamedTuple

from slowhound.runtime.clocks import clock
from slowhound.store.answer import StoreError
from slowhound.store.broken import UnreadableError, reading
from slowhound.store.columns import IS_EVENT, json_structure
from slowhound.store.parquet import PLAINLY, SEGMENTS_KEY, TORN_KEY, Inside, names, quoted, text
from slowhound.store.segments import PARQUET, SEGMENT
from slowhound.system.file_locks import close, lock
from slowhound.system.files import create, is_removed, open_own

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

QUIET = 1.0  # seconds; more than any one write() takes
BATCH = 128 * 1024**2  # bytes of JSON that become one file: about a second's work
LEFT_OVER = 600  # seconds after which an unfinished file was left by a reader that died
_UNFINISHED = re.compile(r"compacting-\d+-\d+\.tmp")

Progress = Callable[[int, int], None]  # bytes done, bytes in all


class Files(NamedTuple):
    """Paths, sorted by age."""

    segments: tuple[str, ...]
    parquet: tuple[str, ...]

    @property
    def paths(self) -> tuple[str, ...]:
        """Both."""
        return (*self.segments, *self.parquet)

    def without(self, paths: Container[str]) -> Files:
        """These but for some."""
        return Files(*(tuple(each for each in part if each not in paths) for part in self))

    def all_exist(self) -> bool:
        """True when none has been removed since."""
        return all(os.path.lexists(path) for path in self.paths)


def list_files(folder: str) -> Files:
    """What is there. Two looks that agree: one alone can miss both names of a segment.

    Raises:
        StoreError: the folder cannot be read.
    """
    before, now = None, _look(folder)
    while before != now:
        before, now = now, _look(folder)
    return now


def _look(folder: str) -> Files:
    segments, parquet = [], []
    try:
        with os.scandir(folder) as entries:
            for entry in entries:
                if SEGMENT.fullmatch(entry.name) and entry.is_file(follow_symlinks=False):
                    segments.append(entry.path)
                elif PARQUET.fullmatch(entry.name) and entry.is_file(follow_symlinks=False):
                    parquet.append(entry.path)
    except FileNotFoundError:
        pass  # nothing has been written yet
    except OSError as exc:
        raise StoreError(f"the events cannot be read: {exc}") from exc
    return Files(tuple(sorted(segments)), tuple(sorted(parquet)))


def name_of(path: str) -> str:
    """A segment's name: that of its file, without the ending."""
    return os.path.basename(path).partition(".")[0]


def read_segments(paths: Sequence[str], known: list[str]) -> str:
    """SQL that reads these segments; a torn line is a row that is not ``IS_EVENT``.

    ``known`` are the names of the fields that have a column of their own.
    """
    texts = f"list_filter(json_keys(json), lambda each: NOT list_contains({quoted(known)}, each))"
    app = f"map_from_entries([(each, json->>each) for each in list_distinct({texts})])"
    return (
        f"SELECT event.*, segment, app FROM (SELECT"
        f" json_transform(json, '{json_structure()}') AS event,"
        f" parse_filename(filename, true) AS segment, {app} AS app"
        f" FROM read_ndjson_objects({names(paths)}, ignore_errors = true, filename = true,"
        f" {PLAINLY}))"
    )


class Closed(NamedTuple):
    """A segment that nobody writes to; as long as ``fd`` is open it is ours."""

    path: str
    fd: int
    size: int
    modified: float


def closed(folder: str, segments: tuple[str, ...]) -> Iterator[Closed]:
    """The closed ones of these; the caller closes each ``fd``."""
    for path in segments:
        pid = name_of(path).split("-")[1]
        try:
            fd = open_own(path, os.O_RDWR)
        except OSError:
            continue
        found = os.fstat(fd)
        if _is_closed(fd, found) and not _has_box(os.path.dirname(folder), pid):
            yield Closed(path, fd, found.st_size, found.st_mtime)
        else:
            close(fd)


def is_quiet(path: str) -> bool:
    """True when nobody has written to the file for a second."""
    with suppress(OSError):
        return abs(clock.time() - os.path.getmtime(path)) >= QUIET
    return False


def _is_closed(fd: int, found: os.stat_result) -> bool:
    # An empty one is never locked: its writer could just be about to do that.
    if not found.st_size or abs(clock.time() - found.st_mtime) < QUIET:
        return False
    try:
        lock(fd)
    except OSError:
        return False
    return not is_removed(fd)  # else another reader was faster


def _has_box(directory: str, pid: str) -> bool:
    with suppress(OSError):
        return any(name.startswith(f"{pid}-") for name in os.listdir(f"{directory}/boxes"))
    return False


def compact(
    connection: DuckDBPyConnection,
    folder: str,
    held: Callable[[str], Inside],
    known: list[str],
    progress: Progress | None = None,
) -> int:
    """Makes Parquet files of all closed segments; returns how many segments.

    Args:
        connection: of DuckDB; it may write into ``folder``.
        folder: ``DIR/events``.
        held: what a Parquet file was made of.
        known: names of the fields that have a column of their own.
        progress: is told of bytes.

    Raises:
        OSError: a file could not be written; nothing is lost then.
        StoreError: a segment could not be read; the others are compacted all the same.
    """
    files = list_files(folder)
    _remove_left_over(folder)
    inside: set[str] = set()
    for path in files.parquet:
        with suppress(UnreadableError):  # it is broken, and so are its events
            inside |= held(path).segments
    with ExitStack() as stack:
        found = list(closed(folder, files.segments))
        for each in found:
            stack.callback(close, each.fd)
        for each in found:
            if name_of(each.path) in inside:
                os.unlink(each.path)  # its reader died between the two steps
        todo = [each for each in found if name_of(each.path) not in inside]
        total, done = sum(each.size for each in todo), 0
        failed: Exception | None = None
        for batch in _batches(todo):
            failed = _write_all(connection, folder, batch, known) or failed
            done += sum(each.size for each in batch)
            if progress is not None:
                progress(done, total)
        if failed is not None:
            raise failed
        return len(todo)


def _batches(found: list[Closed]) -> Iterator[list[Closed]]:
    batch: list[Closed] = []
    for each in found:
        if batch and sum(one.size for one in batch) + each.size > BATCH:
            yield batch
            batch = []
        batch.append(each)
    if batch:
        yield batch


def _write_all(
    connection: DuckDBPyConnection, folder: str, batch: list[Closed], known: list[str]
) -> Exception | None:
    """One file of the batch; where that fails, one of each segment that can be read.

    A segment that cannot must not keep the others from it for good. Returns its error.
    """
    try:
        _write(connection, folder, batch, known)
    except (UnreadableError, FileExistsError) as exc:
        if len(batch) == 1:
            return StoreError(f"{os.path.basename(batch[0].path)}: {exc}")
        found = [_write_all(connection, folder, [each], known) for each in batch]
        return next((each for each in found if each is not None), None)
    return None


def _write(
    connection: DuckDBPyConnection, folder: str, batch: list[Closed], known: list[str]
) -> None:
    final = os.path.join(folder, name_of(batch[0].path) + ".parquet")
    if os.path.lexists(final):
        raise FileExistsError(f"{final} is there, and does not hold the segment of this name")
    paths = [each.path for each in batch]
    unfinished = os.path.join(folder, f"compacting-{os.getpid()}-{clock.monotonic_ns()}.tmp")
    # DuckDB keeps the mode of a file that is there.
    os.close(create(unfinished))
    try:
        with reading():
            _copy(connection, paths, unfinished, known)
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


def _copy(
    connection: DuckDBPyConnection, paths: list[str], unfinished: str, known: list[str]
) -> None:
    try:
        connection.execute(f"CREATE OR REPLACE TEMP TABLE batch AS {read_segments(paths, known)}")
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
    """A machine that loses power has the one or the other."""
    fd = os.open(path, os.O_RDONLY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def _remove_left_over(folder: str) -> None:
    with suppress(FileNotFoundError), os.scandir(folder) as entries:
        for entry in entries:
            with suppress(OSError):
                if (
                    _UNFINISHED.fullmatch(entry.name)
                    and clock.time() - entry.stat(follow_symlinks=False).st_mtime > LEFT_OVER
                ):
                    os.unlink(entry.path)
