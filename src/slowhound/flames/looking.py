"""A request's stack as a key: what to remember of it, and nothing that keeps its variables alive.

A key is a tuple of (code object, offset of its instruction), outermost first: 5 µs for 50 frames,
where names and lines would take 100. They are resolved after the request (``resolve``).
"""

from __future__ import annotations

import opcode
from types import CodeType, FrameType
from typing import NamedTuple

from slowhound import stacks, tasks
from slowhound.frames import Frame, walk
from slowhound.record import Record

DEEPEST = 1200
# A note in the form of a frame (``tasks``), or one that another process read, has no offset.
Item = tuple[CodeType | Frame, int]
Key = tuple[Item, ...]


class Seen(NamedTuple):
    """A stack, and the system's id of the thread that runs it; None while it is suspended."""

    key: Key
    thread: int | None


def look(record: Record) -> Seen | None:
    """What carries ``record`` does now; None when it has ended or cannot be seen.

    As ``stacks.look`` it asks again afterwards: a stack that may be another request's, or that
    changed while it was read, is thrown away.
    """
    for _ in range(stacks.ATTEMPTS):
        taken = None if record.done else _take(record)
        if taken is None:
            return None
        seen, innermost, at = taken
        # The same frame at the same instruction: nothing ran in between.
        if not record.done and (innermost is None or innermost.f_lasti == at):
            return seen
    return None


def _take(record: Record) -> tuple[Seen, FrameType | None, int] | None:
    if record.task is not None:
        return _of_task(record)
    of = stacks._of_greenlet if record.greenlet is not None else stacks._of_thread
    frame = of(record)
    if frame is None:
        return None
    at = frame.f_lasti
    running = record.greenlet is None or stacks.running(record)
    key = _outwards(frame)
    return Seen(key, record.native_id if running else None), frame, at


def _of_task(record: Record) -> tuple[Seen, FrameType | None, int] | None:
    task = record.task() if record.task is not None else None
    if task is None:
        return None
    found: list[Item] = []
    live: FrameType | None = None
    ident: int | None = None
    for item in tasks._walk(task, record.thread_id):
        if isinstance(item, Frame):
            found.append((item, 0))
        elif isinstance(item, FrameType):
            live, ident = item, None
            found.append((item.f_code, item.f_lasti))
        else:
            live, ident = item.frames[-1], item.ident
            found += [(frame.f_code, frame.f_lasti) for frame in item.frames]
        if len(found) >= tasks.DEEPEST:
            break
    thread = stacks._native_id(ident, record)
    return Seen(tuple(found), thread), live, -1 if live is None else live.f_lasti


def _outwards(frame: FrameType | None) -> Key:
    return tuple(reversed(walk(frame, "f_code", "f_lasti")))


def of_stack(stack: tuple[Frame, ...]) -> Key:
    """The key of a stack that another way has brought."""
    return tuple((frame, 0) for frame in stack)


# Where CPython looks whether another thread wants the GIL: at the start of a frame, where a
# generator goes on, where a loop turns back, and after a call that began in C. The same from 3.11
# to 3.15.
_STARTS = frozenset(code for name, code in opcode.opmap.items() if name.startswith("RESUME"))
_ENDS = frozenset(
    code
    for name, code in opcode.opmap.items()
    # The last one is how Django calls a view, written in Python, that has returned by then.
    if ("JUMP_BACKWARD" in name and "INTERRUPT" not in name) or name == "CALL_FUNCTION_EX"
)


def starts(item: Item) -> bool:
    """True when the frame has only just begun: the time before was spent outside of it."""
    return _instruction(item) in _STARTS


def ends_another(item: Item) -> bool:
    """True when what took long may have been any operator before this instruction."""
    return _instruction(item) in _ENDS


def _instruction(item: Item) -> int:
    code, at = item
    if not isinstance(code, CodeType) or at < 0:
        return -1
    return code.co_code[at]
