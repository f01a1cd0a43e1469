"""Reads what a coroutine or a generator of another thread awaits, without crashing CPython.

Before Python 3.13 ``cr_await`` of a coroutine into which something is just thrown reads an entry of
its stack that is gone: the process dies. So it is read only of one that is suspended, and that is
checked in the same step of C: without a line of Python in between, no other thread gets the GIL.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable, Iterator
from operator import and_, is_, is_not
from types import AsyncGeneratorType, CoroutineType, FrameType, GeneratorType
from typing import Any, NamedTuple

WITH_FRAMES = (CoroutineType, GeneratorType, AsyncGeneratorType)
# Of Python 3.11: the task that each loop is in.
_NOW: dict[Any, Any] = getattr(asyncio.tasks, "_current_tasks", {})
_OLD = sys.version_info < (3, 12)


class _Names(NamedTuple):
    """The names of one kind's attributes; ``read`` gives the one to read, by ``suspended``."""

    frame: str
    suspended: str
    read: Callable[[bool, str], str]


def _names(frame: str, suspended: str, awaits: str) -> _Names:
    return _Names(frame, suspended, {True: awaits}.get)


_COROUTINE = _names("cr_frame", "cr_suspended", "cr_await")
_GENERATOR = _names("gi_frame", "gi_suspended", "gi_yieldfrom")
# ag_running is also true while it is suspended inside an anext() that is awaited.
_ASYNC_GENERATOR = _names("ag_frame", "ag_suspended", "ag_await")


def has_frame(thing: Any) -> bool:
    """True for what ``step`` knows; types are not compared, a metaclass may have an ``__eq__``."""
    return issubclass(type(thing), WITH_FRAMES)  # which have no subclasses


def step(awaited: Any, task: Any) -> tuple[FrameType | None, bool, Any]:
    """The frame of what is awaited, whether it may run now, and what it awaits itself.

    Args:
        awaited: any object.
        task: the one whose coroutine it is, None for what is further inside.
    """
    kind = type(awaited)
    if kind is CoroutineType:
        names = _COROUTINE
    elif kind is GeneratorType:
        names = _GENERATOR
    elif kind is AsyncGeneratorType:
        names = _ASYNC_GENERATOR
    else:
        return None, False, None
    frame = getattr(awaited, names.frame)
    if frame is None:
        return None, False, None
    suspended: Iterator[bool] = map(getattr, (awaited,), (names.suspended,))
    if _OLD and kind is AsyncGeneratorType:  # only what runs has been called from somewhere
        suspended = map(is_, map(getattr, (frame,), ("f_back",)), (None,))
    elif _OLD and task is not None:
        # When what a coroutine awaited is taken from it and freed, which may run a finalizer, it
        # still counts as suspended. Where that does harm, its loop is in the task.
        outside = map(is_not, map(_NOW.get, (asyncio.Task.get_loop(task),)), (task,))
        suspended = map(and_, suspended, outside)
    # In one step: checks, and reads the attribute that the result selects.
    found = next(map(getattr, (awaited,), map(names.read, suspended, ("__class__",))))
    return frame, found is kind, None if found is kind else found
