"""The stream of canonical lines: standard output or a file (Gunicorn's log is its own module)."""

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

# What comes of it where Django does not say whether a test runs.
UNDER_TEST = "lines within tests are not captured, and commands are recorded"

# Takes one line without its end; never raises of its own, never waits longer than a write does.
# The list gets an entry by the very call that writes; where it has one, only the rest is written.
Stream = Callable[[str, list[Any]], None]

MOST_LINKS = 40  # as many as the kernel follows


class Output:
    """Standard output or error, by its number, for as long as it leads where it did at the start.

    The application may put another file there for a while (to capture what a C library prints), or
    for good (``os.close(1)``, and its next file has the number): no line belongs into that. A
    duplicate that is held would be safe as well, but whoever waits for the end of a pipe waits for
    it, as for a process that becomes a daemon. Where a log is opened anew (Gunicorn and uWSGI do
    that), it is in append mode.
    """

    def __init__(self, descriptor: int) -> None:
        self.descriptor = descriptor
        try:
            self._first: os.stat_result | None = os.fstat(descriptor)
        except OSError:
            self._first = None  # it is closed, and the number is the next file's

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
    """A stream to what is standard output now, whatever a view puts into its place for a while.

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
    # Standard output that is no file: a test's capture, an IDE.
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
    """Writes to a pipe or file; what a full pipe does not take at once is written after it."""
    try:
        while (written := sum(done)) < len(data):
            done.extend(map(os.write, (descriptor,), (data[written:],)))
    except OSError as exc:
        if is_foreign(exc):
            raise
        done.append(len(data))
        lost("canonical lines", exc)


def descriptor_of(path: str) -> int | None:
    """The descriptor that ``/dev/stdout``, or a link that leads there, stands for; None: a file.

    It cannot be opened where it is a socket (the journal's), or another user's (a container's).
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
        pass  # it is no link
    return None


def to_file(path: str) -> tuple[Stream, AppendFile | None]:
    """A stream that appends to ``path``, and the file that is opened, for the hound to tend."""
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
