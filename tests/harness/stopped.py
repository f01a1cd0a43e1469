"""Stops some processes of a server, so that another one answers."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.harness.waiting import eventually


@contextmanager
def stopped(pids: Iterable[int]) -> Iterator[None]:
    """These processes are stopped during the block; another one that listens there answers.

    Otherwise the kernel may prefer one of several for as long as it likes. If they are stopped for
    less than a few seconds, their parent and their peers still count them as healthy.
    """
    found = list(pids)
    try:
        for pid in found:
            os.kill(pid, signal.SIGSTOP)
        eventually(lambda: all(map(_is_stopped, found)), f"{found} are stopped")
        yield
    finally:
        for pid in found:
            os.kill(pid, signal.SIGCONT)


def _is_stopped(pid: int) -> bool:
    """True when each of its threads has stopped."""
    try:
        stats = [path.read_text() for path in Path(f"/proc/{pid}/task").glob("*/stat")]
    except OSError:  # a thread has ended
        return False
    return all(stat.rpartition(")")[2].split()[0] == "T" for stat in stats)
