"""Stacks of another Python process by the standard library's reader: Python 3.14 and newer.

``_remote_debugging`` needs neither the other's GIL nor a stop, but the same minor version on both
sides and the kernel's leave (ptrace): an ancestor has it, and root. The module is private and
differs between 3.14 and 3.15; whatever goes wrong here means "not by this way".
"""

from __future__ import annotations

import importlib
import importlib.util
import platform
from typing import Any

from slowhound.frames import Frame, Stack
from slowhound.gil.reading import Reading, stable
from slowhound.guard import log

# Built into Python or a library beside it: to import it compiles nothing.
available = importlib.util.find_spec("_remote_debugging") is not None


def read(pid: int, python: str) -> Reading | None:
    """The stack of each thread by the system's id; None when they cannot be read this way.

    ``python`` is the version that runs there, such as ``3.14.2``.
    """
    if not available or python != platform.python_version():
        return None
    try:
        module = importlib.import_module("_remote_debugging")
        unwinder = module.RemoteUnwinder(pid, all_threads=True)
        found = stable(_plain(unwinder.get_stack_trace()), _plain(unwinder.get_stack_trace()))
    except Exception as exc:  # noqa: BLE001  PermissionError, RuntimeError, ImportError, ...
        log.debug("slowhound: pid %d cannot be read: %r", pid, exc)
        return None
    return Reading(found, "remote") if found else None


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
