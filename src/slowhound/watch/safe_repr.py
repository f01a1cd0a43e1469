"""Shows a value in a report: masked, cut, and without running the application's code.

A ``__repr__`` may query the database, take a lock, block or recurse, and the report is written by
the hound. So none is called but those of built-in types, on values of a bounded size. Of all other
objects the class is shown, of data classes and named tuples their fields as well. Types are
compared, without ``isinstance()``: a lazy object would evaluate itself. And only types without a
metaclass are compared by ``==`` or searched for: a metaclass may have an ``__eq__``.
"""

from __future__ import annotations

from collections import OrderedDict, defaultdict, deque
from collections.abc import Callable
from itertools import islice
from typing import Any

from slowhound.redaction import masking
from slowhound.redaction.cuts import cut
from slowhound.redaction.mask import MASK
from slowhound.redaction.plain_data import BITS, known_of
from slowhound.redaction.standard_values import data_of, fields_of, is_standard
from slowhound.redaction.structures import (
    PARTS,
    hides,
    hides_beside,
    is_card,
    is_flag,
    named_secret,
    text_of,
)
from slowhound.redaction.urls import QUERY_READ
from slowhound.redaction.values import mask_values
from slowhound.runtime.static_lookup import full_name

# Characters of one text, and what is read of it: a secret that is cut must still be known as one.
SHOWN_TEXT = 200
READ_TEXT = 400
# Characters of one variable, members of one container, containers in each other.
SHOWN_VALUE = 1000
SHOWN_MEMBERS = 10
SHOWN_DEPTH = 4

_PLAIN = (float, bool, type(None), type(...))
_LISTS: dict[type, str] = {
    list: "[{}]",
    tuple: "({})",
    set: "{{{}}}",
    frozenset: "frozenset({{{}}})",
    deque: "deque([{}])",
}
_DICTS: tuple[type, ...] = (dict, OrderedDict, defaultdict)


class Printer:
    """Shows the values of one frame.

    Args:
        hidden: names that are secret here, beside those that always are.
    """

    def __init__(self, hidden: frozenset[str]) -> None:
        self._hidden = hidden
        self._left = 0

    def named(self, name: str, value: Any) -> str:
        """The value of a variable."""
        if self._hides(name, value):
            return MASK
        self._left = SHOWN_VALUE
        return self._show(_searched(name, value), 0)

    def _hides(self, name: Any, value: Any) -> bool:
        """True for a name or key whose value is not shown."""
        if type(name) is bytes:
            name = name[:SHOWN_TEXT].decode("latin-1")
        return type(name) is str and (name in self._hidden or hides(name, value))

    def _show(self, value: Any, depth: int) -> str:
        if self._left <= 0:
            return "..."
        kind = type(value)
        shown = _leaf(value, kind)
        if shown is None and depth >= SHOWN_DEPTH:
            shown = "..."
        if shown is not None:
            self._left -= len(shown) + 2
            return shown
        if _has_no_metaclass(kind) and (kind in _LISTS or kind in _DICTS):
            return self._members(value, kind, depth)
        return self._object(value, kind, depth)

    def _members(self, value: Any, kind: type, depth: int) -> str:
        if kind in _DICTS:
            return self._dict(list(islice(dict.items(value), SHOWN_MEMBERS + 1)), depth)
        members = list(islice(value, SHOWN_MEMBERS + 1))
        if len(members) == 2 and kind in (list, tuple) and self._hides(members[0], members[1]):
            members[1] = MASK  # an item of a dict, a header of ASGI
        after_flag = [False, *map(is_flag, members)]
        parts = [
            repr(MASK) if hidden and type(each) is str else self._show(each, depth + 1)
            for each, hidden in zip(members[:SHOWN_MEMBERS], after_flag, strict=False)
        ]
        if kind is tuple and len(parts) == 1:
            parts[0] += ","
        return _LISTS[kind].format(_joined(parts, members))

    def _dict(self, items: list[tuple[Any, Any]], depth: int) -> str:
        named = named_secret(items)
        parts = []
        for key, value in items[:SHOWN_MEMBERS]:
            hidden = self._hides(key, value) or hides_beside(named, key, value)
            shown = repr(MASK) if hidden else self._show(_searched(key, value), depth + 1)
            parts.append(f"{self._show(key, depth + 1)}: {shown}")
        return "{" + _joined(parts, items) + "}"

    def _object(self, value: Any, kind: type, depth: int) -> str:
        name = masking.name(full_name(kind))
        fields = fields_of(value, kind)
        if fields is None:
            found = data_of(value, kind)
            details = known_of(value, kind) if found is None else f" {found}"
            details = masking.text(cut(details, READ_TEXT))[:SHOWN_TEXT]
            shown = f"<{name}{details or ' object'}>"
            self._left -= len(shown)
            return shown
        # A name may be a str of the application's own, or no str at all.
        found = list(islice((each for each in fields if type(each[0]) is str), SHOWN_MEMBERS + 1))
        parts = [f"{key}={self._field(key, each, depth)}" for key, each in found[:SHOWN_MEMBERS]]
        return f"{name}({_joined(parts, found)})"

    def _field(self, name: str, value: Any, depth: int) -> str:
        hidden = self._hides(name, value)
        return MASK if hidden else self._show(_searched(name, value), depth + 1)


def _searched(name: Any, value: Any) -> Any:
    """A text, searched for secrets as what its name implies: a query string, an address."""
    is_known = type(value) is str and type(name) is str and name in PARTS
    return text_of(name, cut(value, QUERY_READ)) if is_known else value


def _joined(parts: list[str], found: list[Any]) -> str:
    return ", ".join([*parts, "..."] if len(found) > len(parts) else parts)


def _leaf(value: Any, kind: type) -> str | None:
    """What has no members; None for anything that is not known to be harmless."""
    if not _has_no_metaclass(kind):
        return None
    if kind is str:
        return _cut(value, repr)
    if kind in (bytes, bytearray):
        shown = _cut(bytes(value[: READ_TEXT + 1]).decode("latin-1"), ascii)
        return f"b{shown}" if kind is bytes else f"bytearray(b{shown})"
    if kind is int:
        bits = value.bit_length()
        return f"<int of {bits} bits>" if bits > BITS else mask_values(repr(value))
    if kind in _PLAIN or is_standard(value, kind):
        return _text_of(value, kind)
    return None


def _text_of(value: Any, kind: type) -> str:
    try:
        if kind is float and is_card(value):
            return MASK
        return masking.text(cut(repr(value), READ_TEXT))[:SHOWN_TEXT]
    except ValueError:  # a range of numbers with too many digits
        return f"<{full_name(kind)} object>"


def _has_no_metaclass(kind: type) -> bool:
    return type(kind) is type


def _cut(value: str, shown: Callable[[str], str]) -> str:
    text = text_of(None, cut(value, READ_TEXT))
    more = len(text) > SHOWN_TEXT or len(value) > READ_TEXT
    return shown(text[:SHOWN_TEXT]) + ("..." if more else "")
