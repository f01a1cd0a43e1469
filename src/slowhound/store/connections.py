"""Connections to DuckDB, kept from one answer to the next.

To open a database takes about 13 ms of CPU, views over all columns as much again, and a page of the
viewer asks up to eight times. So a source has one database in memory; each answer has a connection
of its own to it, whose views stay as they are while the files do.
"""

from __future__ import annotations

import ctypes
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from slowhound.runtime.library_names import caught
from slowhound.store.answer import StoreError
from slowhound.store.broken import UnreadableError, first_line, is_interruption
from slowhound.store.event_files import Files
from slowhound.store.parquet import exactly, quoted

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

MEMORY = "1GB"
ADHOC_MEMORY = "256MB"
# Four that read segments, 32 MB each and more, had not enough for a count(*).
ADHOC_THREADS = 2


class DatabaseLostError(UnreadableError):
    """The database answers nothing any more; the next one asked for is another one."""


@contextmanager
def alone(duckdb: Any) -> Iterator[DuckDBPyConnection]:
    """A database in memory that nobody else uses, and that is gone afterwards."""
    connection = _open(duckdb)
    try:
        yield connection
    finally:
        _end(connection)


def _end(connection: DuckDBPyConnection) -> None:
    """Closes it, and whatever it still does: DuckDB 1.x would wait for that, after Ctrl-C."""
    with suppress(Exception):  # it is closed already
        connection.interrupt()
    connection.close()


def _open(duckdb: Any) -> DuckDBPyConnection:
    connection: DuckDBPyConnection = duckdb.connect(
        ":memory:",
        config={
            "memory_limit": MEMORY,
            "temp_directory": "",  # else it would be below the current folder
            "autoinstall_known_extensions": "false",
            "autoload_known_extensions": "false",
            "enable_external_file_cache": "false",  # what was read shall not stay in memory
        },
    )
    # Where Python is interactive, 2.0 draws a bar into standard output after two seconds.
    connection.execute("SET enable_progress_bar = false")
    # From 2.0 on there are eight more threads, for files that are far away.
    with suppress(*caught("duckdb.Error")):
        connection.execute("SET async_threads = 0")
    return connection


def shut(connection: DuckDBPyConnection, files: Files) -> None:
    """From here on the connection can do nothing but read these files."""
    # DuckDB looks for the pattern that it is given as well as for the path that this leads to.
    allowed = {each for path in files.paths for each in (path, exactly(path))}
    for setting in (
        # Each has a stack and memory of its own; and a person's SQL leaves CPUs to the workers.
        f"threads = {min(os.cpu_count() or 1, ADHOC_THREADS)}",
        "python_enable_replacements = false",
        f"allowed_paths = {quoted(allowed)}",
        f"memory_limit = '{ADHOC_MEMORY}'",
        "enable_external_access = false",
        "lock_configuration = true",
    ):
        connection.execute(f"SET {setting}")


@contextmanager
def bounded(connection: DuckDBPyConnection, seconds: float) -> Iterator[None]:
    """Ends what the connection does within, after that many seconds.

    Raises:
        StoreError: it was ended.
    """
    ended = threading.Event()

    def end() -> None:
        ended.set()
        connection.interrupt()

    timer = threading.Timer(seconds, end)
    timer.daemon = True
    timer.start()
    try:
        yield
    except Exception as exc:
        if ended.is_set() and not is_interruption(exc):
            raise StoreError(f"it took longer than {seconds:g} s and was ended") from exc
        raise
    finally:
        timer.cancel()


@dataclass(slots=True)
class Taken:
    """A connection in use, and the files that its views are over."""

    connection: DuckDBPyConnection
    database: DuckDBPyConnection  # kept from ending
    files: Files | None = None


class Connections:
    """The connections to one database, which is opened when the first is taken."""

    def __init__(self, duckdb: Any) -> None:
        self.pid = os.getpid()
        self._duckdb = duckdb
        self._opening = threading.Lock()
        self._database: DuckDBPyConnection | None = None
        self._idle: list[Taken] = []

    @contextmanager
    def taken(self) -> Iterator[Taken]:
        """A connection that nobody else uses meanwhile; one that failed is not used again.

        Raises:
            DatabaseLostError: what failed has taken the whole database with it.
        """
        taken = self._take()
        try:
            yield taken
        except BaseException as exc:
            _end(taken.connection)
            if isinstance(exc, Exception) and not _answers(taken.database):
                self._lose(taken.database)
                raise DatabaseLostError(first_line(exc)) from exc
            raise
        if taken.database is self._database:
            self._idle.append(taken)
        else:
            taken.connection.close()  # all were closed in the meantime

    def close(self) -> None:
        """Closes the database as soon as nobody uses it; whoever asks again opens another one."""
        with self._opening:
            # It ends with its last reference: to close it now would end answers of other threads.
            self._database = None
            idle, self._idle = self._idle, []
        while idle:
            idle.pop().connection.close()

    def _lose(self, database: DuckDBPyConnection) -> None:
        """The same, unless another thread has done it."""
        if self._database is database:
            self.close()

    def abandon(self) -> None:
        """Never frees them, in a fork: DuckDB would wait for threads that only the parent has."""
        ctypes.pythonapi.Py_IncRef(ctypes.py_object(self))

    def _take(self) -> Taken:
        with suppress(IndexError):
            return self._idle.pop()
        with self._opening:
            if self._database is None:
                self._database = _open(self._duckdb)
            return Taken(self._database.cursor(), self._database)


def _answers(database: DuckDBPyConnection) -> bool:
    """False when an error has ended more than the answer that it came from."""
    with suppress(Exception), database.cursor() as cursor:
        return cursor.execute("SELECT 1").fetchall() == [(1,)]
    return False
