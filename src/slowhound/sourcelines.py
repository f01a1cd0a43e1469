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

# A longer one was not written by people; its first line may be all of it.
LARGEST = 8 * 1024 * 1024


def source_lines(filename: str, first: int, last: int) -> list[str]:
    """Those of these numbers, counted from 1; fewer where the file ends before.

    What ``linecache`` already has counts more than the disk: such as a cell of a notebook, which is
    in no file. But an entry of one member is only a promise, for which ``linecache`` would ask the
    loader of a module, and that may decrypt, or query a database. Python's ``traceback`` leaves
    such entries for all that it has seen. It is left alone.

    All is read as UTF-8: a file may name an encoding that is the application's own code.
    """
    first = max(first, 1)
    entry = linecache.cache.get(filename)
    if type(entry) is tuple and len(entry) == 4:
        return entry[2][first - 1 : last]
    try:
        found = os.stat(filename)
        if not stat.S_ISREG(found.st_mode) or found.st_size > LARGEST:
            return []
        with open(filename, encoding="utf-8-sig", errors="replace") as file:
            return list(itertools.islice(file, first - 1, last))
    except (OSError, ValueError):  # not there, no name of a file
        return []


@functools.lru_cache(maxsize=1024)
def source_line(filename: str, line: int) -> str:
    """One of them; empty when there is none."""
    return "".join(source_lines(filename, line, line)) if line > 0 else ""
