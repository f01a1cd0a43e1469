"""Reads the stack of an asyncio task, from its handler to the line that awaits.

``Task.get_stack`` shows only the outermost frame. The rest is found by what each coroutine awaits;
through ``gather``, ``TaskGroup``, ``wait_for`` and ``shield`` to the first task that they wait for
(``asyncio_waits``); through ``sync_to_async`` and thread pools into the thread that works
(``hops``); and from a thread that runs a loop, or waits for one, into the task of that
(``crossings``).

None of the application's code runs here: types are compared, without ``isinstance()``; methods are
those of asyncio's own classes; attributes are read where they are stored (``static_lookup``).

All is read from another thread while the loop runs: ``capture.capture_stack`` reads twice, and so
notices what changes meanwhile.
"""

from __future__ import annotations

import asyncio
import gc
import sys
from collections.abc import Callable, Iterator
from contextvars import Context
from types import FrameType
from typing import Any, TypeVar

from slowhound.core.in_flight import current_record
from slowhound.core.record import Record
from slowhound.frames.frames import (
    CUT_FRAMES,
    Frame,
    Stack,
    current_frames,
    ends,
    frame_at,
    outwards,
)
from slowhound.stacks.asyncio_waits import (
    AwaitedGroup,
    behind,
    behind_frame,
    check_names,
    first_pending,
    is_stepping,
    is_task,
)
from slowhound.stacks.awaits import step
from slowhound.stacks.crossings import crossing
from slowhound.stacks.hops import Feeding, Hop, Inner, behind_call

# Steps of a chain of awaits, 3 µs each.
LONGEST_CHAIN = 5_000
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
    """The same for what ``walk`` or ``walk_thread`` yields."""
    frames, live, ident = read(items, _plain, lambda note: note)
    return tuple(frames), live, ident


def read(
    items: Iterator[Item], of_frame: Callable[[FrameType], T], of_note: Callable[[Frame], T]
) -> tuple[list[T], FrameType | None, int | None]:
    """``of_frame`` of live frames and ``of_note`` of others; the innermost frame, and its thread.

    Each frame is read at once: its coroutine goes on meanwhile. Of deep stacks both ends are kept.
    """
    check_names()
    found: list[T] = []
    live: FrameType | None = None
    ident: int | None = None
    for item in items:
        if isinstance(item, Inner):
            live, ident = item.frames[-1], item.ident
            kept = ends(list[FrameType | None](item.frames), None)
            found += [of_note(CUT_FRAMES) if each is None else of_frame(each) for each in kept]
        elif isinstance(item, Frame):
            found.append(of_note(item))
        else:
            live, ident = item, None
            found.append(of_frame(item))
    return ends(found, of_note(CUT_FRAMES)), live, ident


def is_running(task: asyncio.Task[Any]) -> bool:
    """True while the loop's thread is inside this task, or inside another one of its request."""
    if not is_task(task):
        return False
    if is_stepping(task):
        return True
    now = asyncio.current_task(asyncio.Task.get_loop(task))
    record = None if now is None or now is task or not is_task(now) else _carried(now)
    return record is not None and record is _carried(task)


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
    """Live frames of what ``awaited`` waits for, and ``Frame`` objects that describe the rest.

    Args:
        awaited: a task or a future.
        loop_thread: the ident of its loop's thread.
        known: what the chain has passed already, by ``id()``: it may come back to itself.
    """
    known = set() if known is None else known
    task, feeding = None, Feeding()
    for _ in range(LONGEST_CHAIN):
        if awaited is None or id(awaited) in known:
            return
        known.add(id(awaited))
        frame, running, after = step(awaited, task)
        task = awaited if is_task(awaited) else None
        if frame is None:
            awaited = behind(awaited)
        elif running:
            yield from _inside(frame, loop_thread, known)
            return
        else:
            yield frame
            feeding.passes(frame)
            awaited = behind_call(frame) or behind_frame(frame, after)
        if awaited is None:
            awaited = first_pending(feeding.tasks())
        if type(awaited) is AwaitedGroup:
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
    """The same for what a thread runs; where it waits for a task or a thread, on into that."""
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


def _inside(frame: FrameType, thread: int, known: set[int]) -> Iterator[Item]:
    """The frames of a running coroutine and of all that it called: its thread's innermost ones."""
    inner = outwards(current_frames().get(thread))
    if frame in inner:
        yield from walk_thread(Inner(thread, inner[inner.index(frame) :: -1]), known)
    else:
        yield frame  # it has moved on
