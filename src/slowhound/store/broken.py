"""Keeps track of broken files, so that the others can still be read.

Which exception DuckDB raises for damage depends on the kind and on its version: a wrong length of
the footer is ``InvalidInputException`` up to 2.0.0 and ``duckdb.Error`` in 2.0.1; wrong bytes in it
are ``duckdb.Error``, but ``RuntimeError`` from ``duckdb.sql`` in 1.4.0. So the class is ignored:
every exception becomes ``UnreadableError``, and then each file is read by itself.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Iterable, Iterator
from contextlib import contextmanager

from slowhound.runtime.clocks import clock
from slowhound.store.answer import StoreError

# SQL that decodes every value and keeps none. Nothing less finds damage in a page: max() of a
# column only reads the footer. It takes 0.1 s for a file of 236,000 events.
EVERY_VALUE = "bit_xor(hash(COLUMNS(*)))"
# DuckDB 1.4.0 to 2.0.1 raises a RuntimeError with this text for an exception of a signal handler.
INTERRUPTED_TEXT = "Query interrupted"
RETRY_AFTER = 60.0  # seconds; memory or file descriptors may have run out only for a moment


class UnreadableError(StoreError):
    """DuckDB raised an error; the text is the first line of its message."""


@contextmanager
def as_unreadable() -> Iterator[None]:
    """Turns every exception of DuckDB within into ``UnreadableError``.

    Raises:
        UnreadableError: see there.
        StoreError: slowhound's own errors pass unchanged.
        BaseException: what a signal handler raised, such as KeyboardInterrupt.
    """
    try:
        yield
    except StoreError:
        raise
    except Exception as exc:
        if is_interruption(exc):
            raise _interruption(exc) from None
        raise UnreadableError(first_line(exc)) from exc


def is_interruption(exc: Exception) -> bool:
    """True when a signal handler raised an exception during the query.

    DuckDB 2.0 sometimes checks for that only when the query ends.
    """
    return first_line(exc) == INTERRUPTED_TEXT


def _interruption(exc: Exception) -> BaseException:
    """The handler's exception, such as of a server that stops. DuckDB 2.0.1 does not pass it on."""
    if exc.__cause__ is not None:
        return exc.__cause__
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        return KeyboardInterrupt()
    return StoreError("the query was interrupted by a signal")


def first_line(exc: Exception) -> str:
    """DuckDB's message, without the lines that point into the SQL."""
    return str(exc).partition("\n")[0] or type(exc).__name__


class BrokenFiles:
    """The files that could not be read lately. Safe to use from several threads at once."""

    def __init__(self) -> None:
        self._found: dict[str, tuple[float, str]] = {}

    def add(self, path: str, exc: Exception) -> None:
        """Reading ``path`` raised ``exc``; a file that no longer exists is ignored."""
        if os.path.lexists(path):
            message = f"{os.path.basename(path)}: {first_line(exc)}"
            self._found[path] = (clock.monotonic(), message)

    def __contains__(self, path: object) -> bool:
        return path in self._found

    def messages(self, paths: Iterable[str]) -> tuple[str, ...]:
        """One line for people for each of these paths that is broken."""
        found = (self._found.get(path) for path in paths)
        return tuple(each[1] for each in found if each is not None)

    def try_again(self) -> None:
        """Forgets entries older than ``RETRY_AFTER``, so that their files are read again."""
        for path, (since, _) in list(self._found.items()):
            if clock.monotonic() - since > RETRY_AFTER:
                self._found.pop(path, None)
