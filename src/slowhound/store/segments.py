"""Segments: append-only JSON-lines files of events, one writer per file, in ``DIR/events``.

A segment is named ``<start in ms>-<pid>-<number>.jsonl``: names sort by age, and no two processes
share one. The oldest go first when all together are larger than ``STORE_MAX_BYTES``.
"""

from __future__ import annotations

import itertools
import os
import re
import time

from slowhound.appendfile import AppendFile
from slowhound.folder import subfolder

SEGMENT_BYTES = 32 * 1024**2
SEGMENTS = re.compile(r"\d+-\d+-\d+\.jsonl")

_numbers = itertools.count()


def open_segment(directory: str, max_bytes: int) -> AppendFile:
    """The writer of this process's segments below ``directory``."""

    def path() -> str:
        folder = subfolder(directory, "events")
        name = f"{time.time_ns() // 1_000_000}-{os.getpid()}-{next(_numbers)}.jsonl"
        return os.path.join(folder, name)

    # A small store still keeps several segments, so that retention has something to remove.
    segment = AppendFile("events", path, min(SEGMENT_BYTES, max(max_bytes // 8, 1)))
    segment.open()
    return segment
