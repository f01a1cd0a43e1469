"""Finds the call or ``with`` that a frame is at, and the ``with`` blocks that it is in.

From the code object, without Python's parser: in the worker that would be a second one beside the
application's, and on CPython before 3.11.8 and 3.12.2 two at once break each other (SystemError).
Each instruction has the place of its expression (``co_positions``, PEP 657), and the exception
table has a handler for each ``with`` block, which begins with ``WITH_EXCEPT_START``. The source is
only cut at these places.
"""

from __future__ import annotations

import dis
import functools
import re
import sys
from collections.abc import Iterator
from types import CodeType, FrameType
from typing import NamedTuple

from slowhound.frames.source_lines import source_part
from slowhound.runtime.code_objects import Code, file_of, know

# First and last line, first and last column, in bytes of UTF-8; as ``co_positions`` has them.
Place = tuple[int | None, int | None, int | None, int | None]
WAITING_METHODS = frozenset(
    ("acquire", "__enter__", "get", "put", "join", "wait", "wait_for", "result")
)
_METHOD = re.compile(r"\s*\.\s*(\w+)")
_CACHE, _PUSH = dis.opmap["CACHE"], dis.opmap["PUSH_EXC_INFO"]
_WITH_HANDLER = dis.opmap["WITH_EXCEPT_START"]
# Until then the entering instruction has the place of the whole statement.
_ITEM_HAS_PLACE = sys.version_info >= (3, 13)


class Expression(NamedTuple):
    """A part of the source, on one line."""

    text: str
    line: int


class _Entry(NamedTuple):
    """A row of the exception table: instructions from ``start`` to before ``end``."""

    start: int
    end: int
    target: int


class _Code(NamedTuple):
    """What is read of a code object once; instructions are counted with their caches."""

    operations: bytes
    places: tuple[Place, ...]
    entries: tuple[_Entry, ...]
    withs: dict[int, int]  # of each handler of a ``with``: the instruction that enters the block


def waited_for(frame: FrameType) -> Expression | None:
    """The X of the ``X.acquire()`` or similar, or of the ``with X``, that the frame is at."""
    code, now = _read(know(frame.f_code)), frame.f_lasti // 2
    if now in code.withs.values():
        return _expression(frame.f_code, _item(code, now))
    call = code.places[now]
    function = _inside(code, now, call)
    thing = _inside(code, now, function) if function is not None else None
    if function is None or thing is None:
        return None
    named = _METHOD.fullmatch(
        _text(file_of(frame.f_code), (thing[1], function[1], thing[3], function[3]))
    )
    return _expression(frame.f_code, thing) if named and named[1] in WAITING_METHODS else None


def held(frame: FrameType) -> Iterator[Expression]:
    """The X of each ``with X`` block that the frame is in, the innermost first."""
    code, at = _read(know(frame.f_code)), frame.f_lasti // 2
    seen = set[int]()
    while (target := _handler(code, at)) is not None and target not in seen:
        seen.add(target)
        if target in code.withs:
            found = _expression(frame.f_code, _item(code, code.withs[target]))
            if found is not None:
                yield found
        at = target


def _handler(code: _Code, at: int) -> int | None:
    """Where an exception of this instruction would go."""
    return next((each.target for each in code.entries if each.start <= at < each.end), None)


def _inside(code: _Code, before: int, place: Place) -> Place | None:
    """The largest expression that begins where this one does, and ends before it ends."""
    line, end_line, column, end_column = place
    if line is None or end_line is None or column is None or end_column is None:
        return None
    found: Place | None = None
    most = (0, 0)
    for each in code.places[:before]:
        if each[0] == line and each[2] == column and each[1] is not None and each[3] is not None:
            end = each[1], each[3]
            if most < end < (end_line, end_column):
                found, most = each, end
    return found


def _item(code: _Code, entering: int) -> Place:
    at = entering if _ITEM_HAS_PLACE else _before(code.operations, entering)
    return code.places[at]


@functools.lru_cache(maxsize=256)
def _read(known: Code) -> _Code:
    code = known.code
    operations = code.co_code[::2]  # the base ones, also where they are specialised or traced
    entries = tuple(_entries(code.co_exceptiontable))
    withs = {
        target: _before(operations, min(each.start for each in entries if each.target == target))
        for target in {each.target for each in entries}
        if operations[target] == _PUSH and operations[target + 1] == _WITH_HANDLER
    }
    return _Code(operations, tuple(code.co_positions()), entries, withs)


def _before(operations: bytes, at: int) -> int:
    """The instruction before this one; caches are skipped."""
    at -= 1
    while at > 0 and operations[at] == _CACHE:
        at -= 1
    return at


def _entries(table: bytes) -> Iterator[_Entry]:
    """The rows of the exception table: four numbers each, of six bits a byte.

    Its format is described in CPython's ``InternalDocs/exception_handling.md``.
    """
    numbers = list[int]()
    value = 0
    for byte in table:
        value = value << 6 | byte & 63
        if not byte & 64:
            numbers.append(value)
            value = 0
    for start, length, target, _ in zip(*[iter(numbers)] * 4, strict=False):
        yield _Entry(start, start + length, target)


def _expression(code: CodeType, place: Place) -> Expression | None:
    text = " ".join(_text(file_of(code), place).split())
    return Expression(text, place[0]) if text and place[0] is not None else None


def _text(filename: str, place: Place) -> str:
    """The source at a place; empty when it is not known, or the file does not have it."""
    first, last, begin, end = place
    if first is None or last is None or begin is None or end is None:
        return ""
    return source_part(filename, first, last, begin, end)
