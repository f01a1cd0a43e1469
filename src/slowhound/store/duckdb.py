"""Questions over the local files, by DuckDB.

Each answer has a connection of its own (``connections``): there is no state to share between
threads. What it reads is what was there when it was asked. A person's SQL has a process of its own,
see ``adhoc``.
"""

from __future__ import annotations

import math
import os
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from functools import partial
from typing import TYPE_CHECKING, Any

from slowhound.config.settings import NOT_UTF_8, can_be_asked
from slowhound.runtime.clocks import clock
from slowhound.store import adhoc
from slowhound.store import event_files as on_disk
from slowhound.store.answer import Answer, Health, StoreError, plain
from slowhound.store.broken import EVERY_VALUE, Broken, UnreadableError, first_line, reading
from slowhound.store.columns import IS_EVENT
from slowhound.store.connections import Connections, DatabaseLostError, alone
from slowhound.store.dialect import for_duckdb, names_in
from slowhound.store.event_files import Files, Progress, list_files
from slowhound.store.parquet import Inside, inside
from slowhound.store.select_only import QUESTION
from slowhound.store.source import Source
from slowhound.store.views import KNOWN, make_views

if TYPE_CHECKING:
    import duckdb
    from duckdb import DuckDBPyConnection

# Whoever reads compacts, but from this size on only: a page of the viewer shall not leave a small
# file behind each time.
WORTH_IT = 8 * 1024**2
TRIES = 6


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
    """The events of one ``DIR``, as a ``Source``.

    Args:
        directory: ``DIR``.

    Raises:
        StoreError: DuckDB is not installed, or cannot read in a folder of this name.
    """

    def __init__(self, directory: str) -> None:
        self._duckdb = load_duckdb()
        self.folder = os.path.join(os.path.abspath(directory), "events")
        if not can_be_asked(self.folder):
            raise StoreError(f"{self.folder!a}: {NOT_UTF_8}")
        self._inside: dict[str, Inside] = {}  # of Parquet files, which do not change
        self._broken = Broken()
        self._compacting = threading.Lock()
        self._shared = Connections(self._duckdb)

    def sql(self, text: str, parameters: Mapping[str, Any] | None = None) -> Answer:
        """See ``Source.sql``."""
        wanted = for_duckdb(text)
        named = names_in(wanted)  # DuckDB refuses more than it needs
        values = {name: each for name, each in (parameters or {}).items() if name in named}

        def answer(connection: DuckDBPyConnection) -> Answer:
            done = connection.execute(wanted, values)
            return Answer(_columns(done), [plain(row) for row in done.fetchall()])

        return self._with_events(partial(self._viewed, answer))

    def adhoc(self, text: str, seconds: float = 10.0, rows: int = 1000) -> Answer:
        """See ``Source.adhoc``.

        Texts are cut after 10,000 characters, lists after 200 members, and all of it at 8 MB.
        """
        if not QUESTION.match(text):
            raise StoreError("one SELECT is what can be asked here")

        until = clock.monotonic() + seconds
        failed: list[UnreadableError] = []

        def answer(files: Files) -> Answer:
            # After an error it is asked again: in the time that is left, and else the error stands.
            left = until - clock.monotonic() if failed else seconds
            if left <= 0:
                raise StoreError(str(failed[0]))
            try:
                return self._apart(files, text, left, rows)
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
        files = list_files(self.folder)
        sizes = [_size(path) for path in files.paths]
        left_out = [self._inside[path].torn for path in files.parquet if path in self._inside]
        return Health(
            events=row[0] - row[1],
            files=len(sizes),
            bytes=sum(sizes),
            torn=row[1] + sum(left_out),
            oldest=row[2],
            newest=row[3],
            problems=(*self._broken.said(files.paths), *problems),
        )

    def close(self) -> None:
        """Gives back the database in memory; who asks after that has another one."""
        self._connections().close()

    def compact(self, progress: Progress | None = None) -> int:
        """Makes Parquet of all closed segments; returns how many. Nobody waits for it.

        Args:
            progress: is told of bytes done, and bytes in all.

        Raises:
            StoreError: it failed; all events are still there.
        """
        if not os.access(self.folder, os.W_OK) or os.stat(self.folder).st_uid != os.geteuid():
            return 0
        if not self._compacting.acquire(blocking=False):
            return 0  # another thread is at it
        try:
            # A database of its own: what it needs of memory is not taken from the questions.
            with reading(), alone(self._duckdb) as connection:
                held = partial(self._held, connection)
                return on_disk.compact(connection, self.folder, held, KNOWN, progress)
        except StoreError as exc:
            raise StoreError(f"segments could not be compacted: {first_line(exc)}") from exc
        finally:
            self._compacting.release()

    def _with_events(self, answer: Callable[[Files], Answer], until: float = math.inf) -> Answer:
        """What ``answer`` makes of the files; no file is looked at by itself after ``until``.

        After an error of any class the answer is of the files that can be read, see ``broken``.
        """
        self._broken.try_again()
        failed: UnreadableError | None = None
        read: set[str] = set()
        for attempt in range(TRIES):
            there = self._readable(read, until) if attempt else self._files()
            files = there.without(self._broken)
            try:
                with reading():
                    found = answer(files)
            except DatabaseLostError as exc:
                failed = exc  # maybe another thread's answer broke it; the next one is new
            except UnreadableError as exc:
                failed = exc
                if attempt and files.all_exist():
                    break  # each was read a moment ago, so it is the question
                if not attempt and self._fails_anyway(exc, answer):
                    break
            else:
                remarks = (f"left out: {said}" for said in self._broken.said(there.paths))
                return found._replace(remarks=(*found.remarks, *remarks))
        raise StoreError(str(failed or "no answer")) from failed

    def _fails_anyway(self, failed: UnreadableError, answer: Callable[[Files], Answer]) -> bool:
        """True when it fails in the same way over no file: a slip in SQL has none of them read."""
        try:
            with reading():
                answer(Files((), ()))
        except UnreadableError as exc:
            return str(exc) == str(failed)
        return False

    def _files(self) -> Files:
        files = list_files(self.folder)
        if sum(_size(path) for path in files.segments if on_disk.is_quiet(path)) > WORTH_IT:
            with suppress(StoreError):  # a full disk: they can be read as they are
                if self.compact():
                    files = list_files(self.folder)
        return files

    def _readable(self, read: set[str], until: float) -> Files:
        """What is there, once all has been read that is not broken; ``read`` are the paths."""
        checking = Connections(self._duckdb)  # a file that breaks the database breaks this one
        try:
            for _ in range(TRIES):
                files = list_files(self.folder)
                for path in files.without(self._broken).paths:
                    if clock.monotonic() > until:
                        return files
                    if path not in read and self._reads(checking, path):
                        read.add(path)
                # What has gone since the list was made may be in a file that is not on it.
                if files.all_exist():
                    break
        finally:
            checking.close()
        return files

    def _reads(self, checking: Connections, path: str) -> bool:
        """True when every value of the file can be read as an answer would read it."""
        self._inside.pop(path, None)  # somebody may have put another file there
        alone = Files((path,), ()) if path.endswith(".jsonl") else Files((), (path,))
        try:
            with reading(), checking.taken() as taken:
                make_views(taken.connection, alone, partial(self._held, taken.connection))
                taken.connection.execute(f"SELECT {EVERY_VALUE} FROM every_line").fetchall()
        except UnreadableError as exc:
            self._broken.add(path, exc)
            return False
        return True

    def _held(self, connection: DuckDBPyConnection, path: str) -> Inside:
        """What this Parquet file was made of; that is read once, for it stays."""
        if path not in self._inside:
            self._inside[path] = inside(connection, path)
        return self._inside[path]

    @contextmanager
    def _viewing(self, files: Files) -> Iterator[DuckDBPyConnection]:
        """A connection to the shared database, for SQL of ours; ``events`` are in these files."""
        with self._connections().taken() as taken:
            if taken.files != files:
                make_views(taken.connection, files, partial(self._held, taken.connection))
                taken.files = files
            yield taken.connection

    def _viewed(self, answer: Callable[[DuckDBPyConnection], Answer], files: Files) -> Answer:
        with self._viewing(files) as connection:
            return answer(connection)

    def _apart(self, files: Files, text: str, seconds: float, rows: int) -> Answer:
        """A process of its own, for a person's SQL, which can read these files only."""
        return adhoc.run(files, text, seconds, rows)

    def _connections(self) -> Connections:
        """Those of this process: a fork has none of the threads of its parent's."""
        if self._shared.pid != os.getpid():
            self._shared.abandon()
            self._shared = Connections(self._duckdb)
        return self._shared


def _columns(done: duckdb.DuckDBPyConnection) -> tuple[str, ...]:
    return tuple(each[0] for each in done.description or ())


def _size(path: str) -> int:
    try:
        return os.path.getsize(path)
    except OSError:
        return 0
