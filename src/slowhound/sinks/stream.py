"""The stream of canonical lines: standard output or a file (Gunicorn's log is its own module)."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable

from slowhound.appendfile import AppendFile
from slowhound.losses import lost

# Takes one line without its end; never raises, never waits longer than a write does.
Stream = Callable[[str], None]


def to_stdout(line: str) -> None:
    """Writes one line to standard output with a single ``write()``."""
    data = line.encode("utf-8", "backslashreplace") + b"\n"
    try:
        descriptor = sys.stdout.fileno()
    except (OSError, ValueError, AttributeError):
        _to_text(line)
        return
    write_all(descriptor, data)


def _to_text(line: str) -> None:
    # Standard output that is no file: a test's capture, an IDE.
    try:
        sys.stdout.write(line + "\n")
    except (OSError, ValueError, AttributeError) as exc:
        lost("canonical lines", exc)


def write_all(descriptor: int, data: bytes) -> None:
    """Writes to a pipe or file; what a full pipe does not take at once is written after it."""
    try:
        written = os.write(descriptor, data)
        while written < len(data):
            data = data[written:]
            written = os.write(descriptor, data)
    except OSError as exc:
        lost("canonical lines", exc)


def to_file(path: str) -> tuple[Stream, AppendFile]:
    """A stream that appends to ``path``, and the file, for the hound to tend."""
    file = AppendFile("canonical lines", lambda: path)
    file.open()

    def write(line: str) -> None:
        file.write(line.encode("utf-8", "backslashreplace") + b"\n")

    return write, file


def nowhere(line: str) -> None:
    """``STREAM = None``."""
