"""Writes canonical lines to standard output or a file."""

from __future__ import annotations

import os
import stat
import sys
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from slowhound.runtime.foreign import is_foreign
from slowhound.runtime.library_names import find
from slowhound.system.append_file import AppendFile, open_named_to_append
from slowhound.system.losses import lost

with suppress(ImportError):  # Windows
    import fcntl

# The consequence if Django does not show whether a test runs.
UNDER_TEST = "lines within tests are not captured, and commands are recorded"

# Takes one line without its newline; raises nothing of its own, waits no longer than a write does.
# The call that writes also appends to the list; if the list has an entry, only the rest is written.
Stream = Callable[[str, list[Any]], None]

MOST_LINKS = 40  # as many as the kernel follows


class Output:
    """Standard output or error, by its number, for as long as that is the file it was at first.

    The application may put another file there for a while (to capture what a C library prints), or
    for good (``os.close(1)``, and its next file gets the number): no line belongs into that. A
    duplicate of the descriptor would be safe too, but would keep a pipe open, so that its reader
    waits for ever, for example after the process has become a daemon. A log that is reopened
    (Gunicorn and uWSGI do that) is recognised by its append mode.
    """

    def __init__(self, descriptor: int) -> None:
        self.descriptor = descriptor
        try:
            self._first: os.stat_result | None = os.fstat(descriptor)
        except OSError:
            self._first = None  # closed: the next file gets its number

    def __call__(self, line: str, done: list[Any]) -> None:
        """Writes one line."""
        data = line.encode("utf-8", "backslashreplace") + b"\n"
        if self._is_there():
            write_all(self.descriptor, data, done)
        elif sum(done) < len(data):
            done.append(len(data))
            lost("canonical lines", f"descriptor {self.descriptor} is another file now")

    def _is_there(self) -> bool:
        first = self._first
        if first is None:
            return False
        try:
            found = os.fstat(self.descriptor)
            if found.st_ino == first.st_ino and found.st_dev == first.st_dev:
                return True
            if stat.S_ISCHR(found.st_mode):  # /dev/null, a terminal
                return True
            flags = fcntl.fcntl(self.descriptor, fcntl.F_GETFL)
            return stat.S_ISREG(found.st_mode) and bool(flags & os.O_APPEND)
        except OSError as exc:
            if is_foreign(exc):
                raise
            return False


def to_stdout(line: str, done: list[Any]) -> None:
    """Writes one line to standard output with a single ``write()``."""
    try:
        descriptor = sys.stdout.fileno()
    except (OSError, ValueError, AttributeError) as exc:
        if is_foreign(exc):
            raise
        _to_text(line, done)
        return
    write_all(descriptor, line.encode("utf-8", "backslashreplace") + b"\n", done)


def standard_output() -> Stream:
    """A stream to what is standard output now, even if a view replaces it for a while.

    Within a test it is what the test has put there.
    """
    try:
        descriptor = sys.stdout.fileno()
    except (OSError, ValueError, AttributeError):
        return to_stdout
    if "PYTEST_CURRENT_TEST" in os.environ or is_under_test():
        return to_stdout
    return Output(descriptor)


def is_under_test() -> bool:
    """True between Django's ``setup_test_environment`` and its ``teardown_test_environment``."""
    if "django.test.utils" not in sys.modules:
        return False
    find("django.test.utils.setup_test_environment:saved_data", UNDER_TEST)
    return hasattr(find("django.test.utils._TestState", UNDER_TEST), "saved_data")


def _to_text(line: str, done: list[Any]) -> None:
    # Standard output without a descriptor: a test's capture, an IDE.
    if done:
        return
    done.append(0)
    try:
        sys.stdout.write(line + "\n")
    except (OSError, ValueError, AttributeError) as exc:
        if is_foreign(exc, bare=False):
            raise
        lost("canonical lines", exc)


def write_all(descriptor: int, data: bytes, done: list[Any]) -> None:
    """Writes all to a pipe or file, also when a full pipe takes only a part at a time."""
    try:
        while (written := sum(done)) < len(data):
            done.extend(map(os.write, (descriptor,), (data[written:],)))
    except OSError as exc:
        if is_foreign(exc):
            raise
        done.append(len(data))
        lost("canonical lines", exc)


def descriptor_of(path: str) -> int | None:
    """The descriptor that ``/dev/stdout``, or a link to it, stands for; None: it is a file.

    Opening it would fail for a socket (the journal), or one of another user (in a container).
    """
    try:
        ours = [os.path.realpath(each) for each in ("/proc/self/fd", "/dev/fd")]
        for _ in range(MOST_LINKS):
            folder, name = os.path.split(os.path.abspath(path))
            folder = os.path.realpath(folder)
            if folder in ours and name.isdecimal():
                return int(name)
            path = os.path.join(folder, os.readlink(os.path.join(folder, name)))
    except (OSError, ValueError):
        pass  # not a link
    return None


def to_file(path: str) -> tuple[Stream, AppendFile | None]:
    """A stream that appends to ``path``, and its file, which the hound reopens when needed."""
    descriptor = descriptor_of(path)
    if descriptor is not None:
        return Output(descriptor), None
    file = AppendFile("canonical lines", lambda: path, opener=open_named_to_append)
    file.open()

    def write(line: str, done: list[Any]) -> None:
        file.write(line.encode("utf-8", "backslashreplace") + b"\n", done)

    return write, file


def nowhere(line: str, done: list[Any]) -> None:
    """``STREAM = None``."""
