"""The lines of a source file, without asking the application for them."""

from __future__ import annotations

import linecache
import os


def source_lines(filename: str) -> list[str]:
    """As ``linecache.getlines``; none where only a loader has them.

    An entry of one member is a promise: of a file that is not on the disk, ``linecache`` then asks
    the loader of its module, which may decrypt, or query a database. Python's ``traceback`` leaves
    such entries for all that it has seen.
    """
    entry = linecache.cache.get(filename, ())
    if len(entry) == 1 and not os.path.isfile(filename):
        return []
    return linecache.getlines(filename)


def source_line(filename: str, line: int) -> str:
    """One of them, counted from 1; empty when there is none."""
    lines = source_lines(filename)
    return lines[line - 1] if 0 < line <= len(lines) else ""
