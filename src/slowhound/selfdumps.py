"""Stacks that threads have written of themselves: the file ``DIR/boxes/<pid>-<ns>.stacks``.

A thread that holds the GIL in C code, or dies of a segmentation fault, writes its stack by
faulthandler's handler of signals, straight from C to a descriptor (``watch.deadman``). This module
knows the layout of that file and reads it, in the process itself, in a sibling, after a death.

The file is sparse. A page of 8-byte cells: cell ``s`` is the system's id of the thread that
signal ``s`` makes write, cell ``64 + s`` that thread's ident. Then one region for each signal;
region 0 is for fatal errors. A region that begins with a zero byte is empty.
"""

from __future__ import annotations

import os
import struct
from typing import NamedTuple

from slowhound.boxes import STACKS, beside, open_box
from slowhound.frames import Stack, from_faulthandler

SIGNALS = 64
PAGE = 4096
# faulthandler writes at most 100 frames of at most 1,000 characters, 8 KB for a deep Django stack.
REGION = 64 * 1024
LENGTH = PAGE + SIGNALS * REGION
FATAL = 0
_TABLE = struct.Struct(f"={2 * SIGNALS}q")


class SelfDump(NamedTuple):
    """One stack and when its file was last written to (seconds since 1970).

    ``by``: ``thread``, of a thread that held the GIL; ``fault``, of the one that died of a fatal
    error; ``bystander``, of another one at that moment; see also ``late``.
    """

    stack: Stack
    taken: float
    by: str


def region_at(signal: int) -> int:
    """Where in the file the region of a signal begins."""
    return PAGE + signal * REGION


class SelfDumps:
    """What one process's file says; everything is read at once, the file may be a dead one's.

    Raises:
        OSError: the file cannot be read.
    """

    def __init__(self, path: str) -> None:
        fd = open_box(path)
        try:
            self.taken = os.fstat(fd).st_mtime
            page = os.pread(fd, PAGE, 0).ljust(_TABLE.size, b"\0")
            cells = _TABLE.unpack_from(page)
            self.threads = {cells[s]: s for s in range(1, SIGNALS) if cells[s]}
            idents = {cells[SIGNALS + s]: cells[s] for s in range(1, SIGNALS) if cells[s]}
            self._dumps: dict[int, SelfDump] = {}
            for thread, number in self.threads.items():
                for dumped in from_faulthandler(_region(fd, number)):  # the last one stays
                    self._dumps[thread] = SelfDump(dumped.stack, self.taken, "thread")
            for dumped in from_faulthandler(_region(fd, FATAL)):
                by = "fault" if dumped.current else "bystander"
                if dumped.ident in idents:
                    self._dumps[idents[dumped.ident]] = SelfDump(dumped.stack, self.taken, by)
        finally:
            os.close(fd)

    def of(self, thread: int) -> SelfDump | None:
        """What the thread of this system id wrote last, or None."""
        return self._dumps.get(thread)


def of_box(path: str) -> SelfDumps | None:
    """What stands beside the box at ``path``; None when it cannot be read."""
    try:
        return SelfDumps(beside(path, STACKS))
    except OSError:
        return None


def _region(fd: int, signal: int) -> str:
    data = os.pread(fd, REGION, region_at(signal))
    return data.partition(b"\0")[0].decode("utf-8", "replace")
