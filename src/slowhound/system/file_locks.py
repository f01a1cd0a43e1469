"""Locks files with ``flock``, or with a file beside each where the file system has no locks.

The kernel drops such a lock when its process dies. Lustre without locks returns ENOSYS, NFS without
its daemon ENOLCK: that is logged once. A short lock is then a file beside the other one that names
the process that made it. Whether that process lives is found by its pid, the namespace of the pid,
and its start.
"""

from __future__ import annotations

import contextlib
import errno
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from slowhound.runtime.clocks import clock
from slowhound.runtime.foreign import is_foreign
from slowhound.runtime.own_log import warn
from slowhound.runtime.unpatched import original
from slowhound.system.files import NotOwnFileError, create, is_removed, opened
from slowhound.system.processes import Process, lives, this_process

with contextlib.suppress(ImportError):  # not a POSIX system
    import fcntl

NO_LOCKS = frozenset(
    (errno.ENOSYS, errno.ENOLCK, errno.EOPNOTSUPP, errno.ENOTSUP, errno.EINVAL, errno.ENOTTY)
)
LOCK_SUFFIX = ".lock"
# Seconds after which a lock file of a process that is not known here is taken for abandoned.
ABANDONED = 600.0
# The lock files that this process has made, by the descriptor of the file that is locked.
_files: dict[int, str] = {}
_warned = False


def lock_until_exit(fd: int) -> bool:
    """Locks a file for as long as its process lives; False where the file system has no locks.

    Raises:
        BlockingIOError: another process has it.
        OSError: it cannot be locked.
    """
    return _flock(fd, "LOCK_EX", "LOCK_NB")


def lock(fd: int) -> bool:
    """Locks a file until ``unlock``; False where a lock file had to be made instead.

    Raises:
        BlockingIOError: another process has it.
        OSError: it cannot be locked.
    """
    if lock_until_exit(fd):
        return True
    _make(fd)
    return False


def renew(fd: int) -> None:
    """Keeps a lock; to be called at least every ten minutes by a process that holds one for long.

    Where there is a lock file, processes that cannot see this one go by the age of that.

    Raises:
        BlockingIOError: another process has taken it over, for this one was stopped for long.
    """
    path = _files.get(fd)
    if path is None:
        return
    try:
        ours = _is_ours(path)
        if ours:
            os.utime(path)
    except FileNotFoundError:
        ours = False
    except OSError as exc:
        if is_foreign(exc):
            raise
        return  # the next call may succeed
    if not ours:
        _files.pop(fd, None)
        raise BlockingIOError(errno.EAGAIN, "another process has it", path)


def unlock(fd: int) -> None:
    """Releases a lock; never raises. To be called before ``fd`` is closed.

    Closing alone is not enough: a child that was forked meanwhile may have it open as well.
    """
    made = _files.pop(fd, None)
    with contextlib.suppress(OSError):
        if made is None:
            _flock(fd, "LOCK_UN")
        elif _is_ours(made):  # it may have been taken over
            os.unlink(made)


@contextmanager
def locked(
    fd: int, lock: Callable[[int], object] = lock, tries: int = 1, pause: float = 0.0
) -> Iterator[bool]:
    """Locks a file for a block; yields False where another process has it, or it cannot be locked.

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
    """The descriptor of a file of ours, locked for a block.

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
    """Unlocks a file and closes it."""
    unlock(fd)
    os.close(fd)


def is_locked(fd: int) -> bool | None:
    """True while another process has locked it; None where the file system has no locks."""
    try:
        # A shared lock: two readers at once must not take each other for the owner.
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
        _warn_once(exc)
        return False
    return True


def _warn_once(exc: OSError) -> None:
    global _warned
    if not _warned:
        _warned = True
        warn(
            "slowhound: the file system of DIR has no locks (flock: %s). Lock files are used, and a"
            " process in another container is always taken to be alive",
            exc.strerror,
        )


def _make(fd: int) -> None:
    """Makes the lock file."""
    try:
        path = os.readlink(f"/proc/self/fd/{fd}") + LOCK_SUFFIX
    except OSError:
        return  # no lock is possible: better done twice than never
    for last in (False, True):
        try:
            made = create(path)
        except FileExistsError:
            if last or not _is_abandoned(path):
                raise BlockingIOError(errno.EAGAIN, "another process has it", path) from None
            with contextlib.suppress(FileNotFoundError):
                os.unlink(path)
            continue
        try:
            os.write(made, _identity())
        finally:
            os.close(made)
        _files[fd] = path
        return


def _is_ours(path: str) -> bool:
    with opened(path) as fd:
        return os.read(fd, 100) == _identity()


def _identity() -> bytes:
    return " ".join(map(str, this_process())).encode("ascii")


def _is_abandoned(path: str) -> bool:
    try:
        with opened(path) as fd:
            identity = os.read(fd, 100).split()
        age = abs(clock.time() - os.stat(path).st_mtime)
    except NotOwnFileError:
        return False  # not ours to remove
    except OSError:
        return True
    alive = None
    if len(identity) == 3 and all(each.isdigit() for each in identity):
        alive = lives(Process(*(int(each) for each in identity)))
    return not alive if alive is not None else age > ABANDONED


if hasattr(os, "register_at_fork"):
    # Lock files of the parent belong to the parent.
    os.register_at_fork(after_in_child=_files.clear)
