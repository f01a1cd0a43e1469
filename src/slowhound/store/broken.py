"""Files that cannot be read, which must not keep the others from being read.

DuckDB raises a class for each kind of damage, and other classes with each of its versions: a wrong
length of the footer is ``InvalidInputException`` up to 2.0.0 and ``duckdb.Error`` in 2.0.1, wrong
bytes in it are ``duckdb.Error``, but ``RuntimeError`` out of ``duckdb.sql`` of 1.4.0. So no class
is taken as a sign of anything: whatever was raised becomes ``UnreadableError``, and then each file
is read by itself.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Iterable, Iterator
from contextlib import contextmanager

from slowhound.runtime.clocks import clock
from slowhound.store.answer import StoreError

# SQL that decodes every value and keeps none. Damage in a page is found by nothing less: max() of a
# column is answered out of the footer. It takes 0.1 s for a file of 236,000 events.
EVERY_VALUE = "bit_xor(hash(COLUMNS(*)))"
# What DuckDB 1.4.0 to 2.0.1 makes of what the handler of a signal raises: a RuntimeError's text.
INTERRUPTED = "Query interrupted"
AGAIN_AFTER = 60.0  # seconds; it may have been for want of memory or of descriptors


class UnreadableError(StoreError):
    """DuckDB has raised something; the text is the first line of what it says."""


@contextmanager
def reading() -> Iterator[None]:
    """Makes ``UnreadableError`` of all that DuckDB raises within, whatever its class.

    Raises:
        UnreadableError: see there.
        StoreError: one of ours passes as it is.
        BaseException: what a handler of a signal has raised, KeyboardInterrupt for one.
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
    """True when the handler of a signal has raised something meanwhile.

    2.0 looks for that when the query ends, at times.
    """
    return first_line(exc) == INTERRUPTED


def _interruption(exc: Exception) -> BaseException:
    """What it was: a server's way to stop, an application's limit of time. 2.0.1 does not say."""
    if exc.__cause__ is not None:
        return exc.__cause__
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        return KeyboardInterrupt()
    return StoreError("the question was interrupted by a signal")


def first_line(exc: Exception) -> str:
    """What DuckDB says, without the lines that point into the SQL."""
    return str(exc).partition("\n")[0] or type(exc).__name__


class Broken:
    """The files that could not be read of late. Safe to use from several threads at once."""

    def __init__(self) -> None:
        self._found: dict[str, tuple[float, str]] = {}

    def add(self, path: str, exc: Exception) -> None:
        """``exc`` came of reading ``path``; of a file that has gone that is no wonder."""
        if os.path.lexists(path):
            said = f"{os.path.basename(path)}: {first_line(exc)}"
            self._found[path] = (clock.monotonic(), said)

    def __contains__(self, path: object) -> bool:
        return path in self._found

    def said(self, paths: Iterable[str]) -> tuple[str, ...]:
        """A line for people for each of these paths that is broken."""
        found = (self._found.get(path) for path in paths)
        return tuple(each[1] for each in found if each is not None)

    def try_again(self) -> None:
        """Forgets what is older than a minute."""
        for path, (since, _) in list(self._found.items()):
            if clock.monotonic() - since > AGAIN_AFTER:
                self._found.pop(path, None)
