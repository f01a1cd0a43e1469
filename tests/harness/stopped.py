"""Servers of several processes, of which the test chooses who answers."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.harness.waiting import eventually


@contextmanager
def stopped(pids: Iterable[int]) -> Iterator[None]:
    """These stand still, and whoever else listens on their socket answers.

    The kernel may prefer one of several for as long as it likes. They stay healthy for those who
    look after them if it is for less than a few seconds.
    """
    found = list(pids)
    try:
        for pid in found:
            os.kill(pid, signal.SIGSTOP)
        eventually(lambda: all(map(_stands, found)), f"{found} stand still")
        yield
    finally:
        for pid in found:
            os.kill(pid, signal.SIGCONT)


def _stands(pid: int) -> bool:
    """True when each of its threads has stopped."""
    try:
        stats = [path.read_text() for path in Path(f"/proc/{pid}/task").glob("*/stat")]
    except OSError:  # a thread has ended
        return False
    return all(stat.rpartition(")")[2].split()[0] == "T" for stat in stats)
