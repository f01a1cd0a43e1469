"""Captures the stack of a request as it is now: of its thread, its greenlet or its asyncio task."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from types import FrameType
from typing import Any, NamedTuple

from slowhound.core.record import Record
from slowhound.frames.frames import Stack, current_frames, frames_after, from_frame, outwards
from slowhound.stacks import asyncio_tasks
from slowhound.stacks.crossings import may_wait
from slowhound.stacks.hops import Inner
from slowhound.system.python_threads import native_id_of, python_threads

CAPTURE_ATTEMPTS = 3
WithFrame = Callable[[FrameType], None]


class CapturedStack(NamedTuple):
    """One stack, its innermost live frame, and the thread that runs it now.

    ``thread`` is the kernel's id; None: it is suspended, and its thread does something else.
    """

    stack: Stack
    frame: FrameType | None
    thread: int | None


def capture_stack(record: Record, with_frame: WithFrame | None = None) -> CapturedStack | None:
    """The stack of what runs ``record`` now; None when the request has ended or has no stack.

    Captured from another thread, so the request may end, and its thread begin another one, while
    the frames are read. The record is checked again afterwards: a stack that may be another
    request's is thrown away. ``with_frame`` is called with the innermost live frame, for locals.
    """
    taken: CapturedStack | None = None
    for _ in range(CAPTURE_ATTEMPTS):
        taken = None if _ended(record) else _capture(record)
        if taken is None:
            return None
        if with_frame is not None and taken.frame is not None:
            with_frame(taken.frame)
        again = _capture(record)
        if _ended(record):
            return None
        # The same before and after: the walk in between was of one stack.
        if again is not None and again.frame is taken.frame:
            break
    return taken and taken._replace(frame=None)  # which would keep the request's variables


def stack_of(record: Record) -> Stack | None:
    """Only the stack."""
    captured = capture_stack(record)
    return None if captured is None else captured.stack


def is_running(record: Record) -> bool:
    """True when it is this request that its thread runs, and not another one of that thread."""
    if record.task is not None:
        task = record.task()
        return task is not None and asyncio_tasks.is_running(task)
    if record.greenlet is not None:
        greenlet = record.greenlet()
        return greenlet is not None and greenlet.gr_frame is None and not greenlet.dead
    return True


def shares_thread(record: Record) -> bool:
    """True when its thread carries other requests, too."""
    return record.task is not None or record.greenlet is not None


def _capture(record: Record) -> CapturedStack | None:
    if record.task is not None:
        task = record.task()
        if task is None:
            return None
        stack, frame, ident = asyncio_tasks.stack(task, record.thread_id)
        return CapturedStack(stack, frame, native_id(ident, record))
    frame = frame_of_greenlet(record) if record.greenlet is not None else frame_of_thread(record)
    if frame is None:
        return None
    thread = record.native_id if is_running(record) else None
    items = crosses(record, frame)
    if items is not None:
        stack, _, ident = asyncio_tasks.stack_of(items)
        return CapturedStack(stack, frame, native_id(ident, record) or thread)
    return CapturedStack(from_frame(frame), frame, thread)


def crosses(record: Record, innermost: FrameType) -> Iterator[asyncio_tasks.Item] | None:
    """The stack of a thread that may wait for a task, through that; None for nearly all others."""
    if record.greenlet is not None or not may_wait(innermost):
        return None
    return asyncio_tasks.walk_thread(Inner(record.thread_id, outwards(innermost)[::-1]))


def native_id(ident: int | None, record: Record) -> int | None:
    """The kernel's id of the thread ``ident``; None for none."""
    if ident is None:
        return None
    if ident == record.thread_id:
        return record.native_id
    return native_id_of(python_threads().get(ident))


def frame_of_thread(record: Record) -> FrameType | None:
    """The innermost frame of the thread that carries the record."""
    return current_frames().get(record.thread_id)


def frame_of_greenlet(record: Record) -> FrameType | None:
    """The innermost frame of its greenlet; that of the running one is its thread's."""
    greenlet: Any = record.greenlet() if record.greenlet is not None else None
    if greenlet is None or greenlet.dead:
        return None
    # In one step: no other greenlet of the thread can begin to run between the two. Where one did,
    # two stacks of 34,000 were another's.
    frame, frames = frames_after(partial(getattr, greenlet, "gr_frame"))
    found: FrameType | None = frame if frame is not None else frames.get(record.thread_id)
    return found


def _ended(record: Record) -> bool:
    # Read twice on purpose: the request's own thread sets it at any time.
    return record.done
