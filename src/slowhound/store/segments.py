"""Writes events into segments: append-only files of JSON lines in ``DIR/events``.

A segment is named ``<start in ms>-<pid>-<number>.jsonl``: names sort by age, and no two processes
share one. Each has one writer, which holds a lock on it (``flock``) that the kernel drops when the
process dies. Closed ones become ``.parquet`` files at the next query, see ``compaction``. The
oldest are removed when all together are larger than ``STORE_MAX_BYTES``, or when older than
``STORE_MAX_AGE``.
"""

from __future__ import annotations

import itertools
import os
import re

from slowhound.runtime.clocks import clock
from slowhound.system.append_file import AppendFile
from slowhound.system.private_dir import subfolder

SEGMENT_BYTES = 32 * 1024**2
SEGMENT = re.compile(r"\d+-\d+-\d+\.jsonl")
PARQUET = re.compile(r"\d+-\d+-\d+\.parquet")
# Of a compaction that is under way, or that a reader which died has left.
UNFINISHED = re.compile(r"compacting-\d+-\d+\.tmp")
# What retention removes.
SEGMENTS = re.compile(f"{SEGMENT.pattern}|{PARQUET.pattern}|{UNFINISHED.pattern}")

_numbers = itertools.count()


def open_segment(directory: str, max_bytes: int) -> AppendFile:
    """The writer of this process's segments below ``directory``."""

    def path() -> str:
        folder = subfolder(directory, "events")
        while True:
            name = f"{clock.time_ns() // 1_000_000}-{os.getpid()}-{next(_numbers)}.jsonl"
            found = os.path.join(folder, name)
            if not os.path.lexists(found):  # process 1 of another container may have it
                return found

    # A small store still keeps several segments, so that retention has something to remove.
    size = min(SEGMENT_BYTES, max(max_bytes // 8, 1))
    segment = AppendFile("events", path, size, locked=True)
    segment.open()
    return segment
