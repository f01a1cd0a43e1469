"""Makes ``DIR`` and its folders with mode 0700, or refuses them, and limits their size.

Reports hold stacks and SQL. A folder that another user can write to could be filled with
symbolic links that make a root worker overwrite files, so such a folder is refused.
"""

from __future__ import annotations

import contextlib
import os
import re
import stat

from slowhound.runtime.clocks import clock
from slowhound.system.losses import lost


class UnsafeFolderError(OSError):
    """``DIR`` cannot be used; the text explains why and what to do."""


def prepare(path: str) -> str:
    """Makes ``path`` (0700) or checks it, and returns it.

    Raises:
        UnsafeFolderError: it is a symbolic link, no folder, another user's, or writable by others.
        OSError: it cannot be created.
    """
    with contextlib.suppress(FileExistsError):
        os.makedirs(path, mode=0o700)
    found = os.lstat(path)
    if stat.S_ISLNK(found.st_mode):
        raise UnsafeFolderError(f"{path} is a symbolic link; name the folder itself in DIR")
    if not stat.S_ISDIR(found.st_mode):
        raise UnsafeFolderError(f"{path} is not a folder; remove it or name another DIR")
    if hasattr(os, "geteuid") and found.st_uid != os.geteuid():
        raise UnsafeFolderError(
            f"{path} belongs to user {found.st_uid}, this process runs as {os.geteuid()};"
            " chown it, or name another DIR"
        )
    if found.st_mode & 0o022:
        raise UnsafeFolderError(f"{path} is writable by other users; chmod it to 0700")
    return path


def subfolder(parent: str, name: str) -> str:
    """``parent/name``, made and checked like ``parent`` itself."""
    prepare(parent)
    return prepare(os.path.join(parent, name))


def keep_within(
    folder: str,
    max_bytes: int,
    names: re.Pattern[str],
    keep: str = "",
    max_age: float | None = None,
) -> int:
    """Removes the oldest files of these names until the rest fit; returns how many it removed.

    Only regular files of this user count: the folder may be shared. ``keep`` is a path that stays.
    Files that were last written more than ``max_age`` seconds ago are removed in any case.
    """
    found = []
    with os.scandir(folder) as entries:
        for entry in entries:
            if not names.fullmatch(entry.name):
                continue
            with contextlib.suppress(FileNotFoundError):  # a peer has removed it
                status = entry.stat(follow_symlinks=False)
                if stat.S_ISREG(status.st_mode) and status.st_uid == os.geteuid():
                    found.append((status.st_mtime, status.st_size, entry.path))
    total = sum(size for _, size, _ in found)
    removed = 0
    oldest = clock.time() - max_age if max_age is not None else 0.0
    for modified, size, path in sorted(found):
        if total <= max_bytes and modified >= oldest:
            break
        if path != keep:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(path)
            total -= size
            removed += 1
    return removed


class Cap:
    """The limit for the total size of the files of one kind.

    Args:
        what: what they are called where a failure is counted.
        max_bytes: for all of them together.
        names: the names of the files that count.
    """

    def __init__(self, what: str, max_bytes: int, names: re.Pattern[str]) -> None:
        self._what = what
        self._max_bytes = max_bytes
        self._names = names
        self.next_check = 0.0

    def keep(self, folder: str, path: str) -> None:
        """Removes the oldest files, but not ``path``, which was just written; never raises."""
        # To list 50,000 files takes 0.2 s: at most once a second.
        now = clock.monotonic()
        if now < self.next_check:
            return
        self.next_check = now + 1.0
        try:
            keep_within(folder, self._max_bytes, self._names, keep=path)
        except OSError as exc:
            lost(self._what, exc, 0)  # the files are written; the folder only grows
