"""Reads stacks of another Python process with the standard library, from Python 3.14 on.

``_remote_debugging`` needs neither the other's GIL nor a stop, but the same version on both sides
and the kernel's permission (ptrace): an ancestor has it, and root. The module is private and
differs between 3.14 and 3.15; any error here means "not in this way".
"""

from __future__ import annotations

import importlib
import importlib.util
import platform
from typing import Any

from slowhound.event.formats import one_line
from slowhound.frames.frames import Frame, Stack
from slowhound.gil.reading import NotRead, Reading, stable
from slowhound.runtime.own_log import log

# Built into Python or a library beside it: to import it compiles nothing.
available = importlib.util.find_spec("_remote_debugging") is not None


def read(pid: int, python: str) -> Reading | None:
    """As ``read_or_raise``; None when the stacks cannot be read in this way."""
    try:
        return read_or_raise(pid, python)
    except NotRead as why:
        log.debug("slowhound: pid %d cannot be read: %s", pid, why)
        return None


def read_or_raise(pid: int, python: str) -> Reading:
    """The stack of each thread by the kernel's id.

    ``python`` is the version that runs there, such as ``3.14.2``.

    Raises:
        NotRead: not in this way.
    """
    if not available:
        raise NotRead("only Python 3.14 and newer have one")
    own = platform.python_version()
    if python != own:
        raise NotRead(f"that process runs Python {one_line(python)}, this one {own}")
    try:
        module = importlib.import_module("_remote_debugging")
        unwinder = module.RemoteUnwinder(pid, all_threads=True)
        found = stable(_plain(unwinder.get_stack_trace()), _plain(unwinder.get_stack_trace()))
    except Exception as exc:  # PermissionError, RuntimeError, ImportError, ...
        raise NotRead(one_line(repr(exc))) from exc
    if not found:
        raise NotRead("two readings have no stack in common")
    return Reading(found, "remote")


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
