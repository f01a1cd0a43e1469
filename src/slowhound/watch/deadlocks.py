"""Finds threads that wait for Python locks, the threads that hold these, and deadlocks.

None of the application's code runs here, and none of its source is parsed (``source_places``):
names are found in the frames, attributes without properties or ``__getattr__``. What is returned
holds neither frames nor locks.

Reading a frame's variables does not change them. Up to Python 3.12 it does refresh the dict that a
``locals()`` in that frame has returned, so frames that call it are not read there.
"""

from __future__ import annotations

import _thread
import concurrent.futures._base
import contextlib
import functools
import inspect
import queue
import re
import sys
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from types import CodeType, FrameType
from typing import Any

from slowhound.event.formats import one_line
from slowhound.frames.frames import INNERMOST, Frame, current_frames, frame_at, outwards
from slowhound.redaction import masking
from slowhound.runtime.attributes import UnknownError, attribute
from slowhound.runtime.code_objects import file_of, qualname_of
from slowhound.runtime.static_lookup import MISSING, name_of
from slowhound.system.guard import guarded
from slowhound.watch import source_places
from slowhound.watch.source_places import Expression

BY_PYTHON, BY_WITH = "Python tells", "found by its with block"
LOCK_NAME_LIMIT = 100  # characters
# Between the application and the lock.
_WRAPPERS = {each.__file__ for each in (threading, queue, concurrent.futures._base)}
_NAMESPACE = frozenset(("locals", "vars", "eval", "exec"))
_DOTTED = re.compile(r"[^\W\d]\w*(?:\.[^\W\d]\w*)*")
_Frames = Mapping[int, FrameType]
_Holder = tuple[int | None, Frame | None]


@dataclass(frozen=True)
class Wait:
    """One waiting thread; threads are given as ``threading.get_ident`` does."""

    thread: int
    lock: str  # type and source text: "RLock self.lock"
    at: Frame  # where the application waits
    owner: int | None = None  # the thread it waits for
    known: str = ""  # BY_PYTHON or BY_WITH, when there is an owner
    held_at: Frame | None = None  # the ``with`` of the owner, where there is one

    def __str__(self) -> str:
        text = f"thread {self.thread} waits for {self.lock} in {self.at}"
        if self.owner is not None:
            held = f" at {self.held_at}" if self.held_at else ""
            text += f", held by thread {self.owner}{held} ({self.known})"
        return one_line(text)


def waits(frames: Mapping[int, FrameType]) -> dict[int, Wait]:
    """The threads that wait for a lock, condition, queue, thread or future, by thread.

    ``frames`` is what ``current_frames()`` returns, without the calling thread: a variable with
    its frame would be held by that frame, and so would every request's.
    """
    own, holders = threading.get_ident(), dict[int, _Holder]()
    others = {each: frame for each, frame in frames.items() if each != own}
    found = (_wait(each, others, holders) for each in others)
    return {wait.thread: wait for wait in found if wait is not None}


def deadlocks(frames: Mapping[int, FrameType]) -> list[tuple[Wait, ...]]:
    """The cycles of threads that wait for each other; each owner is the next one's thread.

    One that waits for a plain lock of its own is a cycle, too. What is found is checked once more,
    with new frames, so that no thread is accused that is just moving on.
    """
    found = cycles(waits(frames))
    return found and [each for each in cycles(waits(current_frames())) if each in found]


def cycles(found: Mapping[int, Wait]) -> list[tuple[Wait, ...]]:
    """The cycles among these waits; a thread waits for at most one other."""
    seen, found_cycles = set[int](), list[tuple[Wait, ...]]()
    for start in sorted(found):
        wait, path = found.get(start), list[Wait]()
        while wait is not None and wait.thread not in seen:
            seen.add(wait.thread)
            path.append(wait)
            wait = found.get(wait.owner or 0)
        if wait in path:
            found_cycles.append(tuple(path[path.index(wait) :]))
    return found_cycles


@guarded("locks")
def _wait(ident: int, frames: _Frames, holders: dict[int, _Holder]) -> Wait | None:
    outer = None
    for at in outwards(frames[ident]):
        if file_of(at.f_code) not in _WRAPPERS:
            break
        outer = at
    else:
        return None  # a thread of the standard library's own
    code, expression, held = at.f_code, source_places.waited_for(at), None
    try:
        # The queue, event or thread that the application named; the lock itself is inside it.
        thing = _variables(outer)["self"] if outer else _value(expression, at)
        if outer is not None and qualname_of(outer.f_code) == "Thread.join":
            owner, known = attribute(thing, "_ident"), BY_PYTHON
        elif outer is not None and qualname_of(frames[ident].f_code) == "Condition.wait":
            owner, known = None, ""  # the thread that will notify cannot be found
        else:
            pure = type(thing) is threading._RLock
            lock = (
                thing
                if pure
                else _inner(_value(source_places.waited_for(frames[ident]), frames[ident]))
            )
            owner, held = _holder(lock, ident, frames, holders)
            known = BY_WITH if type(lock) is _thread.LockType else BY_PYTHON
    except (UnknownError, KeyError, AttributeError):
        return None
    kind = masking.name(name_of(type(thing)))
    name = one_line(f"{kind} {expression.text if expression else ''}")[:LOCK_NAME_LIMIT]
    where = frame_at(code, at.f_lineno)
    return Wait(ident, name.strip(), where, owner, known if owner else "", held)


def _holder(lock: Any, ident: int, frames: _Frames, holders: dict[int, _Holder]) -> _Holder:
    """The thread that holds ``lock`` and where; an error when ``ident`` does not wait for it."""
    owner: int | None = None
    if type(lock) is threading._RLock:
        owner = attribute(lock, "_owner") or 0
    elif issubclass(type(lock), _thread.RLock):
        owner = int(re.findall(r"owner=(\d+)", _thread.RLock.__repr__(lock))[0])
    elif type(lock) is not _thread.LockType or not lock.locked():
        raise UnknownError
    if owner in (0, ident):
        raise UnknownError
    if id(lock) not in holders:  # searched for once, however many wait: 4 µs a with block
        found = ((each, _held(lock, frames.get(each))) for each in ([owner] if owner else frames))
        holders[id(lock)] = next((each for each in found if owner or each[1]), (None, None))
    return holders[id(lock)]


def _held(lock: Any, innermost: FrameType | None) -> Frame | None:
    """The ``with`` block in this thread's stack that holds ``lock``."""
    for frame in outwards(innermost)[:INNERMOST]:
        code = frame.f_code
        if qualname_of(code) == "Condition.wait" and file_of(code) in _WRAPPERS:
            if _inner(_variables(frame)["self"]) is lock:
                return None  # given back for the time of the wait
        else:
            for expression in source_places.held(frame):
                with contextlib.suppress(UnknownError):
                    if _inner(_value(expression, frame)) is lock:
                        return frame_at(code, expression.line)
    return None


def _inner(thing: Any) -> Any:
    """The lock within a condition."""
    return attribute(thing, "_lock") if issubclass(type(thing), threading.Condition) else thing


def _value(expression: Expression | None, frame: FrameType) -> Any:
    """The value of a name, or of an attribute of one, in the frame."""
    if expression is None or not _DOTTED.fullmatch(expression.text):
        raise UnknownError
    code = frame.f_code
    first, *rest = expression.text.split(".")
    known = {*code.co_names, *code.co_varnames, *code.co_cellvars, *code.co_freevars}
    parts = [_mangled(each, code) for each in rest]
    if not known.issuperset((first, *parts)):
        raise UnknownError  # the file is no longer what runs
    return functools.reduce(attribute, parts, _variable(first, frame))


def _variable(name: str, frame: FrameType) -> Any:
    """A variable of a function, or of its module."""
    code = frame.f_code
    if name in code.co_varnames + code.co_cellvars + code.co_freevars:
        found = _variables(frame).get(name, MISSING)
    else:
        # What exec() was given for globals may be a class of the application's.
        found = dict.get(frame.f_globals, name, MISSING)
    if found is MISSING:
        raise UnknownError
    return found


def _mangled(name: str, code: CodeType) -> str:
    """The name of an attribute that is private to its class."""
    classes = qualname_of(code).split(".")
    if name.startswith("__") and not name.endswith("__") and len(classes) > 1:
        return f"_{classes[-2].lstrip('_')}{name}"
    return name


def _variables(frame: FrameType) -> Mapping[str, Any]:
    """The variables of a function; a class body's may be any object of the application's."""
    code = frame.f_code
    if not code.co_flags & inspect.CO_OPTIMIZED:
        raise UnknownError
    if sys.version_info < (3, 13) and not _NAMESPACE.isdisjoint(code.co_names):
        raise UnknownError
    return frame.f_locals
