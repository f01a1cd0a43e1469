"""The stack of an asyncio task: from its handler to the line that awaits.

``Task.get_stack`` shows only the outermost frame. The rest is found by what each coroutine awaits;
through ``gather``, ``TaskGroup``, ``wait_for`` and ``shield`` to the first task that they wait
for; through ``sync_to_async`` and thread pools into the thread that works (``hops``); and from a
thread that runs a loop, or waits for one, into the task of that (``crossings``).

None of the application's code runs here: types are compared, and not asked for; methods are those
of asyncio's own classes; attributes are looked up where they are stored (``static_lookup``).

All is read from another thread while the loop runs: what changes meanwhile is seen by
``stacks.stack_of``, which looks twice.
"""

from __future__ import annotations

import asyncio
import asyncio.taskgroups
import functools
import gc
import sys
from collections.abc import Callable, Iterator
from contextvars import Context
from types import CoroutineType, FrameType, GeneratorType
from typing import Any, TypeVar

from slowhound.core.record import Record, current_record
from slowhound.frames.frames import (
    LEFT_OUT,
    Frame,
    Stack,
    current_frames,
    ends,
    frame_at,
    outwards,
)
from slowhound.runtime.attributes import attribute_or
from slowhound.runtime.code_objects import file_of, name_of_code, qualname_of
from slowhound.runtime.library_names import find, has_all
from slowhound.runtime.static_lookup import function_variables, name_of
from slowhound.stacks.awaits import has_frame, step
from slowhound.stacks.crossings import crossing
from slowhound.stacks.hops import (
    Feeding,
    Hop,
    Inner,
    anyio_file,
    behind_call,
    behind_future,
    from_callback,
)

# Steps of a chain, 3 µs each.
LONGEST = 5_000
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
WRAPPERS = ("async_generator_asend", "async_generator_athrow", "coroutine_wrapper")
ASYNCIO = (asyncio.tasks.__file__, asyncio.taskgroups.__file__)

T = TypeVar("T")
Item = Frame | FrameType | Inner


def stack(task: asyncio.Task[Any], loop_thread: int) -> tuple[Stack, FrameType | None, int | None]:
    """The frames of ``task``, outermost first; the innermost live one; the thread that runs it.

    Args:
        task: one of a loop that runs in another thread.
        loop_thread: the ident of that thread.
    """
    return stack_of(walk(task, loop_thread))


def stack_of(items: Iterator[Item]) -> tuple[Stack, FrameType | None, int | None]:
    """The same of what ``walk`` or ``walk_thread`` gives."""
    frames, live, ident = read(items, _plain, lambda note: note)
    return tuple(frames), live, ident


def read(
    items: Iterator[Item], seen: Callable[[FrameType], T], noted: Callable[[Frame], T]
) -> tuple[list[T], FrameType | None, int | None]:
    """What ``seen`` and ``noted`` make of frames and notes; the innermost frame, and its thread.

    Each frame is read at once: its coroutine goes on meanwhile. Of deep stacks both ends are kept.
    """
    _know_the_names()
    found: list[T] = []
    live: FrameType | None = None
    ident: int | None = None
    for item in items:
        if isinstance(item, Inner):
            live, ident = item.frames[-1], item.ident
            kept = ends(list[FrameType | None](item.frames), None)
            found += [noted(LEFT_OUT) if each is None else seen(each) for each in kept]
        elif isinstance(item, Frame):
            found.append(noted(item))
        else:
            live, ident = item, None
            found.append(seen(item))
    return ends(found, noted(LEFT_OUT)), live, ident


@functools.cache
def _know_the_names() -> None:
    """Says what the frames of Django, asgiref and anyio are not called any more."""
    if "asgiref.sync" in sys.modules:  # nothing is imported here
        has_all(SYNC_CODE, "a stack ends where a task awaits sync code")
    if "anyio._backends._asyncio" in sys.modules:
        has_all(ANYIO_CODE, "a stack ends where a task awaits a thread or a group of anyio's")
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
    return frame_at(frame.f_code, frame.f_lineno)


def walk(awaited: Any, loop_thread: int, known: set[int] | None = None) -> Iterator[Item]:
    """Live frames, and notes in the form of frames, of what ``awaited`` waits for.

    Args:
        awaited: a task or a future.
        loop_thread: the ident of its loop's thread.
        known: what has been passed already, by ``id()``: a chain may come back to itself.
    """
    known = set() if known is None else known
    task, feeding = None, Feeding()
    for _ in range(LONGEST):
        if awaited is None or id(awaited) in known:
            return
        known.add(id(awaited))
        frame, running, after = step(awaited, task)
        task = awaited if _is_task(awaited) else None
        if frame is None:
            awaited = _beyond(awaited)
        elif running:
            yield from _inside(frame, loop_thread, known)
            return
        else:
            yield frame
            feeding.passes(frame)
            awaited = behind_call(frame) or _children(frame, after)
        if awaited is None:
            awaited = _any_of(feeding.tasks())
        if type(awaited) is Group:
            yield awaited.note
            awaited = awaited.first
        elif type(awaited) is Hop:
            hop = awaited
            if hop.after is None and isinstance(hop.seen, Inner):
                yield from walk_thread(hop.seen, known)
            else:
                yield hop.seen
            awaited = hop.after


def walk_thread(inner: Inner, known: set[int] | None = None) -> Iterator[Item]:
    """The same of what a thread runs; where it waits for a task or a thread, on into that."""
    known = set() if known is None else known
    found = crossing(inner.ident, inner.frames)
    if found is None:
        yield inner
        return
    yield Inner(inner.ident, inner.frames[: len(inner.frames) - found.waiting])
    if found.inner is not None:
        outermost = id(found.inner.frames[0])
        if outermost in known:  # two jobs that wait for each other
            return
        known.add(outermost)
        yield from walk_thread(found.inner, known)
    else:
        yield from walk(found.after, found.thread, known)


def _beyond(awaited: Any) -> Any:
    """What is waited for behind something that has no frame; None at the end of the chain."""
    if _is_task(awaited):
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
    return next((each for each in found if name_of(type(each)) in WRAPPERS), None)


def _any_of(tasks: Any) -> Group | None:
    group = Group("TaskGroup", tasks)
    return None if group.first is None else group


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
    return type(coroutine) is CoroutineType and LISTENS.endswith(
        f".{name_of_code(coroutine.cr_code)}"
    )


def _inside(frame: FrameType, thread: int, known: set[int]) -> Iterator[Item]:
    """The frames of a running coroutine and of all that it called: its thread's innermost ones."""
    inner = outwards(current_frames().get(thread))
    if frame in inner:
        yield from walk_thread(Inner(thread, inner[inner.index(frame) :: -1]), known)
    else:
        yield frame  # it has moved on


def _children(frame: FrameType, awaited: Any) -> Any:
    """What is awaited in truth, where the standard library's own frames hide it."""
    file, name = file_of(frame.f_code), qualname_of(frame.f_code)
    if name in ("TaskGroup.__aexit__", "TaskGroup._aexit") and file in (*ASYNCIO, anyio_file()):
        return Group("TaskGroup", attribute_or(function_variables(frame).get("self"), "_tasks"))
    if file in ASYNCIO:
        names = function_variables(frame)
        if name == "_wait":
            return Group("wait", names.get("fs"))
        if name.endswith("._wait_for_one"):  # before Python 3.13 it is out of reach
            todo = attribute_or(names.get("self"), "_todo")
            return Group("as_completed", todo) if type(todo) is set and todo else awaited
        if name == "wait_for" and _is_task(names.get("fut")):
            return names["fut"]  # Python 3.11 runs it in a task of its own
    return awaited


def _gathered(future: Any) -> Group | None:
    members = attribute_or(future, "_children")
    return Group("gather", members) if type(members) is list and members else None


def _shielded(future: Any) -> Any:
    """``shield`` gives a future that only a callback's closure ties to what it waits for."""
    return from_callback(future, "_outer_done_callback", "inner")
