"""Lines of a source file: the ones asked for, and the rest of the file is not kept.

``linecache`` keeps each file that was ever asked for, whole: 36,000 lines in a worker after five
minutes of slow requests. Their strings stay wherever there was room while a large request ran, so
that up to 45 MiB could not be given back after it.
"""

from __future__ import annotations

import functools
import itertools
import linecache
import os
import stat
from collections.abc import Iterator
from typing import TextIO

# Bytes of a file, and characters of a line. What is longer was not written by people: 900 frames in
# one line of 500 KiB took 1.8 GB of memory for one report.
LARGEST, LONGEST = 8 * 1024 * 1024, 1000
# Not to be left to a child, nor to wait for the other end of a pipe, nor to take a terminal.
_FLAGS = (
    os.O_RDONLY
    | getattr(os, "O_CLOEXEC", 0)
    | getattr(os, "O_NONBLOCK", 0)
    | getattr(os, "O_NOCTTY", 0)
)


def source_lines(filename: str, first: int, last: int) -> list[str]:
    """Those of these numbers, counted from 1; fewer where the file ends before, cut at ``LONGEST``.

    What ``linecache`` already has counts more than the disk: such as a cell of a notebook, which is
    in no file. But an entry of one member is only a promise, for which ``linecache`` would ask the
    loader of a module, and that may decrypt, or query a database. Python's ``traceback`` leaves
    such entries for all that it has seen. It is left alone.

    All is read as UTF-8: a file may name an encoding that is the application's own code.
    """
    first = max(first, 1)
    entry = dict.get(linecache.cache, filename)
    if type(entry) is tuple and len(entry) == 4 and type(entry[2]) is list:
        return [line[:LONGEST] for line in entry[2][first - 1 : last] if type(line) is str]
    if not os.path.isabs(filename):  # as "<string>", which may be a file of that name
        return []
    try:
        with os.fdopen(_open(filename), encoding="utf-8", errors="replace") as file:
            return list(_read(file, first, last))
    except (OSError, ValueError):  # not there, no name of a file, no file of source
        return []


def _open(filename: str) -> int:
    """The descriptor of a regular file of some size; raises ValueError for all else.

    Opening a pipe waits, and files of ``/proc`` have no size, and no end or what is secret.
    """
    # What the name means may change at any time, so the open file is asked what it is.
    descriptor = os.open(filename, _FLAGS)
    found = os.fstat(descriptor)
    if stat.S_ISREG(found.st_mode) and 0 < found.st_size <= LARGEST:
        return descriptor
    os.close(descriptor)
    raise ValueError(f"no source: {filename}")


def _read(file: TextIO, first: int, last: int) -> Iterator[str]:
    next(itertools.islice(file, first - 1, first - 1), None)  # the lines before it
    for number in range(first, last + 1):
        line = piece = file.readline(LONGEST)
        if number == 1:  # a byte order mark; the codec that knows it may have to be imported yet
            line = line.removeprefix("\ufeff")
        if not line:
            return
        while piece and not piece.endswith("\n"):
            piece = file.readline(64 * 1024)
        yield line


def source_line(filename: str, line: int) -> str:
    """One of them; empty when there is none."""
    try:
        return _kept(filename, line)
    except LookupError:  # now; it may be there the next time
        return ""


@functools.lru_cache(maxsize=4096)
def _kept(filename: str, line: int) -> str:
    return source_lines(filename, line, line)[0]
