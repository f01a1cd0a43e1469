"""Questions over the local files, by DuckDB.

Each answer has a connection of its own (``connections``): there is no state to share between
threads. What it reads is what was there when it was asked. A person's SQL has a database of its
own, which is locked before the SQL is run.
"""

from __future__ import annotations

import os
import re
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, suppress
from functools import partial
from typing import TYPE_CHECKING, Any

from slowhound.fields import FIELDS
from slowhound.store import files as on_disk
from slowhound.store.broken import EVERY_VALUE, Broken, UnreadableError, first_line, reading
from slowhound.store.columns import duckdb_types
from slowhound.store.connections import Connections, DatabaseLostError, alone, bounded, shut
from slowhound.store.files import Files, Inside, Progress, list_files, quoted
from slowhound.store.questions import bound
from slowhound.store.shim import DUCKDB_MACROS, for_duckdb, names_in
from slowhound.store.source import Answer, Health, StoreError, plain, shortened

if TYPE_CHECKING:
    import duckdb
    from duckdb import DuckDBPyConnection

KNOWN = [field.name for field in FIELDS]
# Whoever reads compacts, but from this size on only: a page of the viewer shall not leave a small
# file behind each time.
WORTH_IT = 8 * 1024**2
TRIES = 6
# How a question begins, behind remarks. DuckDB 1.x puts SELECTs of its own in the place of PRAGMA
# and IMPORT DATABASE while it parses, out of files if need be: those never get so far. Nor does a
# remark within a remark: where that ends, DuckDB may see otherwise.
QUESTION = re.compile(
    r"(?:\s|\(|--[^\n]*+|/\*(?:[^*/]++|\*(?!/)|/(?!\*))*\*/)*"
    r"(?:SELECT|WITH|FROM|VALUES|TABLE|DESCRIBE|SUMMARIZE|SHOW)\b",
    re.IGNORECASE,
)


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


class LocalFiles:
    """The events of one ``DIR``, as a ``Source``.

    Args:
        directory: ``DIR``.

    Raises:
        StoreError: DuckDB is not installed.
    """

    def __init__(self, directory: str) -> None:
        self._duckdb = load_duckdb()
        self.folder = os.path.join(os.path.abspath(directory), "events")
        self._inside: dict[str, Inside] = {}  # of Parquet files, which do not change
        self._broken = Broken()
        self._compacting = threading.Lock()
        self._shared = Connections(self._duckdb)

    def ask(
        self,
        question: str,
        *,
        since: float | None = None,
        until: float | None = None,
        limit: int = 50,
        **parameters: Any,
    ) -> Answer:
        """See ``Source.ask``."""
        asked, values = bound(question, since, until, limit, parameters)
        return self.sql(asked.sql, values)

    def sql(self, text: str, parameters: Mapping[str, Any] | None = None) -> Answer:
        """See ``Source.sql``."""
        wanted = for_duckdb(text)
        named = names_in(wanted)  # DuckDB refuses more than it needs
        values = {name: each for name, each in (parameters or {}).items() if name in named}

        def answer(connection: DuckDBPyConnection) -> Answer:
            done = connection.execute(wanted, values)
            return Answer(_columns(done), [plain(row) for row in done.fetchall()])

        return self._with_events(answer, self._viewing)

    def adhoc(self, text: str, seconds: float = 10.0, rows: int = 1000) -> Answer:
        """See ``Source.adhoc``."""

        def answer(connection: DuckDBPyConnection) -> Answer:
            wanted = for_duckdb(_one_select(connection, text))
            with bounded(connection, seconds):
                done = connection.execute(wanted)
                found = done.fetchmany(rows + 1)
            notes = (f"only the first {rows} rows are shown",) if len(found) > rows else ()
            return Answer(_columns(done), [shortened(plain(row)) for row in found[:rows]], notes)

        return self._with_events(answer, self._locked)

    def health(self) -> Health:
        """See ``Source.health``."""
        counted = """SELECT count(*), count(*) FILTER (event_type IS NULL), min(ts), max(ts)
            FROM every_line"""
        problems: list[str] = []
        row: tuple[Any, ...] = (0, 0, None, None)
        try:
            row = self._with_events(
                lambda connection: Answer((), connection.execute(counted).fetchall()),
                self._viewing,
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

    def _with_events(
        self,
        answer: Callable[[DuckDBPyConnection], Answer],
        connected: Callable[[Files], AbstractContextManager[DuckDBPyConnection]],
    ) -> Answer:
        """What ``answer`` makes of a connection with ``events``.

        After an error of any class the answer is of the files that can be read, see ``broken``.
        """
        self._broken.try_again()
        failed: UnreadableError | None = None
        read: set[str] = set()
        for attempt in range(TRIES):
            there = self._readable(read) if attempt else self._files()
            files = there.without(self._broken)
            try:
                with reading(), connected(files) as connection:
                    found = answer(connection)
            except DatabaseLostError as exc:
                failed = exc  # maybe another thread's answer broke it; the next one is new
            except UnreadableError as exc:
                failed = exc
                if attempt and files.all_exist():
                    break  # each was read a moment ago, so it is the question
                if not attempt and self._fails_anyway(exc, answer, connected):
                    break
            else:
                notes = (f"left out: {said}" for said in self._broken.said(there.paths))
                return found._replace(notes=(*found.notes, *notes))
        raise StoreError(str(failed or "no answer")) from failed

    def _fails_anyway(
        self,
        failed: UnreadableError,
        answer: Callable[[DuckDBPyConnection], Answer],
        connected: Callable[[Files], AbstractContextManager[DuckDBPyConnection]],
    ) -> bool:
        """True when it fails in the same way over no file: a slip in SQL has none of them read."""
        try:
            with reading(), connected(Files((), ())) as connection:
                answer(connection)
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

    def _readable(self, read: set[str]) -> Files:
        """What is there, once all has been read that is not broken; ``read`` are the paths."""
        checking = Connections(self._duckdb)  # a file that breaks the database breaks this one
        try:
            for _ in range(TRIES):
                files = list_files(self.folder)
                for path in files.without(self._broken).paths:
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
        alone = Files((path,), ()) if path.endswith(".jsonl") else Files((), (path,))
        try:
            with reading(), checking.taken() as taken:
                self._make_views(taken.connection, alone)
                taken.connection.execute(f"SELECT {EVERY_VALUE} FROM every_line").fetchall()
        except UnreadableError as exc:
            self._broken.add(path, exc)
            return False
        return True

    def _held(self, connection: DuckDBPyConnection, path: str) -> frozenset[str]:
        """The segments that are in this Parquet file, which is read once, for it stays."""
        if path not in self._inside:
            self._inside[path] = on_disk.inside(connection, path)
        return self._inside[path].segments

    def _make_views(self, connection: DuckDBPyConnection, files: Files) -> None:
        # No row, but each column and its type: files of another version have others.
        columns = ", ".join(f'NULL::{kind} AS "{name}"' for name, kind in duckdb_types().items())
        parts = [f"SELECT {columns} WHERE false"]
        if files.parquet:
            parts.append(f"SELECT * FROM read_parquet({quoted(files.parquet)}, union_by_name=true)")
        held = {name for path in files.parquet for name in self._held(connection, path)}
        rest = [path for path in files.segments if on_disk.name_of(path) not in held]
        if rest:
            parts.append(on_disk.read_segments(rest, KNOWN))
        connection.execute(
            f"CREATE OR REPLACE TEMP VIEW every_line AS {' UNION ALL BY NAME '.join(parts)};"
            "CREATE OR REPLACE TEMP VIEW events AS"
            " SELECT * FROM every_line WHERE event_type IS NOT NULL;"
            f"{DUCKDB_MACROS}"
        )

    @contextmanager
    def _viewing(self, files: Files) -> Iterator[DuckDBPyConnection]:
        """A connection to the shared database, for SQL of ours; ``events`` are in these files."""
        with self._connections().taken() as taken:
            if taken.files != files:
                self._make_views(taken.connection, files)
                taken.files = files
            yield taken.connection

    @contextmanager
    def _locked(self, files: Files) -> Iterator[DuckDBPyConnection]:
        """A database of its own, for a person's SQL, which can read these files only."""
        with alone(self._duckdb) as connection:
            self._make_views(connection, files)
            shut(connection, files)
            yield connection

    def _connections(self) -> Connections:
        """Those of this process: a fork has none of the threads of its parent's."""
        if self._shared.pid != os.getpid():
            self._shared.abandon()
            self._shared = Connections(self._duckdb)
        return self._shared


def _one_select(connection: DuckDBPyConnection, text: str) -> str:
    import duckdb

    if QUESTION.match(text):
        statements = connection.extract_statements(text)
        if len(statements) == 1 and statements[0].type == duckdb.StatementType.SELECT:
            return statements[0].query  # some spaces have become others
    raise StoreError("one SELECT is what can be asked here")


def _columns(done: duckdb.DuckDBPyConnection) -> tuple[str, ...]:
    return tuple(each[0] for each in done.description or ())


def _size(path: str) -> int:
    try:
        return os.path.getsize(path)
    except OSError:
        return 0
