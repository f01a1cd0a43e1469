"""Turns live frames into plain data, and finds those of the application.

A ``Frame`` never holds a live frame object: that would pin the locals of the request.
"""

from __future__ import annotations

import gc
import hashlib
import re
import sys
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from itertools import accumulate, chain, islice, repeat, takewhile
from operator import attrgetter, call, is_not, itemgetter
from types import CodeType, FrameType, TracebackType
from typing import Any, NamedTuple, TypeVar

from slowhound.frames.source_lines import source_line
from slowhound.redaction import masking
from slowhound.runtime.app_files import is_app, short_path
from slowhound.runtime.code_objects import file_of, name_of_code
from slowhound.runtime.unpatched import get_ident

# Of a deeper stack these are kept: more than Python's own limit of recursion, which is 1,000.
INNERMOST, OUTERMOST = 1_000, 200
# Frames that are walked at most, 4 ms. Of a stack that is deeper the outermost are not known.
WALKED = 50_000
T = TypeVar("T")


# Up to Python 3.11 an allocation may collect garbage, also inside sys._current_frames(), which
# holds a lock of the interpreter. When that frees a threading.local, the process waits for its own
# lock for ever, with the GIL.
_COLLECTS_ANYWHERE = sys.version_info < (3, 12)


def without_collector(*calls: Callable[[], Any]) -> list[Any]:
    """What these return, called in one step, and up to Python 3.11 without a collection in it.

    They have to be C, as all within ``next`` and ``list`` is. Without a line of Python no other
    thread gets the GIL, so an application that switches the collector off or on meanwhile keeps its
    setting. (Checked and switched in steps, ``gc.disable()`` was undone 48 times of 520,000.)

    Raises:
        Exception: what a call raises; the collector is as before.
    """
    if not _COLLECTS_ANYWHERE:
        return list(map(call, calls))
    paused, plain = deque[Any](), deque[Any]()
    ways = {
        True: partial(paused.extend, map(call, (gc.disable, *calls, gc.enable))),
        False: partial(plain.extend, map(call, calls)),
    }
    try:
        next(map(call, map(ways.__getitem__, iter(gc.isenabled, None))))
    except BaseException:
        if paused:  # it was switched off, and not on again
            gc.enable()
        raise
    return list(paused)[1:-1] if paused else list(plain)


def current_frames() -> dict[int, FrameType]:
    """``sys._current_frames()`` of all other threads, without a deadlock: their innermost frames.

    The calling thread's own would be in a circle with the variable that the result is put into:
    whatever the functions of all threads had in theirs by then, such as a request or a lock, would
    stay until the collector runs. CPython before 3.12.7 even died of that, by a memoryview in such
    a circle (https://github.com/python/cpython/issues/111211).
    """
    frames: dict[int, FrameType] = frames_after()[-1]
    return frames


def frames_after(*calls: Callable[[], Any]) -> list[Any]:
    """The results of ``calls``, and in the same step, the last one, ``current_frames()``."""
    found = without_collector(*calls, sys._current_frames)
    found[-1].pop(get_ident(), None)
    return found


def outwards(frame: FrameType | None) -> list[FrameType]:
    """The live ``frame`` and those that called it, ``WALKED`` at most.

    Up to Python 3.11 ``f_back`` may collect garbage. A finalizer then gives the GIL away, the
    thread of these frames goes on, and what is read next is freed: the process died of that in 2
    of 12 runs of 8 seconds, with finalizers and a collection at every few allocations.
    """
    if frame is None:
        return []
    found: list[FrameType] = without_collector(partial(list, _alive(frame)))[0]
    return found


def _alive(frame: FrameType) -> Iterator[FrameType]:
    links = accumulate(repeat("f_back", WALKED - 1), getattr, initial=frame)
    return takewhile(partial(is_not, None), links)


def walk(frame: FrameType | None, *names: str) -> list[tuple[Any, ...] | None]:
    """The attributes of these names (two or more) of what ``outwards`` gives, and no frame.

    In one step: the stack is one that the thread really had, and no frame of it outlives the call.
    None represents the frames between the innermost and the outermost ones of a deep stack.
    """
    if frame is None:
        return []
    read = attrgetter(*names)
    near: Callable[[], Any] = partial(list, map(read, islice(_alive(frame), INNERMOST)))
    found: list[tuple[Any, ...] | None] = without_collector(near)[0]
    return found if len(found) < INNERMOST else _walk_deep(frame, read)


def _walk_deep(
    frame: FrameType, read: Callable[[FrameType], tuple[Any, ...]]
) -> list[tuple[Any, ...] | None]:
    alive = _alive(frame)
    inner, outer = list[FrameType](), deque[tuple[int, FrameType]](maxlen=OUTERMOST)
    # Iterators over it must not be made before it is filled.
    far, depth = chain.from_iterable((outer,)), chain.from_iterable((outer,))
    _, _, found, rest, depths, _, _ = without_collector(
        partial(inner.extend, islice(alive, INNERMOST)),
        partial(outer.extend, enumerate(alive, INNERMOST + 1)),
        partial(list, map(read, inner)),
        partial(list, map(read, map(itemgetter(1), far))),
        partial(list, map(itemgetter(0), depth)),
        inner.clear,  # within the step, or this thread would free what the frames hold
        outer.clear,
    )
    whole = not depths or depths[-1] <= INNERMOST + OUTERMOST
    known = not depths or depths[-1] < WALKED
    return [*found, *([] if whole else [None]), *(rest if known else [])]


def ends(stack: list[T], left_out: T) -> list[T]:
    """A stack, outermost first, with ``left_out`` in the place of the middle of a deep one."""
    if len(stack) <= OUTERMOST + INNERMOST:
        return stack
    outer = stack[:OUTERMOST] if len(stack) < WALKED else []
    return [*outer, left_out, *stack[-INNERMOST:]]


class Frame(NamedTuple):
    """One frame: where it is, not what it holds."""

    filename: str
    line: int
    function: str

    @property
    def source(self) -> str:
        """The source line, stripped, secrets in it masked; empty when it cannot be read."""
        return source_line(self.filename, self.line).strip()

    @property
    def in_app(self) -> bool:
        """True for the application's own code, see ``is_app``."""
        return is_app(self.filename)

    def __str__(self) -> str:
        file, function = masking.name(short_path(self.filename)), masking.name(self.function)
        return f"{file}:{self.line}:{function}"

    @property
    def shown(self) -> Frame:
        """The same without secrets: code that was made at run time may be called by one."""
        file, function = masking.name(self.filename), masking.name(self.function)
        return self._replace(filename=file, function=function)


# Outermost frame first, as in a traceback.
Stack = tuple[Frame, ...]
# Represents the middle of a deep stack.
CUT_FRAMES = Frame("<slowhound>", 0, "frames of a deep stack, left out")


class TakenStack(NamedTuple):
    """A stack of another process, when it was taken (seconds since 1970), and by which way.

    ``by``: ``remote`` or ``py-spy`` of a living process; ``fault`` of the thread that died of a
    fatal error, ``bystander`` of another one at that moment.
    """

    stack: Stack
    taken: float
    by: str


def frame_at(code: CodeType, line: int | None) -> Frame:
    """The frame of this code, at that line."""
    # f_lineno is None on an artificial instruction (seen in tracing tools): then it is 0.
    return Frame(file_of(code), line or 0, name_of_code(code))


def from_frame(frame: FrameType | None) -> Stack:
    """The stack that ends in the live ``frame``; of a deep one, both ends."""
    seen = reversed(walk(frame, "f_code", "f_lineno"))
    return tuple([CUT_FRAMES if each is None else frame_at(*each) for each in seen])


def from_traceback(traceback: TracebackType | None) -> Stack:
    """The stack of an exception, from where it was caught to where it was raised."""
    found = []
    while traceback is not None:
        found.append(frame_at(traceback.tb_frame.f_code, traceback.tb_lineno))
        traceback = traceback.tb_next
    return tuple(found)


_THREAD = re.compile(r"(Current t|T)hread 0x([0-9a-f]{1,16})\b.*\(most recent call first\):")
_LINE = re.compile(r'  File (?:"(.*)"|\?\?\?), line (\d{1,9}|\?\?\?) in (.*)')


class Dumped(NamedTuple):
    """One thread in what faulthandler wrote."""

    ident: int  # 0: not known
    current: bool  # the thread that was interrupted
    stack: Stack


def from_faulthandler(text: str) -> list[Dumped]:
    """The stacks in what faulthandler wrote; it may be cut off anywhere, or be any other text."""
    found: list[tuple[int, bool, list[Frame]]] = []
    for line in text.split("\n"):
        if line.startswith("Stack (most recent call first)"):
            found.append((0, True, []))
        elif thread := _THREAD.match(line):
            found.append((int(thread[2], 16), thread[1] != "T", []))
        elif found and (frame := _LINE.fullmatch(line)):
            number = 0 if frame[2] == "???" else int(frame[2])
            found[-1][2].append(Frame(frame[1] or "???", number, frame[3]))
    return [Dumped(ident, now, tuple(reversed(stack))) for ident, now, stack in found if stack]


def locate(stack: Stack) -> tuple[str | None, str | None]:
    """``loc`` and ``cause_loc`` of a stack, as gunicorn-django-canonical-logs defined them.

    ``loc`` is the outermost application frame, ``cause_loc`` the innermost one; with a single
    application frame the cause is the innermost frame of all, with none both are library frames.
    """
    if not stack:
        return None, None
    app = [frame for frame in stack if frame.in_app]
    if not app:
        return str(stack[0]), str(stack[-1])
    cause = app[-1] if len(app) > 1 else stack[-1]
    return str(app[0]), str(cause)


def innermost(stack: Stack) -> Frame | None:
    """The innermost frame of the application, of a library when there is none."""
    for frame in reversed(stack):
        if frame.in_app:
            return frame
    return stack[-1] if stack else None


def fingerprint(view: str | None, stack: Iterable[Frame]) -> str:
    """Twelve hex digits that group reports: the view and the application's functions in order.

    Lines are left out, so that an edit elsewhere in the file does not open a new group.
    """
    parts = [view or "-"]
    parts += [f"{short_path(frame.filename)}:{frame.function}" for frame in stack if frame.in_app]
    return hashlib.sha256("\n".join(parts).encode("utf-8", "backslashreplace")).hexdigest()[:12]


def render(stack: Stack) -> str:
    """The stack as Python prints a traceback, with the source lines."""
    lines = []
    for frame in stack:
        shown = frame.shown
        lines.append(f'  File "{shown.filename}", line {frame.line}, in {shown.function}')
        line = frame.source
        if line:
            lines.append(f"    {line}")
    return "\n".join(lines)
