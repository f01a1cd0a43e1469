"""Files that cannot be read, which must not keep the others from being read.

DuckDB raises a class for each kind of damage, and other classes with each of its versions: 1.4 and
2.0 raise ``InvalidInputException``, ``IOException`` and ``duckdb.Error`` itself, not for the same
files. So no class is taken as a sign of a broken file: whatever was raised, each file is then read
by itself.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterable
from typing import Any

# SQL that decodes every value and keeps none. Damage in a page is found by nothing less: max() of a
# column is answered out of the footer. It takes 0.1 s for a file of 236,000 events.
EVERY_VALUE = "bit_xor(hash(COLUMNS(*)))"
AGAIN_AFTER = 60.0  # seconds; it may have been for want of memory or of descriptors


def read_errors(duckdb: Any, *more: type[Exception]) -> tuple[type[Exception], ...]:
    """What may be raised when DuckDB reads a file, for ``except``; and ``more``."""
    # ValueError: a message that quotes damaged bytes is no UTF-8, and becomes UnicodeDecodeError.
    return duckdb.Error, ValueError, *more


def first_line(exc: Exception) -> str:
    """What DuckDB says, without the lines that point into the SQL."""
    return str(exc).partition("\n")[0]


class Broken:
    """The files that could not be read of late. Safe to use from several threads at once."""

    def __init__(self) -> None:
        self._found: dict[str, tuple[float, str]] = {}

    def add(self, path: str, exc: Exception) -> None:
        """``exc`` came of reading ``path``; of a file that has gone that is no wonder."""
        if os.path.lexists(path):
            said = f"{os.path.basename(path)}: {first_line(exc)}"
            self._found[path] = (time.monotonic(), said)

    def __contains__(self, path: object) -> bool:
        return path in self._found

    def said(self, paths: Iterable[str]) -> tuple[str, ...]:
        """A line for people for each of these paths that is broken."""
        found = (self._found.get(path) for path in paths)
        return tuple(each[1] for each in found if each is not None)

    def try_again(self) -> None:
        """Forgets what is older than a minute."""
        for path, (since, _) in list(self._found.items()):
            if time.monotonic() - since > AGAIN_AFTER:
                self._found.pop(path, None)
