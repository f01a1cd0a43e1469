"""Reads the stacks of a child process once, to see whether those of a stuck worker can be read."""

from __future__ import annotations

import platform
import subprocess
import sys
from typing import NamedTuple

from slowhound.event.formats import one_line
from slowhound.gil import readers

# Writes a byte when it runs, and ends with its input: also when this command is killed.
CHILD_SOURCE = "import os; os.write(1, b'.'); os.read(0, 1)"


class Trial(NamedTuple):
    """The reader that worked, as ``Reading.by``; None, and ``why``, when none did."""

    by: str | None
    why: str = ""


def read_a_child() -> Trial:
    """Tries each reader on a child of this process; takes 4 s at the most.

    If the kernel lets a user read any process, then a child.
    """
    argv = [sys.executable or "", "-I", "-S", "-c", CHILD_SOURCE]
    try:
        child = subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE)  # noqa: S603
    except (OSError, ValueError) as exc:  # Python in another program may not know its executable
        return Trial(None, f"no Python to try it with: {one_line(str(exc))}")
    with child:  # closes its input, and waits for it
        assert child.stdout is not None
        child.stdout.read(1)
        reasons: list[str] = []
        python = platform.python_version()
        found = (read(child.pid, python) for read in readers.with_reasons(reasons))
        reading = next((each for each in found if each is not None), None)
    return Trial(reading.by) if reading is not None else Trial(None, "; ".join(reasons))
