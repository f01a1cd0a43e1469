"""A trial: the stacks of a child of this command are read once, as those of a stuck worker are."""

from __future__ import annotations

import platform
import subprocess
import sys
from typing import NamedTuple

from slowhound.event.formats import one_line
from slowhound.gil import readers

# Says that it has begun, and waits for the end of its input: also when this command is killed.
CHILD = "import os; os.write(1, b'.'); os.read(0, 1)"


class Trial(NamedTuple):
    """By which way the child was read, as ``Reading.by``; None and ``why`` when by none."""

    by: str | None
    why: str = ""


def read_a_child() -> Trial:
    """What the readers can do here; takes 4 s at the most.

    A child is the process that the kernel lets one read most easily.
    """
    argv = [sys.executable or "", "-I", "-S", "-c", CHILD]
    try:
        child = subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE)  # noqa: S603
    except (OSError, ValueError) as exc:  # a Python inside another program may not know its own
        return Trial(None, f"no Python to try it with: {one_line(str(exc))}")
    with child:  # closes its input, and waits for it
        assert child.stdout is not None
        child.stdout.read(1)
        reasons: list[str] = []
        python = platform.python_version()
        found = (read(child.pid, python) for read in readers.telling(reasons))
        reading = next((each for each in found if each is not None), None)
    return Trial(reading.by) if reading is not None else Trial(None, "; ".join(reasons))
