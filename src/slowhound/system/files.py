"""Opens, makes and replaces slowhound's own files without trusting what stands under their names.

A file of ours is a regular file with one name, of this user, and writable by nobody else. Whatever
else stands in its place is refused: a symbolic or hard link could lead to another file of the same
user, opening a pipe would wait for its other end.
"""

from __future__ import annotations

import contextlib
import errno
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager


class NotOwnFileError(PermissionError):
    """What stands under the name is no file of ours; the text says why."""


# As the owner: any user. For folders that the settings name, which several users may share.
ANY_USER = -1
_SAFELY = (
    getattr(os, "O_CLOEXEC", 0)
    | getattr(os, "O_NOFOLLOW", 0)
    | getattr(os, "O_NONBLOCK", 0)
    | getattr(os, "O_NOCTTY", 0)
)
_WRITING = os.O_WRONLY | os.O_RDWR
# Descriptors of ``opened`` and ``opened_folder``.
_open: set[int] = set()


def open_own(path: str, flags: int = os.O_RDONLY, owner: int | None = None) -> int:
    """A descriptor of a file of ours; with ``O_CREAT`` it is made, for this user alone.

    Args:
        path: where it is.
        flags: as of ``os.open``. A lock that excludes others needs ``O_RDWR``: over NFS it is
            refused otherwise, see flock(2).
        owner: the user it must belong to. Without it that is the user of this process, and for a
            file that is only read also the owner of its folder: an operator may be root.

    Raises:
        NotOwnFileError: it is none of ours.
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
    if found.st_nlink > 1:
        raise NotOwnFileError(errno.EPERM, "it has another name as well (a hard link)", path)
    if found.st_mode & 0o022:
        raise NotOwnFileError(errno.EPERM, "other users can write to it", path)
    if not _belongs_to(owner, found.st_uid, path, flags):
        raise NotOwnFileError(errno.EPERM, f"it belongs to user {found.st_uid}", path)


def _belongs_to(owner: int | None, user: int, path: str, flags: int) -> bool:
    if owner is not None:
        return owner in (user, ANY_USER)
    if user == this_user():
        return True
    return not flags & _WRITING and user == os.stat(os.path.dirname(path) or ".").st_uid


def this_user() -> int:
    """The user that this process acts as; 0 where there are no users, as every file says then."""
    return os.geteuid() if hasattr(os, "geteuid") else 0


@contextmanager
def opened(path: str, flags: int = os.O_RDONLY, owner: int | None = None) -> Iterator[int]:
    """The descriptor that ``open_own`` gives, for a block. A child forked meanwhile closes it."""
    with _for_block(open_own(path, flags, owner)) as fd:
        yield fd


@contextmanager
def opened_folder(path: str) -> Iterator[int]:
    """The descriptor of a folder, for a block: it stays the same if another takes its place."""
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
    # A child would hold the parent's locks after the death of that.
    while _open:
        with contextlib.suppress(OSError):
            os.close(_open.pop())


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_close_all)


def is_removed(fd: int) -> bool:
    """True when an open file has no name any more: another process has removed it."""
    return os.fstat(fd).st_nlink == 0


def read_end(fd: int, most: int) -> bytes:
    """The last so many bytes of an open file."""
    return os.pread(fd, most, max(os.fstat(fd).st_size - most, 0))


def create(path: str, flags: int = os.O_WRONLY, folder: int | None = None) -> int:
    """A descriptor of a new file, for this user alone; ``folder`` is where ``path`` begins.

    Raises:
        FileExistsError: something stands there.
        OSError: it cannot be made.
    """
    return os.open(path, flags | os.O_CREAT | os.O_EXCL | _SAFELY, 0o600, dir_fd=folder)


def write_all(fd: int, data: bytes) -> None:
    """Writes all of it; raises OSError for what finds no room."""
    view = memoryview(data)
    while view:
        view = view[os.write(fd, view) :]


def write_new(path: str, data: bytes, folder: int | None = None) -> None:
    """Makes a file with these contents, or none.

    Args:
        path: where.
        data: its contents.
        folder: descriptor of the folder where ``path`` begins. The file belongs to its owner then:
            what root writes is for the workers.

    Raises:
        FileExistsError: something stands there.
        OSError: it cannot be made, as for a full disk.
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
    """Puts these contents in the place of the file: a reader sees the former ones or the new ones.

    Args:
        path: of the file, there or not.
        data: its contents.
        draft: the path to write them to first. What a process leaves there that dies now must be
            recognised by whoever limits the size of the folder.
        folder: as of ``write_new``.

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
