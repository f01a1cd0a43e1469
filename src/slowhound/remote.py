"""Stacks of another Python process, read from its memory: Python 3.14 and newer.

The standard library's ``_remote_debugging`` needs neither the other's GIL nor a stop, but the same
minor version on both sides and the kernel's leave (ptrace): an ancestor has it, and root. The
module is private and differs between 3.14 and 3.15; whatever goes wrong here means "not by this
way".
"""

from __future__ import annotations

import importlib
import platform
from typing import Any

from slowhound.frames import Frame, Stack
from slowhound.guard import log


def stacks(pid: int, python: str) -> dict[int, Stack]:
    """The stack of each thread by the system's id; empty when they cannot be read this way.

    ``python`` is the version that runs there, such as ``3.14.2``.
    """
    if python != platform.python_version():
        return {}
    try:
        module = importlib.import_module("_remote_debugging")
        unwinder = module.RemoteUnwinder(pid, all_threads=True)
        return _plain(unwinder.get_stack_trace())
    except Exception as exc:  # noqa: BLE001  PermissionError, RuntimeError, ImportError, ...
        log.debug("slowhound: pid %d cannot be read: %r", pid, exc)
        return {}


def _plain(trace: Any) -> dict[int, Stack]:
    found = {}
    for item in trace:
        # 3.14 lists threads, 3.15 interpreters with their threads.
        for thread in getattr(item, "threads", (item,)):
            frames = [_frame(frame) for frame in thread.frame_info]
            frames.reverse()
            found[int(thread.thread_id)] = tuple(frames)
    return found


def _frame(frame: Any) -> Frame:
    # 3.14 has a line number, 3.15 a location that begins with it, or None for a frame without.
    line = getattr(frame, "lineno", None)
    if line is None:
        location = getattr(frame, "location", None)
        line = location[0] if location else 0
    return Frame(str(frame.filename), int(line), str(frame.funcname))
