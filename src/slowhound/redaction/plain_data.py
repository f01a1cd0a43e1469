"""Makes plain data of the application's values, once, before anything else, and never fails.

An object of the application may query the database when it is shown, evaluate itself when its class
is read, raise, recurse, or change meanwhile. So none of its code is called: types are compared and
``isinstance()`` is not used; the contents of a built-in value, also of a subclass, are read by the
built-in type's own methods; any other object becomes its class. The results are None, bools,
floats, ints of 64 bits, texts, lists, and dicts with texts as keys, of a limited size and depth.
"""

from __future__ import annotations

import enum
import sys
import uuid
from collections import deque
from collections.abc import Callable, Iterable
from itertools import islice
from typing import Any

from slowhound.redaction import cuts, exceptions
from slowhound.redaction.mask import MASK
from slowhound.redaction.names import is_secret
from slowhound.redaction.standard_values import data_of, fields_of, is_standard
from slowhound.runtime.attributes import UnknownError, attribute
from slowhound.runtime.foreign import is_foreign
from slowhound.runtime.static_lookup import args_of, name_of, name_of_callable, stored

# Limits: levels of containers, members of one, members of all of them together; characters of a
# text, of all texts of a value, of all values of the application in an event. The request's own
# thread searches them for secrets, which takes up to 0.3 ms for 1,000 characters.
PLAIN_DEPTH = 4
MEMBERS_LIMIT = exceptions.MEMBERS_LIMIT
ALL_MEMBERS_LIMIT = 2_000
TEXT_LIMIT = exceptions.TEXT_LIMIT
VALUE_LIMIT = 20_000
EVENT_LIMIT = 100_000
CLASS_NAME_LIMIT = 200  # of a class or a function
BITS = exceptions.BITS  # of an int that is written out
LEFT_OUT = "..."

# How to iterate over a built-in container, also of a subclass with methods of its own.
_LISTS: tuple[tuple[type, Callable[[Any], Iterable[Any]]], ...] = (
    (list, list.__iter__),
    (tuple, tuple.__iter__),
    (set, set.__iter__),
    (frozenset, frozenset.__iter__),
    (deque, deque.__iter__),
)


def plain(value: Any, depth: int = PLAIN_DEPTH) -> Any:
    """``value`` as plain data; what is too deep, too long or of another type is shortened."""
    kind = type(value)
    if kind is str and len(value) <= TEXT_LIMIT:
        return value
    return _Reading().data(value, depth)


def plain_fields(given: dict[Any, Any]) -> dict[str, Any]:
    """Names and values of an event as plain data; where all are too long, later ones are cut.

    No other thread changes ``given``.
    """
    left, found = EVENT_LIMIT, {}
    for name, value in given.items():
        kind, data = type(value), value
        if kind is str and len(value) <= TEXT_LIMIT and len(value) <= left:
            left -= len(value)
        elif value is not None and kind is not bool and kind is not float:
            reading = _Reading(min(left, VALUE_LIMIT))
            data = reading.data(value, PLAIN_DEPTH)
            left -= reading.taken
        found[as_text(name)] = data
    return found


def as_text(value: Any) -> str:
    """``value`` as a text."""
    kind = type(value)
    if kind is str and len(value) <= TEXT_LIMIT:
        return value  # type: ignore[no-any-return]
    found = plain(value)
    return found if type(found) is str else _shown(found)


def text_or_none(value: Any) -> str | None:
    """``value`` as a text; None stays None."""
    return None if value is None else as_text(value)


def as_int(value: Any) -> int | None:
    """``value`` as an int of 64 bits, also from digits; None for anything else."""
    kind = type(value)
    if issubclass(kind, int):
        number = int.__int__(value)
    else:
        text = as_text(value) if issubclass(kind, (str, bytes)) else ""
        if not (text.isascii() and text.isdecimal() and len(text) < 19):
            return None
        number = int(text)
    return number if -(2**63) <= number < 2**63 else None


class _Reading:
    """The reading of one value; counts how much more of it may be read."""

    def __init__(self, limit: int = VALUE_LIMIT) -> None:
        self._left = ALL_MEMBERS_LIMIT
        self._limit = limit
        self.taken = 0  # characters of its texts
        self._within: list[BaseException] = []

    def data(self, value: Any, depth: int) -> Any:
        """Plain data; the class for a value that cannot be read, which hides no other one."""
        self._left -= 1
        if self._left < 0:
            return LEFT_OUT
        if value is None:
            return value
        try:
            found = self._data(value, type(value), depth)
        except Exception as exc:
            if is_foreign(exc):
                raise
            found = object_text(value)
        return self._text(found) if type(found) is str else found

    def _text(self, text: str) -> str:
        """As much of the text as there is still room for."""
        text = _cut(text, min(TEXT_LIMIT, self._limit - self.taken))
        self.taken = min(self.taken + len(text), self._limit)
        return text

    def _data(self, value: Any, kind: type, depth: int) -> Any:
        if kind is bool or kind is float:
            return value
        if issubclass(kind, (str, int, float, bytes, bytearray)):
            return _number_or_text(value, kind)
        fields = dict.items(value) if issubclass(kind, dict) else fields_of(value, kind)
        if fields is not None:
            return self._dict(fields, depth)
        members = next((members for known, members in _LISTS if issubclass(kind, known)), None)
        if members is None and issubclass(kind, BaseException):
            return self._exception(value, kind, depth)
        return _other(value, kind) if members is None else self._list(value, members, depth)

    def _list(self, value: Any, members: Callable[[Any], Iterable[Any]], depth: int) -> Any:
        if depth <= 0:
            return LEFT_OUT
        # In one step, so that no other thread can change it meanwhile.
        found = list(islice(members(value), MEMBERS_LIMIT + 1))
        parts = [self._member(each, depth - 1) for each in found[:MEMBERS_LIMIT]]
        return [*parts, LEFT_OUT] if len(found) > MEMBERS_LIMIT else parts

    def _dict(self, items: Iterable[tuple[Any, Any]], depth: int) -> Any:
        if depth <= 0:
            return LEFT_OUT
        found = list(islice(items, MEMBERS_LIMIT + 1))
        kept = found[:MEMBERS_LIMIT]
        parts = {self._key(key): self._member(each, depth - 1) for key, each in kept}
        if len(found) > MEMBERS_LIMIT:
            parts[LEFT_OUT] = LEFT_OUT
        return parts

    def _key(self, key: Any) -> str:
        found = key if key is None or type(key) is str else self.data(key, 1)
        return self._text(found if type(found) is str else _shown(found))

    def _member(self, value: Any, depth: int) -> Any:
        # Numbers too: whether a key that was cut is the name of a secret cannot be known.
        return self.data(value, depth) if self.taken < self._limit else LEFT_OUT

    def _exception(self, exc: BaseException, kind: type, depth: int) -> str:
        is_within, taken = any(each is exc for each in self._within), self.taken
        shown_text = None if is_within or depth <= 0 else self.text_of_exception(exc, depth - 1)
        self.taken = taken  # its arguments are its text
        return f"{name_of(kind)}: {shown_text}" if shown_text else name_of(kind)

    def text_of_exception(self, exc: BaseException, depth: int) -> str | None:
        """An exception's text, or its arguments but for empty ones, itself, and what it is in."""
        shown = exceptions.own_text(exc)
        if shown is not None:
            return as_text(shown)
        self._within.append(exc)
        skipped = (None, *self._within)
        args = [each for each in args_of(exc) if not any(each is one for one in skipped)]
        parts = [self.data(each, depth) for each in args[:MEMBERS_LIMIT]]
        self._within.pop()
        if len(parts) == 1:
            return parts[0] if type(parts[0]) is str else _shown(parts[0])
        return _shown(tuple(parts)) if parts else None


def _number_or_text(value: Any, kind: type) -> Any:
    if issubclass(kind, int):
        number = int.__int__(value)
        if -(2**63) <= number < 2**64:
            return number
        bits = number.bit_length()
        return repr(number) if bits <= BITS else f"<int of {bits} bits>"
    if issubclass(kind, float):
        return float.__float__(value)
    if issubclass(kind, str):
        return _cut(str.__getitem__(value, slice(TEXT_LIMIT + 1)), TEXT_LIMIT)
    built_in = bytes if issubclass(kind, bytes) else bytearray
    part = bytes(built_in.__getitem__(value, slice(TEXT_LIMIT + 1)))
    return _cut(part.decode("utf-8", "backslashreplace"), TEXT_LIMIT)


def _cut(text: str, limit: int) -> str:
    return text if len(text) <= limit else cuts.cut(text, limit) + LEFT_OUT


def _shown(found: Any) -> str:
    return _cut(repr(found), TEXT_LIMIT)


def _other(value: Any, kind: type) -> Any:
    found = data_of(value, kind)
    if found is not None:
        return found
    return str(value) if is_standard(value, kind) else object_text(value)


def object_text(value: Any) -> str:
    """The text for any object: its class, its name, a model's key, an enum's member."""
    kind = type(value)
    return f"<{name_of(kind)}{known_of(value, kind)}>"


def known_of(value: Any, kind: type) -> str:
    """What follows the class in that text: `` pk=5``, ``.RED``, `` shop.Basket``, or nothing."""
    name = name_of_callable(value)
    if name is not None:
        return f" {_cut(name, CLASS_NAME_LIMIT)}"
    model = getattr(sys.modules.get("django.db.models.base"), "Model", None)
    if model is not None and issubclass(kind, model):
        key = _key_of(value, kind)
        return "" if key is None else f" pk={key}"
    if issubclass(kind, enum.Enum):
        member = stored(value, "_name_")
        return f".{member}" if type(member) is str else ""
    return ""


def _key_of(value: Any, kind: type) -> str | None:
    try:
        column = attribute(attribute(attribute(kind, "_meta"), "pk"), "attname")
    except UnknownError:
        return None
    if type(column) is not str:
        return None
    # The key of a session, or of a token, is itself a secret.
    if is_secret(column):
        return MASK
    key = stored(value, column)
    if type(key) is uuid.UUID and is_standard(key, uuid.UUID):
        return repr(key)
    return _shown(plain(key)) if type(key) is int or type(key) is str else None


def exception_text(exc: BaseException) -> str | None:
    """The exception's text; None where only the application's code could make it.

    It comes from ``str()`` where that runs none of the application's code, see ``exceptions``; else
    from the arguments.
    """
    try:
        return _Reading().text_of_exception(exc, PLAIN_DEPTH)
    except Exception as failure:
        if is_foreign(failure):
            raise
        return None
