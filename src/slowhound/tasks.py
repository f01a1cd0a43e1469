"""The stack of an asyncio task: from its handler to the line that awaits.

``Task.get_stack`` shows only the outermost frame. The rest is found by what each coroutine awaits;
through ``gather``, ``TaskGroup``, ``wait_for`` and ``shield`` to the first task that they wait
for; and through ``sync_to_async`` into the thread that runs the sync code.

None of the application's code runs here: types are compared, and not asked for; methods are those
of asyncio's own classes; attributes are looked up where they are stored (``static_lookup``).

All is read from another thread while the loop runs: what changes meanwhile is seen by
``stacks.stack_of``, which looks twice.
"""

from __future__ import annotations

import asyncio
import asyncio.taskgroups
import contextlib
import functools
import gc
import sys
from collections.abc import Iterator
from contextvars import Context
from types import CoroutineType, FrameType, FunctionType, GeneratorType
from typing import Any, NamedTuple

from slowhound.awaits import has_frame, step
from slowhound.executors import WAITS_FOR_A_THREAD, is_finished, thread_of, why_waiting
from slowhound.frames import Frame, Stack, current_frames, from_frame, outwards
from slowhound.losses import find, has_all
from slowhound.record import Record, current_record
from slowhound.static_lookup import attribute_or, function_variables, name_of

DEEPEST = 400  # frames of a chain: it may await itself in a circle
# Where asgiref runs sync code: the await in the task, and the function in the thread.
HOPS = ("SyncToAsync.__call__", "SyncToAsync.thread_handler")
SYNC_CODE = (
    "asgiref.sync.SyncToAsync.__call__:task_context",
    "asgiref.sync.SyncToAsync.__call__:exec_coro",
    "asgiref.sync.SyncToAsync.thread_handler:task_context",
    "asgiref.current_thread_executor.CurrentThreadExecutor.run_until_future",
)
LISTENS = "django.core.handlers.asgi.ASGIHandler.listen_for_disconnect"
# What anext() with a default wraps.
WRAPPERS = ("async_generator_asend", "async_generator_athrow", "coroutine_wrapper")
ASYNCIO = (asyncio.tasks.__file__, asyncio.taskgroups.__file__)
# Where asyncio is not in C there is no such descriptor, and nothing is seen behind a future.
_CALLBACKS: Any = getattr(asyncio.Future, "_callbacks", None)


class Inner(NamedTuple):
    """The part of a stack that a thread runs right now: frames from outside in."""

    ident: int
    frames: list[FrameType]


Item = Frame | FrameType | Inner


def stack(task: asyncio.Task[Any], loop_thread: int) -> tuple[Stack, FrameType | None, int | None]:
    """The frames of ``task``, outermost first; the innermost live one; the thread that runs it.

    Args:
        task: one of a loop that runs in another thread.
        loop_thread: the ident of that thread.
    """
    _know_the_names()
    frames: list[Frame] = []
    live, ident = None, None
    for item in _walk(task, loop_thread):
        if isinstance(item, Inner):
            ident = item.ident
            live = item.frames[-1]
            frames += [_plain(frame) for frame in item.frames]
        elif isinstance(item, Frame):
            frames.append(item)
        else:
            live, ident = item, None
            frames.append(_plain(item))
        if len(frames) >= DEEPEST:
            break
    return tuple(frames), live, ident


@functools.cache
def _know_the_names() -> None:
    """Says what the frames of Django and asgiref are not called any more."""
    if "asgiref.sync" in sys.modules:  # nothing is imported here
        has_all(SYNC_CODE, "a stack ends where a task awaits sync code")
    if "django.core.handlers.asgi" in sys.modules:
        find(LISTENS, "a stack may show how Django waits for the client to go away")


def is_running(task: asyncio.Task[Any]) -> bool:
    """True while the loop's thread is inside this task, or inside another one of its request."""
    if not _is_task(task):
        return False
    if _steps(task):
        return True
    now = asyncio.current_task(asyncio.Task.get_loop(task))
    record = None if now is None or now is task or not _is_task(now) else _carried(now)
    return record is not None and record is _carried(task)


def _is_task(thing: Any) -> bool:
    return issubclass(type(thing), asyncio.Task)


def _steps(task: Any) -> bool:
    coroutine = asyncio.Task.get_coro(task) if _is_task(task) else None
    if type(coroutine) is CoroutineType:
        return coroutine.cr_running
    return type(coroutine) is GeneratorType and coroutine.gi_running


def _carried(task: asyncio.Task[Any]) -> Record | None:
    """The record in a task's context, which its children have copied."""
    if sys.version_info >= (3, 12):
        return asyncio.Task.get_context(task).get(current_record)
    for each in gc.get_referents(task):
        if type(each) is Context:
            return each.get(current_record)
    return None


def _plain(frame: FrameType) -> Frame:
    return from_frame(frame)[-1]


def _walk(awaited: Any, loop_thread: int) -> Iterator[Item]:
    """Live frames, and notes in the form of frames."""
    task = None
    for _ in range(DEEPEST):
        frame, running, after = step(awaited, task)
        task = awaited if _is_task(awaited) else None
        if frame is None:
            awaited = _beyond(awaited)
        elif running:
            yield from _inside(frame, loop_thread)
            return
        else:
            yield frame
            hop = _hop(frame)
            if hop is not None:
                yield hop.seen
                awaited = hop.after
            else:
                awaited = _children(frame, after)
        if type(awaited) is Group:
            yield awaited.note
            awaited = awaited.first
        elif type(awaited) is Hop:
            yield awaited.seen
            return
        if awaited is None:
            return


def _beyond(awaited: Any) -> Any:
    """What is waited for behind something that has no frame; None at the end of the chain."""
    if _is_task(awaited):
        return asyncio.Task.get_coro(awaited)
    if issubclass(type(awaited), asyncio.Future):
        return _shielded(awaited) or _gathered(awaited) or _pooled(awaited)
    if awaited is None or has_frame(awaited):
        return None  # it has ended
    # An object of C wraps it: it refers to that, perhaps in a wrapper of its own, and to little
    # else.
    found = gc.get_referents(awaited)
    for each in found:
        if has_frame(each) or issubclass(type(each), asyncio.Future):
            return each
    return next((each for each in found if name_of(type(each)) in WRAPPERS), None)


class Group:
    """Several that are waited for at once: the one that runs, or the first that is not done."""

    def __init__(self, kind: str, members: Any) -> None:
        everyone = list(members) if type(members) is set or type(members) is list else []
        pending = [each for each in everyone if not _done(each) and not _listens(each)]
        running = [each for each in pending if _steps(each)]
        self.first = next(iter(running or pending), None)
        text = f"{kind} of {len(everyone)}, {len(pending)} pending"
        if self.first is not None:
            text += "; the one that runs" if running else "; the first of them"
        self.note = Frame("<asyncio>", 0, text)


def _done(future: Any) -> bool:
    """False also for what is no future of asyncio's: it would have to be asked."""
    return issubclass(type(future), asyncio.Future) and asyncio.Future.done(future)


def _listens(task: Any) -> bool:
    """True for the task in which Django's handler waits for the client to go away."""
    coroutine = asyncio.Task.get_coro(task) if _is_task(task) else None
    return type(coroutine) is CoroutineType and LISTENS.endswith(f".{coroutine.cr_code.co_name}")


def _inside(frame: FrameType, thread: int) -> Iterator[Item]:
    """The frames of a running coroutine and of all that it called: its thread's innermost ones."""
    inner = outwards(current_frames().get(thread))
    if frame in inner:
        yield Inner(thread, inner[inner.index(frame) :: -1])
    else:
        yield frame  # it has moved on


def _children(frame: FrameType, awaited: Any) -> Any:
    """What is awaited in truth, where the standard library's own frames hide it."""
    code = frame.f_code
    if code.co_filename in ASYNCIO:
        names = function_variables(frame)
        if code.co_qualname in ("TaskGroup.__aexit__", "TaskGroup._aexit"):
            return Group("TaskGroup", attribute_or(names.get("self"), "_tasks"))
        if code.co_name == "_wait":
            return Group("wait", names.get("fs"))
        if code.co_name == "_wait_for_one":  # before Python 3.13 it is out of reach
            todo = attribute_or(names.get("self"), "_todo")
            return Group("as_completed", todo) if type(todo) is set and todo else awaited
        if code.co_name == "wait_for" and _is_task(names.get("fut")):
            return names["fut"]  # Python 3.11 runs it in a task of its own
    return awaited


def _gathered(future: Any) -> Group | None:
    members = attribute_or(future, "_children")
    return Group("gather", members) if type(members) is list and members else None


def _shielded(future: Any) -> Any:
    """``shield`` gives a future that only a callback's closure ties to what it waits for."""
    return _from_callback(future, "_outer_done_callback", "inner")


def _from_callback(future: Any, function: str, variable: str) -> Any:
    """A variable of the closure of one of a future's callbacks, None when there is none."""
    if _CALLBACKS is None or not issubclass(type(future), asyncio.Future):
        return None
    for callback, _ in _CALLBACKS.__get__(future) or ():
        if type(callback) is FunctionType and callback.__code__.co_name == function:
            names = callback.__code__.co_freevars
            if variable in names and callback.__closure__:
                with contextlib.suppress(ValueError):  # the cell is empty by now
                    return callback.__closure__[names.index(variable)].cell_contents
    return None


class Hop(NamedTuple):
    """Beyond ``await sync_to_async(...)``: its thread or a note, and what that waits for."""

    seen: Inner | Frame
    after: Any = None


def _hop(frame: FrameType) -> Hop | None:
    """What stands behind a frame of ``sync_to_async``, None for any other frame."""
    if frame.f_code.co_qualname != HOPS[0] or not frame.f_code.co_filename.endswith("sync.py"):
        return None
    names = function_variables(frame)
    ours = names.get("task_context")
    if type(ours) is not list:
        return None
    inner = _in_thread(ours)
    if inner is not None:
        # A thread in async_to_sync waits for a task of the loop, or works for that meanwhile.
        calls = [each.f_code.co_qualname for each in inner.frames]
        if ours and WAITS in calls:
            return Hop(Inner(inner.ident, inner.frames[: calls.index(WAITS) + 1]), ours[-1])
        return Hop(inner)
    job = _from_callback(names.get("exec_coro"), "_call_check_cancel", "source")
    if job is not None and is_finished(job):
        return Hop(Frame("<asgiref>", 0, WAITS_FOR_ITS_LOOP))
    return Hop(Frame("<asgiref>", 0, WAITS_FOR_A_THREAD if job is None else why_waiting(job)))


def _pooled(future: Any) -> Hop | None:
    """What stands behind ``await loop.run_in_executor(...)``, None for any other future."""
    job = _from_callback(future, "_call_check_cancel", "source")
    if job is None:
        return None
    found = thread_of(job)
    if found is not None:
        return Hop(Inner(*found))
    if is_finished(job):
        return Hop(Frame("<asyncio>", 0, WAITS_FOR_ITS_LOOP))
    return Hop(Frame("<asyncio>", 0, why_waiting(job)))


def _in_thread(ours: Any) -> Inner | None:
    for ident, innermost in current_frames().items():
        inner = outwards(innermost)
        for place, frame in enumerate(inner):
            names = function_variables(frame) if frame.f_code.co_qualname == HOPS[1] else {}
            if names.get("task_context") is ours:
                return Inner(ident, inner[place::-1])
    return None


WAITS = "CurrentThreadExecutor.run_until_future"  # where a thread waits in async_to_sync
WAITS_FOR_ITS_LOOP = "its thread has ended; waits for its event loop"
