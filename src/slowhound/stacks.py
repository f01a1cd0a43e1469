"""A record's stack, now."""

from __future__ import annotations

import sys
from collections.abc import Callable
from types import FrameType

from slowhound.frames import Stack, from_frame
from slowhound.record import Record

ATTEMPTS = 3


def stack_of(record: Record, with_frame: Callable[[FrameType], None] | None = None) -> Stack | None:
    """The stack of the thread that carries ``record``; None when the request has ended.

    Taken from another thread, so the request may end, and its thread begin another one, while
    the frames are read. The record is asked again afterwards: a stack that may be another
    request's is thrown away. ``with_frame`` is called with the innermost live frame, for locals.
    """
    for _ in range(ATTEMPTS):
        frame = sys._current_frames().get(record.thread_id)
        if frame is None or _ended(record):
            return None
        stack = from_frame(frame)
        if with_frame is not None:
            with_frame(frame)
        now = sys._current_frames().get(record.thread_id)
        if _ended(record):
            return None
        # The same innermost frame before and after: the walk in between was of one stack.
        if now is frame:
            return stack
    return stack


def _ended(record: Record) -> bool:
    # Asked twice on purpose: the request's own thread sets it at any time.
    return record.done
