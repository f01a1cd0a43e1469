"""Connections to DuckDB that are reused from one answer to the next.

Opening a database takes about 13 ms of CPU, and views over all columns as much again; a page of the
viewer runs up to eight queries. So a source has one database in memory; each answer uses a
connection of its own to it, whose views remain while the files do not change.
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
from slowhound.store.event_files import EventFiles
from slowhound.store.parquet import exactly, quoted

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

MEMORY = "1GB"
ADHOC_MEMORY = "256MB"
# With four threads that read segments, at 32 MB and more each, a count(*) ran out of memory.
ADHOC_THREADS = 2


class DatabaseLostError(UnreadableError):
    """The database no longer answers; the next connection opens a new one."""


@contextmanager
def private_database(duckdb: Any) -> Iterator[DuckDBPyConnection]:
    """A database in memory for one use, which is closed afterwards."""
    connection = _open(duckdb)
    try:
        yield connection
    finally:
        _end(connection)


def _end(connection: DuckDBPyConnection) -> None:
    """Stops its query and closes it: DuckDB 1.x would wait for the query, even after Ctrl-C."""
    with suppress(Exception):  # it is closed already
        connection.interrupt()
    connection.close()


def _open(duckdb: Any) -> DuckDBPyConnection:
    connection: DuckDBPyConnection = duckdb.connect(
        ":memory:",
        config={
            "memory_limit": MEMORY,
            "temp_directory": "",  # the default is below the current folder
            "autoinstall_known_extensions": "false",
            "autoload_known_extensions": "false",
            "enable_external_file_cache": "false",  # keeps nothing in memory after reading
        },
    )
    # In an interactive Python 2.0 prints a progress bar to standard output after two seconds.
    connection.execute("SET enable_progress_bar = false")
    # 2.0 has eight more threads, for remote files.
    with suppress(*caught("duckdb.Error")):
        connection.execute("SET async_threads = 0")
    return connection


def restrict(connection: DuckDBPyConnection, files: EventFiles) -> None:
    """Restricts the connection to reading these files."""
    # DuckDB checks both the pattern that it is given and the path that the pattern matches.
    allowed = {each for path in files.paths for each in (path, exactly(path))}
    for setting in (
        # Each thread needs memory of its own; and ad-hoc SQL must leave CPUs to the workers.
        f"threads = {min(os.cpu_count() or 1, ADHOC_THREADS)}",
        "python_enable_replacements = false",
        f"allowed_paths = {quoted(allowed)}",
        f"memory_limit = '{ADHOC_MEMORY}'",
        "enable_external_access = false",
        "lock_configuration = true",
    ):
        connection.execute(f"SET {setting}")


@contextmanager
def time_limited(connection: DuckDBPyConnection, seconds: float) -> Iterator[None]:
    """Interrupts what the connection does within, after that many seconds.

    Raises:
        StoreError: it was interrupted.
    """
    interrupted = threading.Event()

    def end() -> None:
        interrupted.set()
        connection.interrupt()

    timer = threading.Timer(seconds, end)
    timer.daemon = True
    timer.start()
    try:
        yield
    except Exception as exc:
        if interrupted.is_set() and not is_interruption(exc):
            raise StoreError(f"it took longer than {seconds:g} s and was stopped") from exc
        raise
    finally:
        timer.cancel()


@dataclass(slots=True)
class PooledConnection:
    """A connection, and the files that its views read."""

    connection: DuckDBPyConnection
    database: DuckDBPyConnection  # a reference, so that it stays open
    files: EventFiles | None = None


class Connections:
    """The connections to one database, which is opened for the first of them."""

    def __init__(self, duckdb: Any) -> None:
        self.pid = os.getpid()
        self._duckdb = duckdb
        self._opening = threading.Lock()
        self._database: DuckDBPyConnection | None = None
        self._idle: list[PooledConnection] = []

    @contextmanager
    def borrow(self) -> Iterator[PooledConnection]:
        """A connection for exclusive use; after an error it is not used again.

        Raises:
            DatabaseLostError: the error has made the whole database unusable.
        """
        pooled = self._borrow()
        try:
            yield pooled
        except BaseException as exc:
            _end(pooled.connection)
            if isinstance(exc, Exception) and not _answers(pooled.database):
                self._lose(pooled.database)
                raise DatabaseLostError(first_line(exc)) from exc
            raise
        if pooled.database is self._database:
            self._idle.append(pooled)
        else:
            pooled.connection.close()  # all were closed in the meantime

    def close(self) -> None:
        """Closes the database as soon as no thread uses it; the next query opens a new one."""
        with self._opening:
            # The last reference closes it: closing it now would break answers of other threads.
            self._database = None
            idle, self._idle = self._idle, []
        while idle:
            idle.pop().connection.close()

    def _lose(self, database: DuckDBPyConnection) -> None:
        """Closes the database, unless another thread has done so."""
        if self._database is database:
            self.close()

    def abandon(self) -> None:
        """Never frees them, in a forked child: DuckDB would wait for threads of the parent."""
        ctypes.pythonapi.Py_IncRef(ctypes.py_object(self))

    def _borrow(self) -> PooledConnection:
        with suppress(IndexError):
            return self._idle.pop()
        with self._opening:
            if self._database is None:
                self._database = _open(self._duckdb)
            return PooledConnection(self._database.cursor(), self._database)


def _answers(database: DuckDBPyConnection) -> bool:
    """False when an error has made the whole database unusable."""
    with suppress(Exception), database.cursor() as cursor:
        return cursor.execute("SELECT 1").fetchall() == [(1,)]
    return False
