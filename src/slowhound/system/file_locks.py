"""Locks on files (``flock``), and what stands for them where a file system has none.

The kernel drops such a lock when its process dies. Lustre without locks says ENOSYS, NFS without
its daemon ENOLCK: that is said once. A lock for a moment is then a file beside the other one, which
says who has made it; whether a process lives is asked by its number, the namespace of that, and
when it began.
"""

from __future__ import annotations

import contextlib
import errno
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import NamedTuple

from slowhound.runtime.clocks import clock
from slowhound.runtime.foreign import is_foreign
from slowhound.runtime.own_log import warn
from slowhound.runtime.unpatched import original
from slowhound.system.files import create, is_removed, opened

with contextlib.suppress(ImportError):  # not a POSIX system
    import fcntl

NO_LOCKS = frozenset(
    (errno.ENOSYS, errno.ENOLCK, errno.EOPNOTSUPP, errno.ENOTSUP, errno.EINVAL, errno.ENOTTY)
)
SUFFIX = ".lock"
# Seconds after which such a file is somebody's who is not known here, and gone.
ABANDONED = 600.0
# The files that this process has made in the place of locks, by descriptor.
_files: dict[int, str] = {}
_said = False


class Process(NamedTuple):
    """Who a process is, on this machine, for as long as that runs.

    ``namespace`` is that of its number, ``born`` when it began in ticks of the kernel; 0: unknown.
    """

    pid: int
    namespace: int = 0
    born: int = 0


def this_process() -> Process:
    """The process that asks."""
    return _of(os.getpid())


def parent() -> Process:
    """The parent of the process that asks."""
    return _of(os.getppid())


def _of(pid: int) -> Process:
    return Process(pid, namespace(), _born(pid) or 0)


def namespace() -> int:
    """Names the space in which this process's pids are unique; 0 when not known."""
    try:
        return os.stat("/proc/self/ns/pid").st_ino
    except OSError:
        return 0


def is_here(space: int) -> bool:
    """True when pids of that namespace mean the same to this process, as far as is known."""
    mine = namespace()
    return space == mine or not space or not mine


def lives(process: Process) -> bool | None:
    """Whether it is still there; None when that cannot be known here."""
    if not is_here(process.namespace) or process.pid <= 0:
        return None
    if not os.path.exists("/proc/self/stat"):
        return None
    born = _born(process.pid)
    return born is not None and (not process.born or born == process.born)


def _born(pid: int) -> int | None:
    """When a process began; None for one that is not there, or has ended."""
    try:
        with open(f"/proc/{pid}/stat", "rb") as stat:
            fields = stat.read().rpartition(b") ")[2].split()
        return None if fields[0] in (b"Z", b"X") else int(fields[19])
    except (OSError, IndexError, ValueError):
        return None


def lock_until_exit(fd: int) -> bool:
    """Locks a file for as long as its process lives; False where there are no locks.

    Raises:
        BlockingIOError: another process has it.
        OSError: it cannot be locked.
    """
    return _flock(fd, "LOCK_EX", "LOCK_NB")


def lock(fd: int) -> bool:
    """Locks a file until ``unlock``; False where a file stands for the lock.

    Raises:
        BlockingIOError: another process has it.
        OSError: it cannot be locked.
    """
    if lock_until_exit(fd):
        return True
    _make(fd)
    return False


def renew(fd: int) -> None:
    """Says that the holder of a lock lives, which has to be done in less than ten minutes.

    Where a file stands for the lock, processes that cannot see this one go by its age.

    Raises:
        BlockingIOError: another process has taken it over, for this one was stopped for long.
    """
    path = _files.get(fd)
    if path is None:
        return
    try:
        mine = _is_mine(path)
        if mine:
            os.utime(path)
    except FileNotFoundError:
        mine = False
    except OSError as exc:
        if is_foreign(exc):
            raise
        return  # it may be read the next time
    if not mine:
        _files.pop(fd, None)
        raise BlockingIOError(errno.EAGAIN, "somebody else has it", path)


def unlock(fd: int) -> None:
    """Gives a lock back; never raises. To be called before ``fd`` is closed.

    Not only closed: a process that was forked meanwhile may have it open as well.
    """
    made = _files.pop(fd, None)
    with contextlib.suppress(OSError):
        if made is None:
            _flock(fd, "LOCK_UN")
        elif _is_mine(made):  # it may have been taken over
            os.unlink(made)


@contextmanager
def locked(
    fd: int, lock: Callable[[int], object] = lock, tries: int = 1, pause: float = 0.0
) -> Iterator[bool]:
    """Locks a file for a block; gives False where another process has it, or it cannot be locked.

    Args:
        fd: the file; to be closed after the block.
        lock: locks it, or raises OSError.
        tries: how often that is tried.
        pause: seconds between two tries.
    """
    taken = _try_to(lock, fd, tries, pause)
    try:
        yield taken
    finally:
        if taken:
            unlock(fd)


@contextmanager
def opened_and_locked(
    path: str,
    flags: int = os.O_RDWR,
    lock: Callable[[int], object] = lock,
    tries: int = 1,
    pause: float = 0.0,
) -> Iterator[int | None]:
    """A descriptor of a file of ours, for a block in which no other process has one like it.

    None when there is no such file, or another process has locked or removed it. The arguments are
    those of ``opened`` and ``locked``.
    """
    with contextlib.ExitStack() as block:
        found = None
        with contextlib.suppress(OSError):
            fd = block.enter_context(opened(path, flags))
            if block.enter_context(locked(fd, lock, tries, pause)) and not is_removed(fd):
                found = fd
        yield found


def _try_to(lock: Callable[[int], object], fd: int, tries: int, pause: float) -> bool:
    for number in range(tries):
        if number:
            original("time", "sleep")(pause)  # gevent's own is for greenlets
        with contextlib.suppress(OSError):
            lock(fd)
            return True
    return False


def close(fd: int) -> None:
    """Gives the lock of a file back, and closes it."""
    unlock(fd)
    os.close(fd)


def is_locked(fd: int) -> bool | None:
    """True while another process has locked it for good; None where there are no locks."""
    try:
        # A shared lock: two readers at once do not take each other for the owner.
        if not _flock(fd, "LOCK_SH", "LOCK_NB"):
            return None
    except BlockingIOError:
        return True
    _flock(fd, "LOCK_UN")
    return False


def _flock(fd: int, *names: str) -> bool:
    try:
        fcntl.flock(fd, sum(getattr(fcntl, name) for name in names))
    except NameError:
        return False
    except OSError as exc:
        if exc.errno not in NO_LOCKS:
            raise
        _say(exc)
        return False
    return True


def _say(exc: OSError) -> None:
    global _said
    if not _said:
        _said = True
        warn(
            "slowhound: the file system of DIR has no locks (flock: %s); files stand for them, and"
            " a process that another one cannot see is taken for a living one",
            exc.strerror,
        )


def _make(fd: int) -> None:
    """A file in the place of a lock."""
    try:
        path = os.readlink(f"/proc/self/fd/{fd}") + SUFFIX
    except OSError:
        return  # no way to a lock at all: better twice than never
    for last in (False, True):
        try:
            made = create(path)
        except FileExistsError:
            if last or not _is_abandoned(path):
                raise BlockingIOError(errno.EAGAIN, "somebody else has it", path) from None
            with contextlib.suppress(FileNotFoundError):
                os.unlink(path)
            continue
        try:
            os.write(made, _written())
        finally:
            os.close(made)
        _files[fd] = path
        return


def _is_mine(path: str) -> bool:
    with opened(path) as fd:
        return os.read(fd, 100) == _written()


def _written() -> bytes:
    return " ".join(map(str, this_process())).encode("ascii")


def _is_abandoned(path: str) -> bool:
    try:
        with opened(path) as fd:
            said = os.read(fd, 100).split()
        age = abs(clock.time() - os.stat(path).st_mtime)
    except OSError:
        return True
    alive = None
    if len(said) == 3 and all(each.isdigit() for each in said):
        alive = lives(Process(*(int(each) for each in said)))
    return not alive if alive is not None else age > ABANDONED


if hasattr(os, "register_at_fork"):
    # What the parent has made is the parent's.
    os.register_at_fork(after_in_child=_files.clear)
