"""Counts the processes of this cgroup that the kernel has killed because memory ran out.

``memory.events`` of version 2 and ``memory.oom_control`` of version 1 both count them, whether
the cgroup or the whole machine ran out of memory.
https://docs.kernel.org/admin-guide/cgroup-v2.html#memory-interface-files
"""

from __future__ import annotations

import os

_MOUNTS = {"memory": "/sys/fs/cgroup/memory", "": "/sys/fs/cgroup"}
_FILES = {"memory": "memory.oom_control", "": "memory.events"}


def counter_file() -> str | None:
    """The file that counts for this process; None where there is none (no cgroup, the root one)."""
    try:
        with open("/proc/self/cgroup", encoding="utf-8") as cgroups:
            lines = [line.rstrip("\n").split(":", 2) for line in cgroups]
    except OSError:
        return None
    for _, controllers, group in (line for line in lines if len(line) == 3):
        kind = "memory" if "memory" in controllers.split(",") else controllers
        if kind in _MOUNTS:
            # In a container the path is the host's, and only the mount's own root is visible.
            for base in (_MOUNTS[kind] + group.rstrip("/"), _MOUNTS[kind]):
                path = os.path.join(base, _FILES[kind])
                if kills(path) is not None:
                    return path
    return None


def kills(path: str | None) -> int | None:
    """The count; None when it cannot be read."""
    if path is None:
        return None
    try:
        with open(path, encoding="utf-8") as counts:
            for line in counts:
                name, _, count = line.partition(" ")
                if name == "oom_kill":
                    return int(count)
    except (OSError, ValueError):
        pass
    return None
