"""Identifies processes of this machine by pid, pid namespace and start time.

A pid alone is used again, and is another process's in another container.
"""

from __future__ import annotations

import os
from typing import NamedTuple


class Process(NamedTuple):
    """The identity of a process, for as long as the machine runs.

    ``namespace`` is the namespace of its pid, ``born`` its start in ticks of the kernel. 0 means
    unknown.
    """

    pid: int
    namespace: int = 0
    born: int = 0


def this_process() -> Process:
    """The calling process."""
    return _of(os.getpid())


def parent() -> Process:
    """The parent of the calling process."""
    return _of(os.getppid())


def _of(pid: int) -> Process:
    return Process(pid, namespace(), _born(pid) or 0)


def namespace() -> int:
    """The namespace in which this process's pids are unique; 0 when not known."""
    try:
        return os.stat("/proc/self/ns/pid").st_ino
    except OSError:
        return 0


def is_here(space: int) -> bool:
    """True when a pid of that namespace names the same process here, as far as is known."""
    mine = namespace()
    return space == mine or not space or not mine


def lives(process: Process) -> bool | None:
    """True while the process lives; None when that cannot be known here."""
    if not is_here(process.namespace) or process.pid <= 0:
        return None
    if not os.path.exists("/proc/self/stat"):
        return None
    born = _born(process.pid)
    return born is not None and (not process.born or born == process.born)


def _born(pid: int) -> int | None:
    """When a process began; None when it has ended or never existed."""
    try:
        with open(f"/proc/{pid}/stat", "rb") as stat:
            fields = stat.read().rpartition(b") ")[2].split()
        return None if fields[0] in (b"Z", b"X") else int(fields[19])
    except (OSError, IndexError, ValueError):
        return None
