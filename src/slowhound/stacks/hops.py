"""Finds the thread that works for an asyncio task: asgiref's, anyio's or one of a pool.

As in ``asyncio_tasks``: none of the application's code runs here, and all is read from another
thread.
"""

from __future__ import annotations

import asyncio
import contextlib
import sys
from types import FrameType, FunctionType
from typing import Any, NamedTuple

from slowhound.frames.frames import Frame, current_frames, outwards
from slowhound.runtime.attributes import attribute_or
from slowhound.runtime.code_objects import file_of, name_of_code, qualname_of
from slowhound.runtime.static_lookup import function_variables, own
from slowhound.stacks.executors import WAITS_FOR_A_THREAD, is_finished, thread_of, why_waiting

# Where asgiref runs sync code: the await in the task, and the function in the thread.
HOPS = ("SyncToAsync.__call__", "SyncToAsync.thread_handler")
# The same of anyio, with which Starlette and FastAPI run what is not async.
ANYIO_HOPS = ("AsyncIOBackend.run_sync_in_worker_thread", "WorkerThread.run")
# Where a task waits for what another one sends, or only for its client to go away.
FED = ("MemoryObjectReceiveStream.receive", "listen_for_disconnect")
ASGIREF_WAITS = "CurrentThreadExecutor.run_until_future"  # where a thread waits in async_to_sync
WAITS_FOR_ITS_LOOP = "its thread has ended; waits for its event loop"
NO_THREAD_NOW = "its thread has not begun yet, or has ended and waits for its event loop"
# Where asyncio is not in C there is no such descriptor, and nothing is seen behind a future.
_CALLBACKS: Any = getattr(asyncio.Future, "_callbacks", None)


class Inner(NamedTuple):
    """The part of a stack that a thread runs right now: frames from outside in."""

    ident: int
    frames: list[FrameType]


class Hop(NamedTuple):
    """Beyond an ``await``: its thread or a description, and the task that this waits for."""

    seen: Inner | Frame
    after: Any = None


def behind_call(frame: FrameType) -> Hop | None:
    """What is behind a frame in which a task waits for a thread; None for any other frame."""
    name = qualname_of(frame.f_code)
    if name == HOPS[0] and file_of(frame.f_code).endswith("sync.py"):
        return _behind_asgiref(frame)
    if name == ANYIO_HOPS[0] and file_of(frame.f_code) == anyio_file():
        return _behind_anyio(frame)
    return None


def _behind_asgiref(frame: FrameType) -> Hop | None:
    names = function_variables(frame)
    ours = names.get("task_context")
    if type(ours) is not list:
        return None
    inner = _thread_with(HOPS[1], "task_context", ours)
    if inner is not None:
        # A thread in async_to_sync waits for a task of the loop, or works for that meanwhile.
        calls = [qualname_of(each.f_code) for each in inner.frames] if ours else []
        if ASGIREF_WAITS in calls:
            return Hop(Inner(inner.ident, inner.frames[: calls.index(ASGIREF_WAITS) + 1]), ours[-1])
        return Hop(inner)
    job = from_callback(names.get("exec_coro"), "_call_check_cancel", "source")
    if job is not None and is_finished(job):
        return Hop(Frame("<asgiref>", 0, WAITS_FOR_ITS_LOOP))
    return Hop(Frame("<asgiref>", 0, WAITS_FOR_A_THREAD if job is None else why_waiting(job)))


def _anyio() -> dict[str, Any]:
    """The names in anyio's part for asyncio; none where that is not imported."""
    return own(sys.modules.get("anyio._backends._asyncio"))


def anyio_file() -> str | None:
    """Its file."""
    found = _anyio().get("__file__")
    return found if type(found) is str else None


class Feeding:
    """Tasks of anyio that feed the one that waits: in a task group that it has open.

    Starlette's middleware runs the application in such a task, and waits for what that sends.
    """

    def __init__(self) -> None:
        self._kind = _anyio().get("TaskGroup")
        self._tasks: Any = None
        self._is_fed = False

    def passes(self, frame: FrameType) -> None:
        """A frame of the task, from outside in."""
        if self._kind is None or self._is_fed:  # what is further in is how it waits
            return
        if qualname_of(frame.f_code).endswith(FED):
            self._is_fed = True
        else:
            for each in list(function_variables(frame).values()):
                if type(each) is self._kind:
                    self._tasks = attribute_or(each, "_tasks")

    def tasks(self) -> Any:
        """The tasks of that group; None when it waits for anything else. It is one of them next."""
        tasks = self._tasks if self._is_fed else None
        self._tasks, self._is_fed = None, False
        return tasks


def _behind_anyio(frame: FrameType) -> Hop | None:
    future = function_variables(frame).get("future")
    if future is None:
        return None  # it waits for a free thread, which its own frames show
    return Hop(_thread_with(ANYIO_HOPS[1], "future", future) or Frame("<anyio>", 0, NO_THREAD_NOW))


def behind_future(future: Any) -> Hop | None:
    """What is behind ``await loop.run_in_executor(...)``; None for any other future."""
    job = from_callback(future, "_call_check_cancel", "source")
    return None if job is None else behind_job(job)


def behind_job(job: Any) -> Hop:
    """The thread that does what was given to a pool, or why none does."""
    found = thread_of(job)
    if found is not None:
        return Hop(Inner(*found))
    if is_finished(job):
        return Hop(Frame("<asyncio>", 0, WAITS_FOR_ITS_LOOP))
    return Hop(Frame("<asyncio>", 0, why_waiting(job)))


def _thread_with(function: str, variable: str, value: Any) -> Inner | None:
    """The thread that is in this function, which has the value in that variable, from there on."""
    for ident, innermost in current_frames().items():
        inner = outwards(innermost)
        for place, frame in enumerate(inner):
            names = function_variables(frame) if qualname_of(frame.f_code) == function else {}
            if names.get(variable) is value:
                return Inner(ident, inner[place::-1])
    return None


def from_callback(future: Any, function: str, variable: str) -> Any:
    """A variable of the closure of one of a future's callbacks, None when there is none."""
    if _CALLBACKS is None or not issubclass(type(future), asyncio.Future):
        return None
    callbacks = [callback for callback, _ in _CALLBACKS.__get__(future) or ()]
    return from_closure(callbacks, function, variable)


def from_closure(callbacks: list[Any], function: str, variable: str) -> Any:
    """The same for any functions."""
    for callback in callbacks:
        if type(callback) is FunctionType and name_of_code(callback.__code__) == function:
            names = callback.__code__.co_freevars
            if variable in names and callback.__closure__:
                with contextlib.suppress(ValueError):  # the cell is empty by now
                    return callback.__closure__[names.index(variable)].cell_contents
    return None
