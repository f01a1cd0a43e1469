"""The source of events in the files of one ``DIR``, read with DuckDB.

Each answer uses a connection of its own (``connections``), so threads share no state. It reads the
files that exist when the query starts. Ad-hoc SQL runs in a process of its own, see ``adhoc``.
"""

from __future__ import annotations

import math
import os
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from functools import partial
from typing import TYPE_CHECKING, Any

from slowhound.config.rules import NOT_UTF_8, can_be_queried
from slowhound.runtime.clocks import clock
from slowhound.store import adhoc, compaction
from slowhound.store.answer import Answer, Health, StoreError, finite_row
from slowhound.store.broken import (
    EVERY_VALUE,
    BrokenFiles,
    UnreadableError,
    as_unreadable,
    first_line,
)
from slowhound.store.columns import IS_EVENT
from slowhound.store.compaction import Progress
from slowhound.store.connections import Connections, DatabaseLostError, private_database
from slowhound.store.dialect import for_duckdb, names_in
from slowhound.store.event_files import EventFiles, file_size, list_event_files
from slowhound.store.parquet import ParquetInfo, parquet_info
from slowhound.store.select_only import SELECT_START
from slowhound.store.source import Source
from slowhound.store.views import make_views

if TYPE_CHECKING:
    import duckdb
    from duckdb import DuckDBPyConnection

# Readers compact, but only from this size of segments on, so that a page of the viewer does not
# write a small file each time.
COMPACT_FROM = 8 * 1024**2
READ_ATTEMPTS = 6


def load_duckdb() -> Any:
    """The library.

    Raises:
        StoreError: it is not installed.
    """
    try:
        import duckdb
    except ImportError as exc:
        raise StoreError("this needs DuckDB: pip install 'slowhound[store]'") from exc
    return duckdb


class LocalFiles(Source):
    """The events of one ``DIR``.

    Args:
        directory: ``DIR``.

    Raises:
        StoreError: DuckDB is not installed, or cannot read a folder of this name.
    """

    def __init__(self, directory: str) -> None:
        self._duckdb = load_duckdb()
        self.folder = os.path.join(os.path.abspath(directory), "events")
        if not can_be_queried(self.folder):
            raise StoreError(f"{self.folder!a}: {NOT_UTF_8}")
        self._parquet_info: dict[str, ParquetInfo] = {}  # of Parquet files, which do not change
        self._broken = BrokenFiles()
        self._compacting = threading.Lock()
        self._shared = Connections(self._duckdb)

    def sql(self, text: str, parameters: Mapping[str, Any] | None = None) -> Answer:
        """See ``Source.sql``."""
        wanted = for_duckdb(text)
        named = names_in(wanted)  # DuckDB refuses values that are not used
        values = {name: each for name, each in (parameters or {}).items() if name in named}

        def answer(connection: DuckDBPyConnection) -> Answer:
            done = connection.execute(wanted, values)
            return Answer(_columns(done), [finite_row(row) for row in done.fetchall()])

        return self._with_events(partial(self._viewed, answer))

    def adhoc(self, text: str, seconds: float = 10.0, rows: int = 1000) -> Answer:
        """See ``Source.adhoc``.

        Texts are cut at 10,000 characters, lists at 200 members, and the whole answer at 8 MB.
        """
        if not SELECT_START.match(text):
            raise StoreError("only one SELECT is allowed here")

        until = clock.monotonic() + seconds
        failed: list[UnreadableError] = []

        def answer(files: EventFiles) -> Answer:
            # After an error it is run again in the time that is left; else the error is raised.
            left = until - clock.monotonic() if failed else seconds
            if left <= 0:
                raise StoreError(str(failed[0]))
            try:
                return adhoc.run(files, text, left, rows)
            except UnreadableError as exc:
                failed.append(exc)
                raise
            except StoreError as exc:
                raise StoreError(str(failed[0])) if failed else exc from None

        return self._with_events(answer, until)

    def health(self) -> Health:
        """See ``Source.health``."""
        counted = (
            f"SELECT count(*), count(*) FILTER ({IS_EVENT} IS NOT true),"
            f" min(ts) FILTER ({IS_EVENT}), max(ts) FILTER ({IS_EVENT}) FROM every_line"
        )
        problems: list[str] = []
        row: tuple[Any, ...] = (0, 0, None, None)
        try:
            row = self._with_events(
                partial(
                    self._viewed,
                    lambda connection: Answer((), connection.execute(counted).fetchall()),
                )
            ).rows[0]
        except StoreError as exc:
            problems.append(str(exc))
        files = list_event_files(self.folder)
        sizes = [file_size(path) for path in files.paths]
        torn = [
            self._parquet_info[path].torn for path in files.parquet if path in self._parquet_info
        ]
        return Health(
            events=row[0] - row[1],
            files=len(sizes),
            bytes=sum(sizes),
            torn=row[1] + sum(torn),
            oldest=row[2],
            newest=row[3],
            problems=(*self._broken.messages(files.paths), *problems),
        )

    def close(self) -> None:
        """Closes the database in memory; the next query opens a new one."""
        self._connections().close()

    def compact(self, progress: Progress | None = None) -> int:
        """Makes Parquet files of all closed segments, without blocking others; returns how many.

        Args:
            progress: is called with the bytes done, and the bytes in all.

        Raises:
            StoreError: it failed; no events are lost.
        """
        if not os.access(self.folder, os.W_OK) or os.stat(self.folder).st_uid != os.geteuid():
            return 0
        if not self._compacting.acquire(blocking=False):
            return 0  # another thread is compacting
        try:
            # A database of its own, so that its memory does not count against that of queries.
            with as_unreadable(), private_database(self._duckdb) as connection:
                info_of = partial(self._info_of, connection)
                return compaction.compact(connection, self.folder, info_of, progress)
        except StoreError as exc:
            raise StoreError(f"segments could not be compacted: {first_line(exc)}") from exc
        finally:
            self._compacting.release()

    def _with_events(
        self, answer: Callable[[EventFiles], Answer], until: float = math.inf
    ) -> Answer:
        """Calls ``answer`` with the files; after an error, with those that can be read.

        To find those, each file is read by itself, but not later than ``until``. See ``broken``.
        """
        self._broken.try_again()
        failed: UnreadableError | None = None
        read: set[str] = set()
        for attempt in range(READ_ATTEMPTS):
            there = self._readable(read, until) if attempt else self._files()
            files = there.without(self._broken)
            try:
                with as_unreadable():
                    found = answer(files)
            except DatabaseLostError as exc:
                failed = exc  # perhaps by another thread's query; the next one is new
            except UnreadableError as exc:
                failed = exc
                if attempt and files.all_exist():
                    break  # each was read a moment ago, so the query is the cause
                if not attempt and self._fails_without_files(exc, answer):
                    break
            else:
                remarks = (f"left out: {message}" for message in self._broken.messages(there.paths))
                return found._replace(remarks=(*found.remarks, *remarks))
        raise StoreError(str(failed or "no answer")) from failed

    def _fails_without_files(
        self, failed: UnreadableError, answer: Callable[[EventFiles], Answer]
    ) -> bool:
        """True when it fails in the same way over no files, as for an error in the SQL."""
        try:
            with as_unreadable():
                answer(EventFiles((), ()))
        except UnreadableError as exc:
            return str(exc) == str(failed)
        return False

    def _files(self) -> EventFiles:
        files = list_event_files(self.folder)
        if (
            sum(file_size(path) for path in files.segments if compaction.is_quiet(path))
            > COMPACT_FROM
        ):
            with suppress(StoreError):  # such as a full disk; segments can be read as they are
                if self.compact():
                    files = list_event_files(self.folder)
        return files

    def _readable(self, read: set[str], until: float) -> EventFiles:
        """Reads each file that is not known to be broken; ``read`` are the paths that were read."""
        checking = Connections(self._duckdb)  # a file that breaks the database breaks this one
        try:
            for _ in range(READ_ATTEMPTS):
                files = list_event_files(self.folder)
                for path in files.without(self._broken).paths:
                    if clock.monotonic() > until:
                        return files
                    if path not in read and self._reads(checking, path):
                        read.add(path)
                # A file that was removed since may now be part of a file that is not on the list.
                if files.all_exist():
                    break
        finally:
            checking.close()
        return files

    def _reads(self, checking: Connections, path: str) -> bool:
        """True when every value of the file can be read, in the same way as for an answer."""
        self._parquet_info.pop(path, None)  # another file may have replaced it
        only = EventFiles((path,), ()) if path.endswith(".jsonl") else EventFiles((), (path,))
        try:
            with as_unreadable(), checking.borrow() as pooled:
                make_views(pooled.connection, only, partial(self._info_of, pooled.connection))
                pooled.connection.execute(f"SELECT {EVERY_VALUE} FROM every_line").fetchall()
        except UnreadableError as exc:
            self._broken.add(path, exc)
            return False
        return True

    def _info_of(self, connection: DuckDBPyConnection, path: str) -> ParquetInfo:
        """What this Parquet file was made of; it is read once, because files do not change."""
        if path not in self._parquet_info:
            self._parquet_info[path] = parquet_info(connection, path)
        return self._parquet_info[path]

    @contextmanager
    def _viewing(self, files: EventFiles) -> Iterator[DuckDBPyConnection]:
        """A connection to the shared database for trusted SQL, with ``events`` over these files."""
        with self._connections().borrow() as pooled:
            if pooled.files != files:
                make_views(pooled.connection, files, partial(self._info_of, pooled.connection))
                pooled.files = files
            yield pooled.connection

    def _viewed(self, answer: Callable[[DuckDBPyConnection], Answer], files: EventFiles) -> Answer:
        with self._viewing(files) as connection:
            return answer(connection)

    def _connections(self) -> Connections:
        """The connections of this process: a forked child lacks the threads of its parent's."""
        if self._shared.pid != os.getpid():
            self._shared.abandon()
            self._shared = Connections(self._duckdb)
        return self._shared


def _columns(done: duckdb.DuckDBPyConnection) -> tuple[str, ...]:
    return tuple(each[0] for each in done.description or ())
