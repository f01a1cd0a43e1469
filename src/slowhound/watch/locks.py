"""Which thread waits for which Python lock, and who holds it, as far as Python tells.

None of the application's code runs here: the source is parsed, names are looked up in the frames,
attributes without properties or ``__getattr__``. What is returned holds neither frames nor locks.

To read a frame's variables does not change them. Up to Python 3.12 it does refresh the dict that a
``locals()`` in that frame has returned, so frames that call it are left alone there.
"""

from __future__ import annotations

import _thread
import ast
import concurrent.futures._base
import contextlib
import dis
import functools
import inspect
import linecache
import queue
import re
import sys
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from types import CodeType, FrameType, MemberDescriptorType
from typing import Any

from slowhound.frames import Frame, current_frames
from slowhound.guard import guarded
from slowhound.reporttext import one_line

TOLD, FOUND = "Python tells", "found by its with block"
TEXT_LIMIT, LONGEST = 100, 1000  # characters of a text, lines of a function (10 ms to parse)
# Between the application and the lock.
_WRAPPERS = {each.__file__ for each in (threading, queue, concurrent.futures._base)}
_METHODS = {"acquire", "__enter__", "get", "put", "join", "wait", "wait_for", "result"}
_NAMESPACE = frozenset(("locals", "vars", "eval", "exec"))
_WITH = dis.opmap.get("BEFORE_WITH") or dis.opmap["LOAD_SPECIAL"]  # the latter from 3.14 on
_name_of = type.__dict__["__name__"].__get__  # a metaclass may have a property of that name
_Frames = Mapping[int, FrameType]
_Holder = tuple[int | None, Frame | None]


class _UnknownError(Exception):
    """Nobody waits, or only the application's code could tell."""


@dataclass(frozen=True)
class Wait:
    """One waiting thread; threads are given as ``threading.get_ident`` does."""

    thread: int
    lock: str  # type and source text: "RLock self.lock"
    at: Frame  # where the application waits
    owner: int | None = None  # the thread it waits for
    known: str = ""  # TOLD or FOUND, when there is an owner
    held_at: Frame | None = None  # the ``with`` of the owner, where there is one

    def __str__(self) -> str:
        text = f"thread {self.thread} waits for {self.lock} in {self.at}"
        if self.owner is not None:
            held = f" at {self.held_at}" if self.held_at else ""
            text += f", held by thread {self.owner}{held} ({self.known})"
        return one_line(text)


def waits(frames: Mapping[int, FrameType]) -> dict[int, Wait]:
    """The threads that wait for a lock, condition, queue, thread or future, by thread.

    ``frames`` is what ``current_frames()`` returns. Whoever keeps that in a variable takes
    the own thread out of it: else it holds the frame that holds it, and every request's with it.
    """
    own, holders = threading.get_ident(), dict[int, _Holder]()
    others = {each: frame for each, frame in frames.items() if each != own}
    found = (_wait(each, others, holders) for each in others)
    return {wait.thread: wait for wait in found if wait is not None}


def deadlocks(frames: Mapping[int, FrameType]) -> list[tuple[Wait, ...]]:
    """The circles of threads that wait for each other; each owner is the next one's thread.

    One that waits for a plain lock of its own is a circle, too. What is found is looked at once
    more, with the frames of then, so that nobody who is just moving on is accused.
    """
    found = circles(waits(frames))
    return found and [each for each in circles(waits(current_frames())) if each in found]


def circles(found: Mapping[int, Wait]) -> list[tuple[Wait, ...]]:
    """The circles among these waits; a thread waits for at most one other."""
    seen, circles = set[int](), list[tuple[Wait, ...]]()
    for start in sorted(found):
        wait, path = found.get(start), list[Wait]()
        while wait is not None and wait.thread not in seen:
            seen.add(wait.thread)
            path.append(wait)
            wait = found.get(wait.owner or 0)
        if wait in path:
            circles.append(tuple(path[path.index(wait) :]))
    return circles


@guarded("locks")
def _wait(ident: int, frames: _Frames, holders: dict[int, _Holder]) -> Wait | None:
    outer, at = None, frames[ident]
    while at.f_code.co_filename in _WRAPPERS:
        if at.f_back is None:
            return None  # a thread of the standard library's own
        outer, at = at, at.f_back
    code, asked, held = at.f_code, _look(at)[0], None
    try:
        # The queue, event or thread that the application named; the lock itself lies within.
        thing = _variables(outer)["self"] if outer else _value(asked, at)
        if outer is not None and outer.f_code.co_qualname == "Thread.join":
            owner, known = _attribute(thing, "_ident"), TOLD
        elif outer is not None and frames[ident].f_code.co_qualname == "Condition.wait":
            owner, known = None, ""  # whoever will notify; a search would be in vain
        else:
            pure = type(thing) is threading._RLock
            lock = thing if pure else _inner(_value(_look(frames[ident])[0], frames[ident]))
            owner, held = _holder(lock, ident, frames, holders)
            known = FOUND if type(lock) is _thread.LockType else TOLD
    except (_UnknownError, KeyError, AttributeError):
        return None
    name = one_line(f"{_name_of(type(thing))} {ast.unparse(asked) if asked else ''}")[:TEXT_LIMIT]
    where = Frame(code.co_filename, at.f_lineno or 0, code.co_name)
    return Wait(ident, name.strip(), where, owner, known if owner else "", held)


def _holder(lock: Any, ident: int, frames: _Frames, holders: dict[int, _Holder]) -> _Holder:
    """The thread that holds ``lock`` and where; an error when ``ident`` does not wait for it."""
    owner: int | None = None
    if type(lock) is threading._RLock:
        owner = _attribute(lock, "_owner")
    elif issubclass(type(lock), _thread.RLock):
        owner = int(re.findall(r"owner=(\d+)", _thread.RLock.__repr__(lock))[0])
    elif type(lock) is _thread.LockType and lock.locked():
        if id(lock) not in holders:  # searched for once, however many wait: 4 µs a with block
            found = ((each, _held(lock, frames[each])) for each in frames)
            holders[id(lock)] = next((each for each in found if each[1]), (None, None))
        return holders[id(lock)]
    if owner in (0, None, ident):
        raise _UnknownError
    return owner, _held(lock, frames.get(owner))


def _held(lock: Any, frame: FrameType | None) -> Frame | None:
    """The ``with`` block in this thread's stack that holds ``lock``."""
    while frame is not None:
        code = frame.f_code
        if code.co_qualname == "Condition.wait" and code.co_filename in _WRAPPERS:
            if _inner(_variables(frame)["self"]) is lock:
                return None  # given back for the time of the wait
        elif _WITH in code.co_code[::2]:
            for expression in _look(frame)[1]:
                with contextlib.suppress(_UnknownError):
                    if _inner(_value(expression, frame)) is lock:
                        return Frame(code.co_filename, expression.lineno, code.co_name)
        frame = frame.f_back
    return None


def _inner(thing: Any) -> Any:
    """The lock within a condition."""
    return _attribute(thing, "_lock") if issubclass(type(thing), threading.Condition) else thing


def _look(frame: FrameType) -> tuple[ast.expr | None, list[ast.expr]]:
    """The X of the ``X.acquire()`` or ``with X`` that the frame is at, and the X it holds."""
    code, now = frame.f_code, frame.f_lasti // 2
    places: list[Any] = list(code.co_positions())
    place = places[now]
    calls, withs = _source(code)
    asked, held = calls.get(place), []
    for each in withs:
        items = [item.context_expr for item in each.items]
        starts, first, last = [_place(item) for item in items], each.body[0], each.body[-1]
        if (first.lineno, first.col_offset) <= (place[0] or 0, place[2] or 0) <= _place(last)[1::2]:
            held += items
        elif place in starts or place == _place(each):
            # Up to Python 3.12 all items stand at the statement's own place: they are counted.
            at_place = [code.co_code[2 * at] for at in range(now) if places[at] == place]
            number = starts.index(place) if place in starts else at_place.count(_WITH) % len(items)
            asked = items[number]
            held += items[:number]
    return asked, held


def _place(node: Any) -> tuple[int, ...]:
    return node.lineno, node.end_lineno or 0, node.col_offset, node.end_col_offset or 0


@functools.lru_cache(maxsize=1024)
def _source(code: CodeType) -> tuple[dict[tuple[int, ...], ast.expr], list[ast.With]]:
    """The X of each ``X.acquire()`` and its kind by its place, and the ``with`` statements."""
    before = code.co_firstlineno - 1
    lines = linecache.getlines(code.co_filename)[before : _last(code)][:LONGEST]
    # A method's indented lines become the body of an if; a multi-line string stays what it is.
    indented = int(bool(lines) and lines[0][0].isspace())
    # Odd escapes are made plain: the parser would warn of them on the application's stderr.
    text = re.sub(r"(\\[\n\\'\"])|\\", lambda escape: escape[1] or "x", "".join(lines))
    tree = ast.Module([], [])
    with contextlib.suppress(SyntaxError, ValueError, RecursionError):
        tree = ast.parse("if 1:\n" * indented + text)
    nodes = list(ast.walk(ast.increment_lineno(tree, before - indented)))
    asked = {}
    for each in nodes:
        called = each.func if isinstance(each, ast.Call) else None
        if isinstance(called, ast.Attribute) and called.attr in _METHODS:
            asked[_place(each)] = called.value
    return asked, [each for each in nodes if isinstance(each, ast.With)]


def _last(code: CodeType) -> int:
    """The last line of a function and those in it."""
    lines = (each[1] or 0 for each in code.co_positions())
    return max(0, *lines, *(_last(each) for each in code.co_consts if type(each) is CodeType))


def _value(node: ast.expr | None, frame: FrameType) -> Any:
    """What a name, or an attribute of one, stands for in the frame."""
    if isinstance(node, ast.Name):
        for names in (_variables(frame), frame.f_globals):
            if node.id in names:
                return names[node.id]
    elif isinstance(node, ast.Attribute):
        name, parts = node.attr, frame.f_code.co_qualname.split(".")
        if name.startswith("__") and not name.endswith("__") and len(parts) > 1:
            name = f"_{parts[-2].lstrip('_')}{name}"  # private to its class
        return _attribute(_value(node.value, frame), name)
    raise _UnknownError


def _variables(frame: FrameType) -> Mapping[str, Any]:
    """The variables of a function; a class body's may be any object of the application's."""
    if sys.version_info < (3, 13) and not _NAMESPACE.isdisjoint(frame.f_code.co_names):
        raise _UnknownError
    return frame.f_locals if frame.f_code.co_flags & inspect.CO_OPTIMIZED else frame.f_globals


def _attribute(thing: Any, name: str) -> Any:
    """An attribute or slot of ``thing`` that is there without anything being called."""
    found = inspect.getattr_static(thing, name, _UnknownError)
    if type(found) is MemberDescriptorType and issubclass(type(thing), found.__objclass__):
        found = found.__get__(thing)
    if found is _UnknownError or inspect.getattr_static(type(found), "__get__", None) is not None:
        raise _UnknownError
    return found
