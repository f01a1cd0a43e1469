"""Takes a request's stack as a key, which keeps none of its variables alive.

A key is a tuple of (code, offset of its instruction), outermost first: that takes 12 µs for 50
frames, where names and lines would take 100. ``symbolize`` finds those after the request.
"""

from __future__ import annotations

import opcode
from collections.abc import Iterator
from types import FrameType
from typing import NamedTuple

from slowhound.core.record import Record
from slowhound.frames.frames import CUT_FRAMES, Frame, walk
from slowhound.runtime.code_objects import Code, know, known
from slowhound.stacks import asyncio_tasks, capture

# A note in the form of a frame (``asyncio_tasks``) and a frame that another process read have no
# offset.
Item = tuple[Code | Frame, int]
Key = tuple[Item, ...]


class StackSample(NamedTuple):
    """A stack, and the system's id of the thread that runs it; None while it is suspended."""

    key: Key
    thread: int | None


def sample_stack(record: Record) -> StackSample | None:
    """The stack of ``record`` now; None when the request has ended or its stack cannot be read.

    As in ``stacks.capture``, the record is checked again after the walk: a stack that may be
    another request's, or that changed during the walk, is discarded.
    """
    for _ in range(capture.CAPTURE_ATTEMPTS):
        taken = None if record.done else _take(record)
        if taken is None:
            return None
        sample, innermost, at = taken
        # The same frame at the same instruction: nothing ran in between.
        if not record.done and (innermost is None or innermost.f_lasti == at):
            return sample
    return None


def _take(record: Record) -> tuple[StackSample, FrameType | None, int] | None:
    if record.task is not None:
        return _of_task(record)
    of = capture.frame_of_greenlet if record.greenlet is not None else capture.frame_of_thread
    frame = of(record)
    if frame is None:
        return None
    at = frame.f_lasti
    thread = record.native_id if record.greenlet is None or capture.is_running(record) else None
    items = capture.crosses(record, frame)
    if items is not None:
        key, _, ident = _read(items)
        return StackSample(key, capture.native_id(ident, record) or thread), frame, at
    return StackSample(_key_of_frames(frame), thread), frame, at


def _of_task(record: Record) -> tuple[StackSample, FrameType | None, int] | None:
    task = record.task() if record.task is not None else None
    if task is None:
        return None
    key, live, ident = _read(asyncio_tasks.walk(task, record.thread_id))
    sample = StackSample(key, capture.native_id(ident, record))
    return sample, live, -1 if live is None else live.f_lasti


def _read(items: Iterator[asyncio_tasks.Item]) -> tuple[Key, FrameType | None, int | None]:
    found, live, ident = asyncio_tasks.read(items, _item, _note)
    return tuple(found), live, ident


def _item(frame: FrameType) -> Item:
    return know(frame.f_code), frame.f_lasti


def _note(note: Frame) -> Item:
    return note, 0


def _key_of_frames(frame: FrameType | None) -> Key:
    frames = reversed(walk(frame, "f_code", "f_lasti"))
    of = known.get  # has nearly all; a call of `know` would cost as much as all the rest
    return tuple(
        [
            (of(id(each[0])) or know(each[0]), each[1]) if each is not None else (CUT_FRAMES, 0)
            for each in frames
        ]
    )


def key_of_stack(stack: tuple[Frame, ...]) -> Key:
    """The key of a stack whose frames are known already, without offsets."""
    return tuple((frame, 0) for frame in stack)


# Where CPython checks whether another thread wants the GIL: at the start of a frame, where a
# generator continues, where a loop jumps back, and after a call that began in C. The same from 3.11
# to 3.15.
_STARTS = frozenset(code for name, code in opcode.opmap.items() if name.startswith("RESUME"))
_AFTER_OPERATORS = frozenset(
    code
    for name, code in opcode.opmap.items()
    # With the last one Django calls a view, which is written in Python and has returned by then.
    if ("JUMP_BACKWARD" in name and "INTERRUPT" not in name) or name == "CALL_FUNCTION_EX"
)


def has_just_begun(item: Item) -> bool:
    """True when the frame has only just begun: the time before was spent outside of it."""
    return _instruction(item) in _STARTS


def may_follow_operator(item: Item) -> bool:
    """True when any operator before this instruction may have taken the time."""
    return _instruction(item) in _AFTER_OPERATORS


def _instruction(item: Item) -> int:
    code, at = item
    if not isinstance(code, Code) or at < 0:
        return -1
    return code.code.co_code[at]
