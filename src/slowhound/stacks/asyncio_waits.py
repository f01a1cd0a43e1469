"""Finds what asyncio's own futures, groups and functions wait for.

As in ``asyncio_tasks``: none of the application's code runs here, and all is read from another
thread.
"""

from __future__ import annotations

import asyncio
import asyncio.taskgroups
import functools
import gc
import sys
from types import CoroutineType, FrameType, GeneratorType
from typing import Any

from slowhound.frames.frames import Frame
from slowhound.runtime.attributes import attribute_or
from slowhound.runtime.code_objects import file_of, name_of_code, qualname_of
from slowhound.runtime.library_names import find, has_all
from slowhound.runtime.static_lookup import function_variables, name_of
from slowhound.stacks.awaits import has_frame
from slowhound.stacks.hops import anyio_file, behind_future, from_callback

SYNC_CODE = (
    "asgiref.sync.SyncToAsync.__call__:task_context",
    "asgiref.sync.SyncToAsync.__call__:exec_coro",
    "asgiref.sync.SyncToAsync.thread_handler:task_context",
    "asgiref.sync.AsyncToSync.__call__:task_context",
    "asgiref.sync.AsyncToSync.__call__:loop_future",
    "asgiref.current_thread_executor.CurrentThreadExecutor.run_until_future",
)
ANYIO_CODE = (
    "anyio._backends._asyncio.AsyncIOBackend.run_sync_in_worker_thread:future",
    "anyio._backends._asyncio.WorkerThread.run:future",
    "anyio._backends._asyncio.TaskGroup:_tasks",
    "anyio.streams.memory.MemoryObjectReceiveStream.receive",
)
LISTENS = "django.core.handlers.asgi.ASGIHandler.listen_for_disconnect"
# What anext() with a default wraps.
ANEXT_WRAPPERS = ("async_generator_asend", "async_generator_athrow", "coroutine_wrapper")
ASYNCIO = (asyncio.tasks.__file__, asyncio.taskgroups.__file__)


@functools.cache
def check_names() -> None:
    """Logs which frames of Django, asgiref and anyio have other names in the installed versions."""
    if "asgiref.sync" in sys.modules:  # nothing is imported here
        has_all(SYNC_CODE, "a stack ends where a task awaits sync code")
    if "anyio._backends._asyncio" in sys.modules:
        has_all(ANYIO_CODE, "a stack ends where a task awaits a thread or a group of anyio's")
    if "django.core.handlers.asgi" in sys.modules:
        find(LISTENS, "a stack may show how Django waits for the client to go away")


def is_task(thing: Any) -> bool:
    """True for an asyncio task."""
    return issubclass(type(thing), asyncio.Task)


def is_stepping(task: Any) -> bool:
    """True while the loop's thread runs the coroutine of this task."""
    coroutine = asyncio.Task.get_coro(task) if is_task(task) else None
    if type(coroutine) is CoroutineType:
        return coroutine.cr_running
    return type(coroutine) is GeneratorType and coroutine.gi_running


def behind(awaited: Any) -> Any:
    """What is waited for behind something that has no frame; None at the end of the chain."""
    if is_task(awaited):
        return asyncio.Task.get_coro(awaited)
    if issubclass(type(awaited), asyncio.Future):
        shielded = _shielded(awaited)
        if shielded is not None:
            return shielded
        return _gathered(awaited) or behind_future(awaited)
    if awaited is None or has_frame(awaited):
        return None  # it has ended
    # An object of C wraps it: it refers to that, perhaps in a wrapper of its own, and to little
    # else.
    found = gc.get_referents(awaited)
    for each in found:
        if has_frame(each) or issubclass(type(each), asyncio.Future):
            return each
    return next((each for each in found if name_of(type(each)) in ANEXT_WRAPPERS), None)


def first_pending(tasks: Any) -> AwaitedGroup | None:
    """These tasks, of a task group; None when none of them is pending."""
    group = AwaitedGroup("TaskGroup", tasks)
    return None if group.first is None else group


class AwaitedGroup:
    """Several that are waited for at once: the one that runs, or the first that is not done."""

    def __init__(self, kind: str, members: Any) -> None:
        everyone = list(members) if type(members) is set or type(members) is list else []
        pending = [each for each in everyone if not _done(each) and not _listens(each)]
        running = [each for each in pending if is_stepping(each)]
        self.first = next(iter(running or pending), None)
        text = f"{kind} of {len(everyone)}, {len(pending)} pending"
        if self.first is not None:
            text += "; the one that runs" if running else "; the first of them"
        self.note = Frame("<asyncio>", 0, text)


def _done(future: Any) -> bool:
    """False also for what is no future of asyncio's: its own ``done()`` may be any code."""
    return issubclass(type(future), asyncio.Future) and asyncio.Future.done(future)


def _listens(task: Any) -> bool:
    """True for the task in which Django's handler waits for the client to go away."""
    coroutine = asyncio.Task.get_coro(task) if is_task(task) else None
    return type(coroutine) is CoroutineType and LISTENS.endswith(
        f".{name_of_code(coroutine.cr_code)}"
    )


def behind_frame(frame: FrameType, awaited: Any) -> Any:
    """What is really awaited, where the standard library's own frames hide it."""
    file, name = file_of(frame.f_code), qualname_of(frame.f_code)
    if name in ("TaskGroup.__aexit__", "TaskGroup._aexit") and file in (*ASYNCIO, anyio_file()):
        return AwaitedGroup(
            "TaskGroup", attribute_or(function_variables(frame).get("self"), "_tasks")
        )
    if file in ASYNCIO:
        names = function_variables(frame)
        if name == "_wait":
            return AwaitedGroup("wait", names.get("fs"))
        if name.endswith("._wait_for_one"):  # before Python 3.13 it is out of reach
            todo = attribute_or(names.get("self"), "_todo")
            return AwaitedGroup("as_completed", todo) if type(todo) is set and todo else awaited
        if name == "wait_for" and is_task(names.get("fut")):
            return names["fut"]  # Python 3.11 runs it in a task of its own
    return awaited


def _gathered(future: Any) -> AwaitedGroup | None:
    members = attribute_or(future, "_children")
    return AwaitedGroup("gather", members) if type(members) is list and members else None


def _shielded(future: Any) -> Any:
    """``shield`` gives a future that only a callback's closure ties to what it waits for."""
    return from_callback(future, "_outer_done_callback", "inner")
