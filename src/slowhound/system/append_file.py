"""Appends lines to a file, with one ``write()`` each and without ever waiting.

Only the hound opens, checks and replaces the file. The request path does nothing but
``os.write``: no lock, no open, and no closed descriptor whose number is another file's by now,
because a replaced descriptor is closed one tick later.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import suppress

from slowhound.runtime.foreign import is_foreign
from slowhound.system.file_locks import lock_until_exit
from slowhound.system.files import open_own
from slowhound.system.losses import lost

APPENDING = os.O_WRONLY | os.O_APPEND | os.O_CREAT


def open_own_to_append(path: str) -> int:
    """A descriptor of a file of ours in DIR; raises OSError."""
    return open_own(path, APPENDING)


def open_named_to_append(path: str) -> int:
    """A descriptor of a file that the settings name; it may be a link, or a pipe.

    Raises:
        OSError: it cannot be opened, for example a pipe without a reader.
    """
    flags = (
        APPENDING
        | getattr(os, "O_CLOEXEC", 0)
        # A named pipe without a reader must not hang the worker that opens it.
        | getattr(os, "O_NONBLOCK", 0)
        # A terminal must not become the worker's own: its hangup would end the worker.
        | getattr(os, "O_NOCTTY", 0)
    )
    return os.open(path, flags, 0o600)


class AppendFile:
    """Appends lines to the file that ``path()`` names; ``tend`` keeps it open.

    Args:
        what: what the lines are called in the warning when they are lost.
        path: returns the path of the (next) file; may raise ``OSError``.
        max_bytes: size at which ``tend`` begins the next file; None: never.
        locked: hold a lock on the file while it is open, so that other processes see it is in use.
        opener: opens it, or raises ``OSError``.
    """

    def __init__(
        self,
        what: str,
        path: Callable[[], str],
        max_bytes: int | None = None,
        *,
        locked: bool = False,
        opener: Callable[[str], int] = open_own_to_append,
    ) -> None:
        self.what = what
        self.path = path
        self.max_bytes = max_bytes
        self.locked = locked
        self.opener = opener
        self.name = ""
        self.fd = -1
        self.size = 0
        self._torn = False
        self._failed: OSError | None = None
        self._lines_since_tended = 0
        self._retired: list[int] = []

    def write(self, line: bytes, done: list[int] | None = None) -> None:
        """Appends one line, which ends in a line end; what cannot be written is counted.

        ``done`` gets an entry in the same C call that writes, or when the line is lost. Nothing is
        written if it has an entry already.
        """
        if done:
            return
        done = [] if done is None else done
        if self.fd < 0:
            done.append(0)
            lost(self.what, self._failed or "not open")
            return
        if self._torn:
            # The line before was cut short (a full disk): end it, so that only that one is lost.
            line = b"\n" + line
        try:
            done.extend(map(os.write, (self.fd,), (line,)))
        except OSError as exc:
            if is_foreign(exc):
                raise
            done.append(0)
            lost(self.what, exc)
            return
        written = done[0]
        self.size += written
        self._lines_since_tended += 1
        self._torn = written < len(line)
        if self._torn:
            lost(self.what, "only a part of a line could be written")

    def open(self) -> None:
        """Opens the next file; a failure is remembered and counted with each lost line."""
        try:
            name = self.path()
            fd = self.opener(name)
        except OSError as exc:
            self._failed = exc
            self._replace(-1)
            return
        try:
            self.size = os.lseek(fd, 0, os.SEEK_END)
        except OSError:
            self.size = 0  # a pipe with a reader
        if self.locked:
            with suppress(OSError):  # a reader is checking whether it is in use
                lock_until_exit(fd)
        self.name = name
        self._failed = None
        self._replace(fd)

    def tend(self) -> bool:
        """Reopens or replaces the file when needed, on the hound's thread; True for a new file."""
        while self._retired:
            os.close(self._retired.pop())
        if self.fd >= 0 and self._still_there():
            self._lines_since_tended = 0
            if self.max_bytes is None or self.size < self.max_bytes:
                return False
        self.open()
        return self.fd >= 0

    def _still_there(self) -> bool:
        """False when the file was removed, or renamed and perhaps made again, as logrotate does."""
        try:
            mine = os.fstat(self.fd)
            if not mine.st_nlink and self._lines_since_tended:
                lost(self.what, f"{self.name} was removed", self._lines_since_tended)
            return os.path.samestat(mine, os.stat(self.name))
        except OSError:
            return False

    def _replace(self, fd: int) -> None:
        old, self.fd = self.fd, fd
        self._lines_since_tended = 0
        if old >= 0:
            self._retired.append(old)

    def close(self) -> None:
        """Closes everything; later lines are counted as lost."""
        self._replace(-1)
        while self._retired:
            os.close(self._retired.pop())
