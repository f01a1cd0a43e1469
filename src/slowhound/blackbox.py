"""The black box: one small mmapped file per worker process, in ``DIR/boxes``.

Made in the worker after the fork and held by an exclusive ``flock``. The kernel drops the lock
when the process ends, however it ends: a box whose lock can be taken belongs to the dead. No pid
files, no reused pids, no named shared memory that stays behind.

Format, version 1 (native byte order: a box never leaves its machine). Everything is one array of
aligned 8-byte cells, so that one store is one number and a reader never sees half of it:

    0 magic and version   1 pid             2 parent's pid    3 started (ns since 1970)
    4 heartbeat (ns, monotonic)             5 requests in flight
    6 served              7 dropped         8 resident memory (bytes)
    9 backlog (-1: not known)
"""

from __future__ import annotations

import contextlib
import mmap
import os
import time
from typing import NamedTuple

from slowhound.folder import subfolder

try:
    import fcntl
except ImportError:  # not a POSIX system: no boxes, and so no saturation fields
    fcntl = None  # type: ignore[assignment]

MAGIC = int.from_bytes(b"SLWHND\0\x01", "little")
CELLS = 16
SIZE = CELLS * 8
PID, PARENT, STARTED, HEARTBEAT, IN_FLIGHT, SERVED, DROPPED, RSS, BACKLOG = range(1, 10)


class BoxState(NamedTuple):
    """What the header of one living worker's box says."""

    pid: int
    parent: int
    in_flight: int
    served: int
    heartbeat: float  # monotonic seconds


class Box:
    """This process's own box.

    Raises:
        OSError: it cannot be made, or this system has no ``flock``.
    """

    def __init__(self, directory: str) -> None:
        if fcntl is None:
            raise OSError("black boxes need flock(), which this system does not have")
        folder = subfolder(directory, "boxes")
        self.path = os.path.join(folder, f"{os.getpid()}-{time.time_ns()}.box")
        # It gets its name only when it is locked and filled: no reader takes it for a dead one.
        draft = self.path + ".new"
        flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | os.O_NOFOLLOW
        self._fd = os.open(draft, flags, 0o600)
        try:
            fcntl.flock(self._fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            # Real blocks, not a hole: a store into a hole of a full disk is a SIGBUS.
            os.posix_fallocate(self._fd, 0, SIZE)
            self._map = mmap.mmap(self._fd, SIZE)
            self.cells = memoryview(self._map).cast("q")
            self.cells[PID] = os.getpid()
            self.cells[PARENT] = os.getppid()
            self.cells[STARTED] = time.time_ns()
            self.cells[HEARTBEAT] = time.monotonic_ns()
            self.cells[BACKLOG] = -1
            self.cells[0] = MAGIC
            os.rename(draft, self.path)
        except BaseException:
            os.close(self._fd)
            os.unlink(draft)
            raise

    def still_there(self) -> bool:
        """False when somebody removed the file."""
        return os.fstat(self._fd).st_nlink > 0

    def close(self, *, remove: bool = True) -> None:
        """Lets go of the box; ``remove`` is False in a forked child, which does not own it."""
        if remove:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(self.path)
        self.cells.release()
        self._map.close()
        os.close(self._fd)


def living(directory: str, parent: int) -> list[BoxState]:
    """The boxes below ``directory`` of living workers of the process ``parent``.

    A file that is no box, or a dead worker's, is passed over.
    """
    folder = os.path.join(directory, "boxes")
    found = []
    for name in os.listdir(folder):
        if name.endswith(".box"):
            state = _read(os.path.join(folder, name))
            if state is not None and state.parent == parent:
                found.append(state)
    return found


def _read(path: str) -> BoxState | None:
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
    except OSError:
        return None
    try:
        if not _locked(fd):
            return None
        cells = memoryview(os.read(fd, SIZE)).cast("q")
        if len(cells) != CELLS or cells[0] != MAGIC:
            return None
        heartbeat = cells[HEARTBEAT] / 1e9
        return BoxState(cells[PID], cells[PARENT], cells[IN_FLIGHT], cells[SERVED], heartbeat)
    except (OSError, ValueError, TypeError):
        return None
    finally:
        os.close(fd)


def _locked(fd: int) -> bool:
    """True while the box's own process lives."""
    try:
        # A shared lock: two readers at once do not take each other for the owner.
        fcntl.flock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except OSError:
        return True
    return False
