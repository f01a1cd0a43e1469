"""How a black box is written: into a map of its file, or by a system call for each write.

A store into a map costs a tenth of a microsecond, and cannot fail, but for one thing: where the
file system has no room for the block, the process dies of SIGBUS. On those that keep a block in
its place, room that was allocated once is there for good. On those that write each change to a new
block (btrfs, ZFS), or elsewhere (overlay, NFS), it is not: a worker on a btrfs that became full
died. A system call fails instead; then the box is given up, and another is made when there is room.
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import mmap
import os
import struct
import sys
from collections.abc import Callable
from typing import Protocol

from slowhound.losses import lost

# ``f_type`` of statfs(2): ext2 to ext4, xfs, tmpfs, ramfs.
IN_PLACE = frozenset((0xEF53, 0x58465342, 0x01021994, 0x858458F6))
_CELL = struct.Struct("=q")


class Bytes(Protocol):
    """What an area of a box is written into."""

    def __setitem__(self, where: slice, data: bytes, /) -> None: ...
    def close(self) -> None: ...


class Cells(Protocol):
    """Aligned numbers of 8 bytes: each is read and written as a whole."""

    def __getitem__(self, number: int, /) -> int: ...
    def __setitem__(self, number: int, value: int, /) -> None: ...
    def release(self) -> None: ...


def prepare(fd: int, size: int, failed: Callable[[], object]) -> tuple[Bytes, Cells]:
    """The bytes of a file of this size, and the same as cells.

    ``failed`` is called once, when a write finds no room; after that nothing is written.

    Raises:
        OSError: there is no room for it.
    """
    if not hasattr(os, "posix_fallocate"):  # macOS
        os.ftruncate(fd, size)
    else:
        # Real blocks, not a hole: a store into a hole of a full disk is a SIGBUS.
        os.posix_fallocate(fd, 0, size)
    if stores_in_place(fd):
        mapped = mmap.mmap(fd, size)
        return mapped, memoryview(mapped).cast("q")
    written = _Written(fd, size, failed)
    return written, _WrittenCells(written)


def stores_in_place(fd: int) -> bool:
    """True when what was allocated on this file's system can be stored into for good."""
    if not sys.platform.startswith("linux") or sys.maxsize < 2**32:
        return False
    buffer = ctypes.create_string_buffer(256)
    try:
        if ctypes.CDLL(None).fstatfs(fd, buffer) != 0:
            return False
    except AttributeError:  # no such function in this C library
        return False
    return int.from_bytes(buffer.raw[:8], sys.byteorder) & 0xFFFFFFFF in IN_PLACE


def _pwrite() -> ctypes._NamedFuncPointer | None:
    # It keeps the GIL: what a write would wait to get it back is a hundred times its own time.
    try:
        function = ctypes.PyDLL(None, use_errno=True).pwrite
    except AttributeError:
        return None
    function.argtypes = (ctypes.c_int, ctypes.c_char_p, ctypes.c_size_t, ctypes.c_int64)
    function.restype = ctypes.c_ssize_t
    return function


class _Written:
    """A file's bytes, read from a map and written by system calls, until one fails."""

    def __init__(self, fd: int, size: int, failed: Callable[[], object]) -> None:
        self.map = mmap.mmap(fd, size, access=mmap.ACCESS_READ)
        # Of its own: a box that was removed lets go of its descriptor, and is still written to.
        self._fd = os.dup(fd)
        self._pwrite = _pwrite()
        self._failed = failed

    def __setitem__(self, where: slice, data: bytes) -> None:
        if self._fd >= 0 and self._write(data, where.start) != len(data):
            number = ctypes.get_errno() or errno.ENOSPC
            # The last whole state would name requests that have long ended: no state is better. And
            # a file system that is full takes its time to say so again.
            self._let_go()
            self._failed()
            lost("the black box", OSError(number, os.strerror(number)), 0)

    def _write(self, data: bytes, at: int) -> int:
        if self._pwrite is not None:
            return int(self._pwrite(self._fd, data, len(data), at))
        try:
            return os.pwrite(self._fd, data, at)
        except OSError as exc:
            ctypes.set_errno(exc.errno or 0)
            return -1

    def _let_go(self) -> None:
        fd, self._fd = self._fd, -1
        if fd >= 0:
            os.close(fd)

    def close(self) -> None:
        self._let_go()
        self.map.close()

    def __del__(self) -> None:
        with contextlib.suppress(AttributeError, OSError):  # the former: it was never opened
            self._let_go()


class _WrittenCells:
    """The same as cells."""

    def __init__(self, written: _Written) -> None:
        self._written = written
        self._cells = memoryview(written.map).cast("q")

    def __getitem__(self, number: int) -> int:
        return self._cells[number]

    def __setitem__(self, number: int, value: int) -> None:
        self._written[number * 8 : number * 8 + 8] = _CELL.pack(value)

    def release(self) -> None:
        self._cells.release()
