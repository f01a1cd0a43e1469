"""Writes a black box into a map of its file, or with a system call for each write.

A store into a map costs a tenth of a microsecond, and fails only with SIGBUS, which ends the
process, where the file system has no page for it. That happened on a btrfs that became full, on
an XFS whose disk failed or whose blocks were shared by ``cp --reflink``, and on an ext4 with
``nodelalloc`` or ``data=journal`` whose disk failed. So a file is mapped where it is in memory
(tmpfs), or on an ext4 with its defaults, which survived all of these. Elsewhere each write is a
system call of 2 µs, which can fail: then the box is given up, and another is made when possible.

A store also ends in SIGBUS when another program cuts the file in place (``> x.box``, copytruncate).
So only this module has the map. Other code calls ``sure`` to get what it can store into, and that
checks with the kernel that the page is there (0.8 µs). Where it is not, the box is given up, and
nothing is stored any more. A request checks when it begins, and the hound four times a second. What
a request stores in between (``last``), two stores for each query, is not checked: a store between a
cut and the next check cannot be prevented. Where the kernel has no such check (Linux before 5.14),
boxes are written with system calls.
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import mmap
import os
import sys
from collections.abc import Callable
from typing import Protocol

from slowhound.blackbox.layout import CELL
from slowhound.runtime.foreign import is_foreign
from slowhound.system.losses import lost

# Options of ext4 with which a store into an existing block uses the journal, or moves the block.
UNSAFE_OPTIONS = frozenset((b"nodelalloc", b"data=journal"))

# madvise(2): does what a store would, with an error in place of SIGBUS. From Linux 5.14 on.
POPULATE_WRITE = 23
_PAGE = -mmap.PAGESIZE


class Store(Protocol):
    """What bytes are stored into."""

    def __setitem__(self, where: slice, data: bytes, /) -> None: ...


class Bytes(Protocol):
    """The bytes of a box."""

    is_mapped: bool

    @property
    def last(self) -> Store:
        """What could be stored into at the last check."""

    def sure(self, at: int, size: int) -> Store:
        """What these bytes, and all before them, can be stored into now.

        Only now: to keep it for a later store may end the process.
        """

    def read(self, size: int, at: int) -> bytes:
        """The bytes there; zeros where they cannot be read."""

    def close(self) -> None:
        """Afterwards nothing can be stored."""


class Nowhere:
    """Stands in for bytes that are gone: what is stored is dropped."""

    is_mapped = False

    @property
    def last(self) -> Nowhere:
        """See ``Bytes``."""
        return self

    def sure(self, _at: int, _size: int) -> Nowhere:
        """See ``Bytes``."""
        return self

    def __setitem__(self, where: slice, data: bytes) -> None:
        """Nothing is stored."""

    def read(self, size: int, _at: int) -> bytes:
        """See ``Bytes``."""
        return bytes(size)

    def close(self) -> None:
        """There is nothing to release."""


class Cells:
    """Aligned numbers of 8 bytes: each is read and written as a whole."""

    def __init__(self, into: Bytes) -> None:
        self._into = into

    def __getitem__(self, number: int) -> int:
        value: int = CELL.unpack(self._into.read(8, number * 8))[0]
        return value

    def __setitem__(self, number: int, value: int) -> None:
        at = number * 8
        self._into.sure(at, 8)[at : at + 8] = CELL.pack(value)


def prepare(fd: int, size: int, failed: Callable[[], object]) -> Bytes:
    """The bytes of a file of this size.

    ``failed`` is called once, when a write finds no room or no file; after that nothing is written.

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
            raise OSError(errno.ESTALE, "another program has cut the new file")
        mapped = mmap.mmap(fd, size)
        try:
            mapped.madvise(POPULATE_WRITE, 0, min(size, mmap.PAGESIZE))
        except OSError as exc:
            mapped.close()
            if exc.errno != errno.EINVAL:
                raise
        else:
            return _Mapped(mapped, failed)
    return _Written(fd, failed)


def can_be_mapped(fd: int) -> bool:
    """True where a store into a map of this file is known to be safe; False in doubt."""
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
    """Also the defaults stored in an ext4 (tune2fs -o), which mountinfo leaves out."""
    device = os.path.basename(os.path.realpath(b"/sys/dev/block/" + number))
    with open(b"/proc/fs/ext4/" + device + b"/options", "rb") as options:
        return options.read().split()


class _Mapped:
    """A file's bytes in memory."""

    is_mapped = True

    def __init__(self, mapped: mmap.mmap, failed: Callable[[], object]) -> None:
        self.last: mmap.mmap | Nowhere = mapped
        # It keeps the GIL, as a store does. lseek() would take a third of the time, but release it
        # to any thread that waits.
        self._check: Callable[[int, int, int], None] = mapped.madvise
        self._failed = failed

    def sure(self, at: int, size: int) -> Store:
        """See ``Bytes``."""
        try:
            # The last page is enough: where it exists, all before it do.
            self._check(POPULATE_WRITE, at + size - 1 & _PAGE, 1)
        except OSError as exc:
            if is_foreign(exc):
                raise
            if not isinstance(self.last, Nowhere):
                self.last, self._check = Nowhere(), _no_check
                self._failed()
        return self.last

    def read(self, size: int, at: int) -> bytes:
        """See ``Bytes``."""
        self.sure(at, size)
        return self.last[at : at + size] if isinstance(self.last, mmap.mmap) else bytes(size)

    def close(self) -> None:
        """See ``Bytes``."""
        mapped, self.last = self.last, Nowhere()
        self._check = _no_check  # a closed map cannot be checked
        mapped.close()


def _no_check(_option: int, _at: int, _size: int) -> None:
    """There are no pages to check."""


def _pwrite() -> Callable[[int, bytes, int, int], int]:
    # It keeps the GIL: to get it back could take a hundred times as long as the write.
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
    """A file's bytes, written with system calls until one fails."""

    is_mapped = False

    def __init__(self, fd: int, failed: Callable[[], object]) -> None:
        # Its own descriptor: a removed box closes the other one, and is still written to.
        self._fd = os.dup(fd)
        self._pwrite = _pwrite()
        self._failed = failed

    @property
    def last(self) -> _Written:
        """See ``Bytes``."""
        return self

    def sure(self, _at: int, _size: int) -> _Written:
        """No check is needed: a system call cannot end the process."""
        return self

    def __setitem__(self, where: slice, data: bytes) -> None:
        """Makes one system call; none after the first failure."""
        size, at = len(data), where.start
        # Nothing is called between reading the descriptor and using it: another thread may close
        # it, and the next file that the application opens may have the number.
        if self._pwrite(self._fd, data, size, at) != size and self._fd >= 0:
            number = ctypes.get_errno() or errno.ENOSPC
            # The last whole state would name requests that have long ended: no state is better. And
            # on a full file system each further failure takes long.
            self._failed()
            self.close()
            lost("the black box", OSError(number, os.strerror(number)), 0)

    def read(self, size: int, at: int) -> bytes:
        """The bytes there; zeros where they cannot be read."""
        with contextlib.suppress(OSError):
            return os.pread(self._fd, size, at).ljust(size, b"\0")
        return bytes(size)

    def close(self) -> None:
        fd, self._fd = self._fd, -1
        if fd >= 0:
            with contextlib.suppress(OSError):  # NFS reports only here that there was no room
                os.close(fd)

    def __del__(self) -> None:
        with contextlib.suppress(AttributeError, OSError):  # the former: it was never opened
            self.close()
