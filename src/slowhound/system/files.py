"""Opens, makes and replaces slowhound's own files, and refuses anything else in their place.

A file of ours is a regular file that belongs to this user. A symbolic link could lead to another
file of the same user, and opening a pipe would wait for its other end. The mode of a file and its
second names are not checked: DIR itself is refused where other users may write to it, see
``private_dir``, so that only its owner can have made them; and a backup by ``cp -al`` gives each
file a second name.
"""

from __future__ import annotations

import contextlib
import errno
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager


class NotOwnFileError(PermissionError):
    """The file is not one of ours; the text explains why."""


# An ``owner`` that stands for any user, for folders that several users may share: the settings may
# name such a folder.
ANY_USER = -1
_SAFELY = (
    getattr(os, "O_CLOEXEC", 0)
    | getattr(os, "O_NOFOLLOW", 0)
    | getattr(os, "O_NONBLOCK", 0)
    | getattr(os, "O_NOCTTY", 0)
)
_WRITING = os.O_WRONLY | os.O_RDWR
# Descriptors that ``opened`` and ``opened_folder`` have open.
_open: set[int] = set()


def open_own(path: str, flags: int = os.O_RDONLY, owner: int | None = None) -> int:
    """Opens a file of ours and returns its descriptor; with ``O_CREAT`` it is made, with mode 0600.

    Args:
        path: where it is.
        flags: as for ``os.open``. An exclusive lock needs ``O_RDWR``: over NFS it is refused
            otherwise, see flock(2).
        owner: the user that it must belong to. Without it that is the user of this process, or,
            for a file that is only read, the owner of its folder: an operator may be root.

    Raises:
        NotOwnFileError: it is not one of ours.
        OSError: it cannot be opened.
    """
    fd = os.open(path, flags | _SAFELY, 0o600)
    try:
        _check(os.fstat(fd), path, flags, owner)
    except BaseException:
        os.close(fd)
        raise
    return fd


def _check(found: os.stat_result, path: str, flags: int, owner: int | None) -> None:
    if not stat.S_ISREG(found.st_mode):
        raise NotOwnFileError(errno.EPERM, "it is not a regular file", path)
    if not _belongs_to(owner, found.st_uid, path, flags):
        raise NotOwnFileError(errno.EPERM, f"it belongs to user {found.st_uid}", path)


def _belongs_to(owner: int | None, user: int, path: str, flags: int) -> bool:
    if owner is not None:
        return owner in (user, ANY_USER)
    if user == this_user():
        return True
    return not flags & _WRITING and user == os.stat(os.path.dirname(path) or ".").st_uid


def this_user() -> int:
    """The effective user of this process; 0 on a system without users, as in ``st_uid``."""
    return os.geteuid() if hasattr(os, "geteuid") else 0


@contextmanager
def opened(path: str, flags: int = os.O_RDONLY, owner: int | None = None) -> Iterator[int]:
    """``open_own`` for a block. A child that is forked meanwhile closes the descriptor."""
    with _for_block(open_own(path, flags, owner)) as fd:
        yield fd


@contextmanager
def opened_folder(path: str) -> Iterator[int]:
    """The descriptor of a folder, for a block: it stays that one if its path is replaced."""
    flags = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
    with _for_block(os.open(path, flags)) as fd:
        yield fd


@contextmanager
def _for_block(fd: int) -> Iterator[int]:
    _open.add(fd)
    try:
        yield fd
    finally:
        if fd in _open:  # else a forked child has closed it
            _open.discard(fd)
            os.close(fd)


def _close_all() -> None:
    # Else a child would hold the locks of its parent after the parent's death.
    while _open:
        with contextlib.suppress(OSError):
            os.close(_open.pop())


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_close_all)


def is_removed(fd: int) -> bool:
    """True when another process has removed an open file."""
    return os.fstat(fd).st_nlink == 0


def read_end(fd: int, most: int) -> bytes:
    """The last ``most`` bytes of an open file."""
    return os.pread(fd, most, max(os.fstat(fd).st_size - most, 0))


def create(path: str, flags: int = os.O_WRONLY, folder: int | None = None) -> int:
    """Makes a file with mode 0600 and returns its descriptor; ``folder`` is where ``path`` begins.

    Raises:
        FileExistsError: there is something at this path.
        OSError: it cannot be made.
    """
    return os.open(path, flags | os.O_CREAT | os.O_EXCL | _SAFELY, 0o600, dir_fd=folder)


def write_all(fd: int, data: bytes) -> None:
    """Writes all of it; raises OSError if it does not fit."""
    view = memoryview(data)
    while view:
        view = view[os.write(fd, view) :]


def write_new(path: str, data: bytes, folder: int | None = None) -> None:
    """Makes a file with these contents; after a failure there is no file.

    Args:
        path: where.
        data: its contents.
        folder: descriptor of the folder where ``path`` begins. With it the file belongs to the
            folder's owner: what root writes is for the workers.

    Raises:
        FileExistsError: there is something at this path.
        OSError: it cannot be written, for example because the disk is full.
    """
    fd = create(path, folder=folder)
    try:
        try:
            write_all(fd, data)
            if folder is not None:
                _give_to_owner(fd, folder)
        finally:
            os.close(fd)
    except BaseException:
        with contextlib.suppress(OSError):
            os.unlink(path, dir_fd=folder)
        raise


def write_whole(path: str, data: bytes, draft: str, folder: int | None = None) -> None:
    """Replaces the contents of a file at once: a reader sees the former ones or the new ones.

    Args:
        path: that of the file, which may not exist yet.
        data: its contents.
        draft: the path to write to first. A process that dies meanwhile leaves the draft, so the
            code that limits the size of the folder must recognise its name.
        folder: as for ``write_new``.

    Raises:
        OSError: it cannot be written; the file is as it was.
    """
    with contextlib.suppress(FileNotFoundError):
        os.unlink(draft, dir_fd=folder)  # left by a process that died
    write_new(draft, data, folder)
    try:
        os.rename(draft, path, src_dir_fd=folder, dst_dir_fd=folder)
    except BaseException:
        with contextlib.suppress(OSError):
            os.unlink(draft, dir_fd=folder)
        raise


def _give_to_owner(fd: int, folder: int) -> None:
    owner = os.fstat(folder)
    if owner.st_uid != this_user():
        os.fchown(fd, owner.st_uid, owner.st_gid)
