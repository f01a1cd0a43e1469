"""Reads lines of source files, with secrets masked, and keeps nothing else of the file.

``linecache`` keeps each file that was ever read, whole: 36,000 lines in a worker after five minutes
of slow requests. Their strings stay wherever there was room while a large request ran, so that up
to 45 MiB could not be given back after it.

All lines leave here with the secrets in them masked. Nothing else of slowhound's opens source files
(``tests/unit/test_boundaries.py``): what a line continues is only known where the lines before it
are.
"""

from __future__ import annotations

import functools
import linecache
import os
import stat
from collections.abc import Iterator
from itertools import islice
from typing import NamedTuple

from slowhound.redaction.masking import cached
from slowhound.redaction.source.lines import SourceMask
from slowhound.redaction.source.tokens import begins_statement

# Bytes of a file, and characters of a line. What is longer was not written by people: 900 frames in
# one line of 500 KiB took 1.8 GB of memory for one report.
LARGEST_FILE, LONGEST_LINE = 8 * 1024 * 1024, 1000
# Characters of a line that are read: it is masked before it is cut.
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


class _Lines(NamedTuple):
    """What is read of a file."""

    far: list[str]  # those in which a literal of several lines may begin or end
    near: list[str]  # all ``_BEFORE`` that come next
    wanted: list[str]


def source_lines(filename: str, first: int, last: int) -> list[str]:
    """The lines of these numbers, from 1, with secrets masked; then cut at ``LONGEST_LINE``.

    They are fewer where the file ends before.
    """
    lines = _read(filename, max(first, 1), last)
    mask = _before(lines)
    return [mask.line(line)[:LONGEST_LINE] for line in lines.wanted]


def _before(lines: _Lines) -> SourceMask:
    """What masks the wanted lines: it knows what they may continue."""
    mask, statement = _after_literals(SourceMask(), lines.far), 0
    for number, line in enumerate(lines.near):
        if not mask.in_literal and begins_statement(line):
            statement = number
        mask = _after_literals(mask, [line])
    # Of the statement all is read. Only where none is seen to begin the rest counts, too.
    mask = SourceMask() if statement else _after_literals(SourceMask(), lines.far)
    for line in lines.near[statement:]:
        mask.skip(line)
    return mask


def _after_literals(mask: SourceMask, lines: list[str]) -> SourceMask:
    for line in lines:
        if mask.in_literal:
            mask.skip(line)
        elif '"""' in line or "'''" in line:
            mask = SourceMask()
            mask.skip(line)
    return mask


def source_part(filename: str, first: int, last: int, begin: int, end: int) -> str:
    """What stands from one column to another (bytes of UTF-8, from 0) of two lines.

    Empty when the file does not have it, or not in the line as it may be shown.
    """
    # One line is mostly all, and is remembered.
    found = [_one(filename, first)] if first == last else _read(filename, first, last).wanted
    # Long ones, and what is no UTF-8, where the columns count other bytes.
    if any(not each or len(each) > LONGEST_LINE or "\ufffd" in each for each in found):
        return ""
    lines = [each.encode() for each in found]
    if len(lines) != last - first + 1:
        return ""
    lines[-1] = lines[-1][:end]
    lines[0] = lines[0][begin:]
    text = b"".join(lines).decode(errors="replace")
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
    return _read(filename, line, line).wanted[0]


def _read(filename: str, first: int, last: int) -> _Lines:
    """These lines and those before them; none when there is no such file of source.

    What ``linecache`` already has comes before the disk: such as a cell of a notebook, which is in
    no file. But an entry of one member is lazy: ``linecache`` would call the loader of a module for
    it, and that may decrypt, or query a database. Python's ``traceback`` leaves such entries for
    all that it has seen. They are not used.

    All is read as UTF-8: a file may name an encoding that is the application's own code.
    """
    entry = dict.get(linecache.cache, filename)
    if type(entry) is tuple and len(entry) == 4 and type(entry[2]) is list:
        return _taken(iter([each for each in entry[2][:last] if type(each) is str]), first, last)
    if not os.path.isabs(filename):  # as "<string>", which may be a file of that name
        return _Lines([], [], [])
    try:
        with os.fdopen(_open(filename), encoding="utf-8", errors="replace") as file:
            return _taken(file, first, last)
    except (OSError, ValueError):  # not there, no name of a file, no file of source
        return _Lines([], [], [])


def _taken(lines: Iterator[str], first: int, last: int) -> _Lines:
    if first < 1 or last < first:
        return _Lines([], [], [])
    far = max(first - 1 - _BEFORE, 0)
    return _Lines(
        [_cut(each) for each in islice(lines, far) if '"""' in each or "'''" in each],
        [_cut(each) for each in islice(lines, first - 1 - far)],
        # A byte order mark; the codec that knows it may have to be imported yet.
        [
            _cut(each if number > 1 else each.removeprefix("\ufeff"))
            for number, each in enumerate(islice(lines, last - first + 1), first)
        ],
    )


def _cut(line: str) -> str:
    return line if len(line) <= _READ else line[:_READ] + "\n"


def _open(filename: str) -> int:
    """The descriptor of a regular file of some size; raises ValueError for all else.

    Opening a pipe waits, and files of ``/proc`` have no size, and no end or what is secret.
    """
    # What the name refers to may change at any time, so the open file itself is checked.
    descriptor = os.open(filename, _FLAGS)
    found = os.fstat(descriptor)
    if stat.S_ISREG(found.st_mode) and 0 < found.st_size <= LARGEST_FILE:
        return descriptor
    os.close(descriptor)
    raise ValueError(f"no source: {filename}")


def source_line(filename: str, line: int) -> str:
    """One line; empty when there is none."""
    try:
        return _shown(f"{line} {filename}")
    except LookupError:  # now; it may be there the next time
        return ""


@cached
def _shown(place: str) -> str:
    line, _, filename = place.partition(" ")
    return source_lines(filename, int(line), int(line))[0]
