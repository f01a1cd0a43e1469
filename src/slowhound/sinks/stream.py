"""The stream of canonical lines: standard output or a file (Gunicorn's log is its own module)."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from typing import Any

from slowhound.appendfile import AppendFile
from slowhound.foreign import is_foreign
from slowhound.losses import find, lost

# What comes of it where Django does not say whether a test runs.
UNDER_TEST = "lines within tests are not captured, and commands are recorded"

# Takes one line without its end; never raises of its own, never waits longer than a write does.
# The list gets an entry by the very call that writes; where it has one, only the rest is written.
Stream = Callable[[str, list[Any]], None]


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

    def write(line: str, done: list[Any]) -> None:
        write_all(descriptor, line.encode("utf-8", "backslashreplace") + b"\n", done)

    return write


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


def to_file(path: str) -> tuple[Stream, AppendFile]:
    """A stream that appends to ``path``, and the file, for the hound to tend."""
    file = AppendFile("canonical lines", lambda: path)
    file.open()

    def write(line: str, done: list[Any]) -> None:
        file.write(line.encode("utf-8", "backslashreplace") + b"\n", done)

    return write, file


def nowhere(line: str, done: list[Any]) -> None:
    """``STREAM = None``."""
