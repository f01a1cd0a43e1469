"""Lines of a source file: the ones asked for, and the rest of the file is not kept.

``linecache`` keeps each file that was ever asked for, whole: 36,000 lines in a worker after five
minutes of slow requests. Their strings stay wherever there was room while a large request ran, so
that up to 45 MiB could not be given back after it.

All lines leave here with the secrets in them masked. Nothing else of slowhound's opens files of
source (``tests/unit/test_boundaries.py``): what a line continues is only known where the lines
before it are.
"""

from __future__ import annotations

import functools
import itertools
import linecache
import os
import stat
from collections import deque
from collections.abc import Generator, Iterator
from contextlib import closing
from typing import TextIO

from slowhound.redaction.masking import cached
from slowhound.redaction.source import SourceMask
from slowhound.redaction.source_tokens import begins_statement

# Bytes of a file, and characters of a line. What is longer was not written by people: 900 frames in
# one line of 500 KiB took 1.8 GB of memory for one report.
LARGEST, LONGEST = 8 * 1024 * 1024, 1000
# Characters of a line that are looked at: it is masked before it is cut.
_READ = 16 * 1024
# Lines of one statement: of a longer one it is not known how it began, but for its literals.
_BEFORE = 200
# Not to be left to a child, nor to wait for the other end of a pipe, nor to take a terminal.
_FLAGS = (
    os.O_RDONLY
    | getattr(os, "O_CLOEXEC", 0)
    | getattr(os, "O_NONBLOCK", 0)
    | getattr(os, "O_NOCTTY", 0)
)


def source_lines(filename: str, first: int, last: int) -> list[str]:
    """Those of these numbers, counted from 1, with secrets masked; then cut at ``LONGEST``.

    They are fewer where the file ends before.
    """
    first, shown, before = max(first, 1), list[str](), _Before()
    try:
        with closing(_lines(filename)) as lines:
            for number, line in enumerate(itertools.islice(lines, max(last, 0)), 1):
                if number < first:
                    before.add(line)
                else:
                    shown.append(before.mask().line(line)[:LONGEST])
    except (OSError, ValueError):  # not there, no name of a file, no file of source
        return []
    return shown


class _Before:
    """The lines before those that are asked for, as far as these may continue them."""

    def __init__(self) -> None:
        self._kept: deque[str] = deque()
        self._mask = SourceMask()  # of what stands before these
        self._ahead = SourceMask()

    def add(self, line: str) -> None:
        if begins_statement(line) and not self._ahead.in_literal:
            self._kept.clear()
            self._mask = SourceMask()
        elif len(self._kept) == _BEFORE:
            self._mask.skip(self._kept.popleft())
        self._kept.append(line)
        self._ahead.skip(line)

    def mask(self) -> SourceMask:
        """What masks the next line."""
        while self._kept:
            self._mask.line(self._kept.popleft())
        return self._mask


def source_part(filename: str, first: int, last: int, begin: int, end: int) -> str:
    """What stands from one column to another (bytes of UTF-8, from 0) of two lines.

    Empty when the file does not have it, or when it may not be shown: it has a literal that is
    masked in its line.
    """
    # One line is mostly all, and is remembered.
    found = [_one(filename, first)] if first == last else _unmasked(filename, first, last)
    # Long ones, and what is no UTF-8, where the columns count other bytes.
    if any(not each or len(each) > LONGEST or "\ufffd" in each for each in found):
        return ""
    lines = [each.encode() for each in found]
    if len(lines) != last - first + 1:
        return ""
    lines[-1] = lines[-1][:end]
    lines[0] = lines[0][begin:]
    text = b"".join(lines).decode(errors="replace")
    if "'" not in text and '"' not in text and "#" not in text:
        return text
    one = first == last
    shown = source_line(filename, first) if one else "".join(source_lines(filename, first, last))
    return text if " ".join(text.split()) in " ".join(shown.split()) else ""


def _one(filename: str, line: int) -> str:
    try:
        return _kept(filename, line)
    except LookupError:
        return ""


@functools.lru_cache(maxsize=4096)
def _kept(filename: str, line: int) -> str:
    return _unmasked(filename, line, line)[0]


def _unmasked(filename: str, first: int, last: int) -> list[str]:
    try:
        with closing(_lines(filename)) as lines:
            return list(itertools.islice(lines, max(first - 1, 0), max(last, 0)))
    except (OSError, ValueError):
        return []


def _lines(filename: str) -> Generator[str]:
    """All lines of a file, cut at ``_READ``.

    What ``linecache`` already has counts more than the disk: such as a cell of a notebook, which is
    in no file. But an entry of one member is only a promise, for which ``linecache`` would ask the
    loader of a module, and that may decrypt, or query a database. Python's ``traceback`` leaves
    such entries for all that it has seen. It is left alone.

    All is read as UTF-8: a file may name an encoding that is the application's own code.
    """
    entry = dict.get(linecache.cache, filename)
    if type(entry) is tuple and len(entry) == 4 and type(entry[2]) is list:
        yield from (line[:_READ] for line in entry[2] if type(line) is str)
    elif os.path.isabs(filename):  # not "<string>", which may be a file of that name
        with os.fdopen(_open(filename), encoding="utf-8", errors="replace") as file:
            yield from _read(file)


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


def _read(file: TextIO) -> Iterator[str]:
    # A byte order mark; the codec that knows it may have to be imported yet.
    line = file.readline(_READ).removeprefix("\ufeff")
    while line:
        piece = line
        while piece and not piece.endswith("\n"):
            piece = file.readline(64 * 1024)
        # The end of a line that is cut is one, too.
        yield line if line.endswith("\n") or len(line) < _READ else line + "\n"
        line = file.readline(_READ)


def source_line(filename: str, line: int) -> str:
    """One of them; empty when there is none."""
    try:
        return _shown(f"{line} {filename}")
    except LookupError:  # now; it may be there the next time
        return ""


@cached
def _shown(place: str) -> str:
    line, _, filename = place.partition(" ")
    return source_lines(filename, int(line), int(line))[0]
