"""How a black box is written: into a map of its file, or by a system call for each write.

A store into a map costs a tenth of a microsecond, and cannot fail but by the death of the process:
SIGBUS, where the file system cannot give it the page. That happened on a btrfs that became full, on
an XFS whose disk failed or whose blocks were shared by ``cp --reflink``, and on an ext4 with
``nodelalloc`` or ``data=journal`` whose disk failed. So a file is mapped where it is in memory
(tmpfs), or on an ext4 as it is by default, which held in all of these. Elsewhere each write is a
system call of 2 µs, which can fail: then the box is given up, and another is made when possible.

A map is also a SIGBUS where somebody cuts the file in place (``> x.box``, copytruncate). So it is
tried whether its pages are there, when a request begins and when the hound wakes (1 µs); where they
are not, the file is made as long again, and the box given up. What cannot be helped is a store by a
request that is in flight, between the cut and the next such look, a quarter of a second at most.
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

from slowhound.foreign import is_foreign
from slowhound.losses import lost

# Of ext4, where a store into a block that is there asks the journal, or moves the block.
UNSAFE_OPTIONS = frozenset((b"nodelalloc", b"data=journal"))
_CELL = struct.Struct("=q")


# madvise(2): as a store would, but an error where that were a SIGBUS. From Linux 5.14 on; before,
# nobody knows.
POPULATE_WRITE = 23


class Bytes(Protocol):
    """What an area of a box is written into."""

    def is_there(self, at: int, size: int) -> bool:
        """False where a store into these bytes would end the process."""

    def restore(self) -> None:
        """Makes a file that was cut as long as it was, so that a store is one again."""

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
    if can_be_mapped(fd):
        if os.fstat(fd).st_size < size:
            raise OSError(errno.ESTALE, "somebody has cut the file that was just made")
        mapped = _Mapped(fd, size)
        if not mapped.is_there(0, min(size, mmap.PAGESIZE)):
            mapped.close()
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return mapped, memoryview(mapped).cast("q")
    written = _Written(fd, failed)
    return written, _WrittenCells(written)


def can_be_mapped(fd: int) -> bool:
    """True where a store into a map of this file is known to be safe; any doubt is a no."""
    if not sys.platform.startswith("linux"):
        return False
    try:
        device = os.fstat(fd).st_dev
        number = f"{os.major(device)}:{os.minor(device)}".encode()
        with open("/proc/self/mountinfo", "rb") as mounts:
            # proc_pid_mountinfo(5): the third field is the device; after a dash come the type, the
            # source, and the options of the file system.
            found = [each.split(b" - ", 1)[1].split() for each in mounts if _is_of(each, number)]
        return bool(found) and all(_is_safe(number, *each[:3]) for each in found)
    except (OSError, ValueError, IndexError, TypeError):
        return False


def _is_of(mount: bytes, number: bytes) -> bool:
    return mount.split(b" ", 3)[2] == number


def _is_safe(number: bytes, kind: bytes, _source: bytes, options: bytes) -> bool:
    if kind == b"ext4":
        return UNSAFE_OPTIONS.isdisjoint((*options.split(b","), *_all_options(number)))
    return kind in (b"tmpfs", b"ramfs")


def _all_options(number: bytes) -> list[bytes]:
    """Also those that an ext4 has as its own defaults (tune2fs -o), which mountinfo leaves out."""
    device = os.path.basename(os.path.realpath(b"/sys/dev/block/" + number))
    with open(b"/proc/fs/ext4/" + device + b"/options", "rb") as options:
        return options.read().split()


class _Mapped(mmap.mmap):
    """A file's bytes in memory."""

    _fd = -1

    def __init__(self, fd: int, size: int) -> None:
        # Of its own: a box that was removed lets go of its descriptor, and is still stored into.
        self._fd = os.dup(fd)
        self._size = size

    def is_there(self, at: int, size: int) -> bool:
        """See ``Bytes``; it keeps the GIL, as a store does."""
        try:
            # Of the last page alone: where that is, all before it are.
            self.madvise(POPULATE_WRITE, at + size - 1 & -mmap.PAGESIZE, 1)
        except OSError as exc:
            if is_foreign(exc):
                raise
            return exc.errno != errno.EFAULT
        return True

    def restore(self) -> None:
        """See ``Bytes``."""
        if self._fd >= 0:
            with contextlib.suppress(OSError):
                os.posix_fallocate(self._fd, 0, self._size)

    def close(self) -> None:
        super().close()
        self._let_go()

    def _let_go(self) -> None:
        fd, self._fd = self._fd, -1
        if fd >= 0:
            with contextlib.suppress(OSError):
                os.close(fd)

    def __del__(self) -> None:
        self._let_go()


def _pwrite() -> Callable[[int, bytes, int, int], int]:
    # It keeps the GIL: what a write would wait to get it back is a hundred times its own time.
    try:
        function = ctypes.PyDLL(None, use_errno=True).pwrite
    except AttributeError:
        return _plain_pwrite
    function.argtypes = (ctypes.c_int, ctypes.c_char_p, ctypes.c_size_t, ctypes.c_int64)
    function.restype = ctypes.c_ssize_t
    return function


def _plain_pwrite(fd: int, data: bytes, _size: int, at: int) -> int:
    try:
        return os.pwrite(fd, data, at)
    except OSError as exc:
        ctypes.set_errno(exc.errno or 0)
        return -1


class _Written:
    """A file's bytes, written by system calls until one fails."""

    def __init__(self, fd: int, failed: Callable[[], object]) -> None:
        # Of its own: a box that was removed lets go of its descriptor, and is still written to.
        self._fd = os.dup(fd)
        self._pwrite = _pwrite()
        self._failed = failed

    def is_there(self, _at: int, _size: int) -> bool:
        """A system call ends no process."""
        return True

    def restore(self) -> None:
        """Nothing was lost that is needed."""

    def __setitem__(self, where: slice, data: bytes) -> None:
        self.write(data, where.start)

    def write(self, data: bytes, at: int) -> None:
        """One system call; after one that has failed there is none."""
        size = len(data)
        # Nothing is called between the look at the descriptor and its use: another thread may
        # close it, and the next file that the application opens has the number.
        if self._pwrite(self._fd, data, size, at) != size and self._fd >= 0:
            number = ctypes.get_errno() or errno.ENOSPC
            # The last whole state would name requests that have long ended: no state is better. And
            # a file system that is full takes its time to say so again.
            self._failed()
            self.close()
            lost("the black box", OSError(number, os.strerror(number)), 0)

    def read(self, size: int, at: int) -> bytes:
        """What stands there; zeros where it cannot be read."""
        with contextlib.suppress(OSError):
            return os.pread(self._fd, size, at).ljust(size, b"\0")
        return bytes(size)

    def close(self) -> None:
        fd, self._fd = self._fd, -1
        if fd >= 0:
            with contextlib.suppress(OSError):  # NFS tells only here that there was no room
                os.close(fd)

    def __del__(self) -> None:
        with contextlib.suppress(AttributeError, OSError):  # the former: it was never opened
            self.close()


class _WrittenCells:
    """The same as cells."""

    def __init__(self, written: _Written) -> None:
        self._written = written

    def __getitem__(self, number: int) -> int:
        value: int = _CELL.unpack(self._written.read(8, number * 8))[0]
        return value

    def __setitem__(self, number: int, value: int) -> None:
        self._written.write(_CELL.pack(value), number * 8)

    def release(self) -> None:
        """There is nothing to give back."""
