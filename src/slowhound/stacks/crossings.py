"""Finds the asyncio task that a thread waits for, in its own loop or in another thread's.

``asyncio.run`` and ``run_until_complete`` in sync code, asgiref's ``async_to_sync``, and the result
of ``run_coroutine_threadsafe``; that of a pool's ``submit`` or ``map`` leads into its thread. A
thread that runs something meanwhile, in its loop or for it, has all of that in its own frames: then
there is nothing to follow.
"""

from __future__ import annotations

import asyncio
import asyncio.base_events
import asyncio.runners
import concurrent.futures._base
from collections.abc import Mapping
from types import FrameType
from typing import Any, NamedTuple

from slowhound.runtime.attributes import attribute_or
from slowhound.runtime.code_objects import file_of, qualname_of
from slowhound.runtime.static_lookup import function_variables
from slowhound.stacks.executors import thread_of
from slowhound.stacks.hops import ASGIREF_WAITS, Inner, from_closure

# Frames between the innermost one of a thread that waits and the call in which it does.
MOST_WAITING_FRAMES = 8
# The innermost functions of such threads: that of a selector, of a loop of C (uvloop), of a lock.
_ENDS = frozenset(("select", "_run_once", "run", "wait"))
_RUNS, _RESULT = "BaseEventLoop.run_until_complete", "Future.result"
_FILES = {
    _RUNS: asyncio.base_events.__file__,
    _RESULT: concurrent.futures._base.__file__,
    "Runner.run": asyncio.runners.__file__,
}
# What a thread is in while it is not only waiting: a callback of its loop, a job that came back.
_WORKS = ("Handle._run", "_WorkItem.run")


class Crossing(NamedTuple):
    """How many of the thread's innermost frames are only its waiting, and what it waits for.

    ``after`` is a task or a future of a loop that runs in ``thread``; or None, and ``inner`` are
    the frames of another thread that runs one.
    """

    waiting: int
    after: Any
    thread: int
    inner: Inner | None = None


def may_wait(innermost: FrameType) -> bool:
    """False for nearly all threads that ``crossing`` would find nothing for, and quickly."""
    name = innermost.f_code.co_name
    return type(name) is str and name in _ENDS


def crossing(ident: int, frames: list[FrameType]) -> Crossing | None:
    """What the thread waits for; None when it works, or waits for anything else.

    Args:
        ident: the thread.
        frames: of it, from outside in.
    """
    if not frames or not may_wait(frames[-1]):
        return None
    inner = frames[: -MOST_WAITING_FRAMES - 2 : -1]
    for place, frame in enumerate(inner[:MOST_WAITING_FRAMES]):
        name = qualname_of(frame.f_code)
        if name == ASGIREF_WAITS:
            return _of_asgiref(place, inner[place + 1]) if place + 1 < len(inner) else None
        if name in _WORKS:
            break
        if name in _FILES and file_of(frame.f_code) == _FILES[name]:
            return _of_standard_library(ident, place, name, function_variables(frame))
    return None


def _of_standard_library(
    ident: int, place: int, name: str, names: Mapping[str, Any]
) -> Crossing | None:
    if name == _RUNS:
        return Crossing(place, names.get("future"), ident)
    if name == _RESULT:
        return _of_result(place, names.get("self"))
    # A loop of C has no frames; what it calls would be further inside.
    return None if place else Crossing(place, names.get("task"), ident)


def _of_asgiref(place: int, caller: FrameType) -> Crossing | None:
    """``AsyncToSync.__call__`` has its task in a loop that is there, or in one of a new thread."""
    names = function_variables(caller)
    job, ours = names.get("loop_future"), names.get("task_context")
    if job is None:
        task = ours[-1] if type(ours) is list and ours else None
        return None if task is None else Crossing(place, task, _thread_of_loop(task))
    return _of_thread(place, thread_of(job))


def _of_thread(place: int, found: tuple[int, list[FrameType]] | None) -> Crossing | None:
    return None if found is None else Crossing(place, None, found[0], Inner(*found))


def _of_result(place: int, job: Any) -> Crossing | None:
    """``run_coroutine_threadsafe`` ties its two futures together by callbacks; a pool has one."""
    callbacks = attribute_or(job, "_done_callbacks")
    task = from_closure(
        callbacks if type(callbacks) is list else [], "_call_check_cancel", "source"
    )
    if not issubclass(type(task), asyncio.Future):
        return _of_thread(place, thread_of(job))
    return Crossing(place, task, _thread_of_loop(task))


def _thread_of_loop(task: Any) -> int:
    loop = asyncio.Future.get_loop(task) if issubclass(type(task), asyncio.Future) else None
    ident = attribute_or(loop, "_thread_id")
    return ident if type(ident) is int else 0
