"""The stack of an asyncio task: from its handler to the line that awaits.

``Task.get_stack`` shows only the outermost frame. The rest is found by what each coroutine awaits;
through ``gather``, ``TaskGroup``, ``wait_for`` and ``shield`` to the first task that they wait
for; and through ``sync_to_async`` into the thread that runs the sync code.

All is read from another thread while the loop runs: what changes meanwhile is seen by
``stacks.stack_of``, which looks twice.
"""

from __future__ import annotations

import asyncio
import gc
import sys
from collections.abc import Iterable, Iterator
from types import AsyncGeneratorType, CoroutineType, FrameType, GeneratorType
from typing import Any, NamedTuple

from slowhound.frames import Frame, Stack, from_frame

DEEPEST = 400  # frames of a chain: it may await itself in a circle
# Where asgiref runs sync code: the await in the task, and the function in the thread.
HOPS = ("SyncToAsync.__call__", "SyncToAsync.thread_handler")


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
            live = item
            frames.append(_plain(item))
        if len(frames) >= DEEPEST:
            break
    return tuple(frames), live, ident


def is_running(task: asyncio.Task[Any]) -> bool:
    """True while the loop's thread is inside this task."""
    coroutine = task.get_coro()
    return bool(getattr(coroutine, "cr_running", False) or getattr(coroutine, "gi_running", False))


def _plain(frame: FrameType) -> Frame:
    return from_frame(frame)[-1]


def _walk(task: Any, loop_thread: int) -> Iterator[Item]:
    """Live frames, and notes in the form of frames."""
    awaited: Any = task.get_coro()
    for _ in range(DEEPEST):
        frame, running, after = _step(awaited)
        if frame is None:
            if isinstance(awaited, asyncio.Task):
                awaited = awaited.get_coro()
                continue
            yield from _beyond(awaited, loop_thread)
            return
        if running:
            yield from _inside(frame, loop_thread)
            return
        yield frame
        hop = _hop(frame)
        if hop is not None:
            yield from hop
            return
        awaited = _children(frame, after)
        if isinstance(awaited, Group):
            yield awaited.note
            awaited = awaited.first
        if awaited is None:
            return


def _step(awaited: Any) -> tuple[FrameType | None, bool, Any]:
    """The frame of what is awaited, whether it runs, and what it awaits itself."""
    if isinstance(awaited, CoroutineType):
        return awaited.cr_frame, awaited.cr_running, awaited.cr_await
    if isinstance(awaited, GeneratorType):
        return awaited.gi_frame, awaited.gi_running, awaited.gi_yieldfrom
    if isinstance(awaited, AsyncGeneratorType):
        # ag_running is also true while it is suspended inside an anext() that is awaited.
        frame = awaited.ag_frame
        return frame, frame is not None and awaited.ag_await is None, awaited.ag_await
    return None, False, None


def _beyond(awaited: Any, loop_thread: int) -> Iterator[Item]:
    """What an object of C wraps: it refers to that and to little else."""
    if isinstance(awaited, CoroutineType | GeneratorType | AsyncGeneratorType):
        return  # it has ended
    if awaited is None or isinstance(awaited, asyncio.Future):
        inner = _shielded(awaited) or _gathered(awaited)
        if isinstance(inner, Group):
            yield inner.note
            yield from _walk(inner.first, loop_thread)
        elif inner is not None:
            yield from _walk(inner, loop_thread)
        return
    for each in gc.get_referents(awaited):
        if isinstance(each, asyncio.Task):
            yield from _walk(each, loop_thread)
            return
        if isinstance(each, asyncio.Future):
            yield from _beyond(each, loop_thread)
            return
        if isinstance(each, CoroutineType | GeneratorType | AsyncGeneratorType):
            yield from _walk(_Holder(each), loop_thread)
            return


class _Holder:
    """Looks like a task, for a coroutine that is found without one."""

    def __init__(self, coroutine: Any) -> None:
        self._coroutine = coroutine

    def get_coro(self) -> Any:
        return self._coroutine


class Group:
    """Several tasks that are waited for at once: the first that is not done stands for them."""

    def __init__(self, kind: str, members: Iterable[Any]) -> None:
        everyone = list(members)
        pending = [each for each in everyone if not each.done() and not _listens(each)]
        self.first = pending[0] if pending else None
        text = f"{kind} of {len(everyone)}, {len(pending)} pending; the first of them"
        self.note = Frame("<asyncio>", 0, text)


def _listens(task: Any) -> bool:
    """True for the task in which Django's handler waits for the client to go away."""
    coroutine = task.get_coro() if isinstance(task, asyncio.Task) else None
    return getattr(coroutine, "__name__", "") == "listen_for_disconnect"


def _inside(frame: FrameType, thread: int) -> Iterator[Item]:
    """The frames of a running coroutine and of all that it called: its thread's innermost ones."""
    inner: list[FrameType] = []
    current = sys._current_frames().get(thread)
    while current is not None and len(inner) < DEEPEST:
        inner.append(current)
        if current is frame:
            yield Inner(thread, inner[::-1])
            return
        current = current.f_back
    yield frame  # it has moved on


def _children(frame: FrameType, awaited: Any) -> Any:
    """What is awaited in truth, where the standard library's own frames hide it."""
    code = frame.f_code
    if code.co_filename.endswith(("taskgroups.py", "tasks.py")) and "asyncio" in code.co_filename:
        names = frame.f_locals
        if code.co_qualname in ("TaskGroup.__aexit__", "TaskGroup._aexit"):
            return Group("TaskGroup", getattr(names.get("self"), "_tasks", ()))
        if code.co_name in ("_wait", "_wait_for_one"):
            return Group("wait", names.get("fs") or ())
        if code.co_name == "wait_for" and isinstance(names.get("fut"), asyncio.Task):
            return names["fut"]  # Python 3.11 runs it in a task of its own
    return awaited


def _gathered(future: Any) -> Group | None:
    members = getattr(future, "_children", None)
    return Group("gather", members) if isinstance(members, list) and members else None


def _shielded(future: Any) -> Any:
    """``shield`` gives a future that only a callback's closure ties to what it waits for."""
    for callback, _ in getattr(future, "_callbacks", None) or ():
        if getattr(callback, "__name__", "") == "_outer_done_callback":
            for cell in callback.__closure__ or ():
                if isinstance(cell.cell_contents, asyncio.Future):
                    return cell.cell_contents
    return None


def _hop(frame: FrameType) -> Iterator[Item] | None:
    """Beyond ``await sync_to_async(...)``: the thread that runs it, None for any other frame."""
    if frame.f_code.co_qualname != HOPS[0] or not frame.f_code.co_filename.endswith("sync.py"):
        return None
    ours = frame.f_locals.get("task_context")
    if ours is None:
        return None
    return _in_thread(ours)


def _in_thread(ours: Any) -> Iterator[Item]:
    for ident, innermost in sys._current_frames().items():
        inner: list[FrameType] = []
        frame: FrameType | None = innermost
        while frame is not None:
            inner.append(frame)
            if frame.f_code.co_qualname == HOPS[1] and frame.f_locals.get("task_context") is ours:
                yield Inner(ident, inner[::-1])
                return
            frame = frame.f_back
    yield Frame("<asgiref>", 0, WAITS_FOR_A_THREAD)


WAITS_FOR_A_THREAD = "waits for a thread of its executor"
