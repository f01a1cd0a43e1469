r"""Writes an event as the canonical line: logfmt, or one line of JSON.

In logfmt every value is quoted, and between the quotes stands a JSON string: quote,
backslash and every character that is not printable are escaped, so ``json.loads`` reads a value
back and nothing that a client sends can end a line, forge a field or move a cursor. White space
is folded to one space, none is ``"-"``, seconds have three decimals, as the line has had since
gunicorn-django-canonical-logs.

Lone surrogates (a client's invalid UTF-8) are not Unicode text; both formats show them as the
six characters ``\udcXX``.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from operator import itemgetter
from typing import Any, NamedTuple

import msgspec

from slowhound.event.fields import NAMES
from slowhound.redaction import plain_data
from slowhound.runtime.foreign import is_foreign

_encode = msgspec.json.Encoder().encode
_SPACE = re.compile(r"\s+")
_KEY = re.compile(r"[^A-Za-z0-9_.\-]")
SHAPES_LIMIT = 512
# Of an application, in an event that is too large: characters of a field, and how many fields.
SHORTENED_LIMIT = 1000
# Levels of a structure of ours; none has as many, even with the values of an application in it.
ENCODED_DEPTH = 12


def json_line(event: dict[str, Any]) -> bytes:
    """The event as one line of JSON, with its line end; any value is made to fit."""
    try:
        line = _encode(event)
    except (TypeError, ValueError, OverflowError, RecursionError) as exc:
        if is_foreign(exc):
            raise
        line = _encode(encodable(event))
    if not line.isascii() or b"\x7f" in line:
        line = _printable(line)
    return line + b"\n"


def _printable(line: bytes) -> bytes:
    # JSON only escapes what is below U+0020; a terminal also obeys U+009B, a reader U+202E.
    text = line.decode()
    if text.isprintable():
        return line
    return "".join([each if each.isprintable() else _code(each) for each in text]).encode()


def encodable(value: Any, depth: int = ENCODED_DEPTH) -> Any:
    """A structure of ours as JSON can hold it, whole: with numbers and texts that fit.

    It is as large as we have made it. Limits are for the values of an application, which
    ``plain_data`` has read before; an object that it has not read is read here.
    """
    kind = type(value)
    if kind is str:
        return utf8(value)
    if depth > 0 and kind is dict:
        return {_key(key): encodable(each, depth - 1) for key, each in value.items()}
    if depth > 0 and issubclass(kind, tuple):
        value, kind = [*tuple.__iter__(value)], list
    if depth > 0 and kind is list:
        return [encodable(each, depth - 1) for each in value]
    found = plain_data.plain(value, min(depth, plain_data.PLAIN_DEPTH))
    return found if type(found) in (type(None), bool, int, float) else encodable(found, depth)


def _key(key: Any) -> str:
    return utf8(key) if type(key) is str else clean(key)


def shortened(event: dict[str, Any]) -> dict[str, Any]:
    """The event with the application's fields as short texts, or without them if they are many."""
    texts = {name: value for name, value in event.items() if name not in NAMES}
    if len(texts) > SHORTENED_LIMIT:
        return {name: value for name, value in event.items() if name in NAMES}
    return event | {name: _short(value) for name, value in texts.items()}


def _short(value: Any) -> Any:
    if isinstance(value, int | float) or value is None:
        return value
    text = value if isinstance(value, str) else json_line(value)[:-1].decode()
    return text if len(text) <= SHORTENED_LIMIT else f"{text[:SHORTENED_LIMIT]}..."


def utf8(text: str) -> str:
    """A text of ours as UTF-8 can hold it, at its full length."""
    return text if text.isascii() else text.encode("utf-8", "backslashreplace").decode("utf-8")


def clean(value: Any) -> str:
    """A value of an application as a text of limited length that UTF-8 can hold."""
    return utf8(plain_data.as_text(value))


def logfmt(event: dict[str, Any]) -> str:
    """The event as one logfmt line, without a line end."""
    values = tuple(event.values())
    # Events come in few shapes, so one C-level % does nearly all of the work: 3 µs a line
    # where a loop over 28 fields takes 6.
    key = (tuple(event), tuple(map(type, values)))
    shape = _shapes.get(key) or _shape(*key)
    if shape.strings is not None:
        texts = shape.strings(values)
        # All texts are checked together; nearly every line has nothing that must be escaped.
        # A space at the edge of a text makes two spaces here, or one at the edge of the whole.
        joined = " ".join(texts)
        if (
            joined.isprintable()
            and '"' not in joined
            and "\\" not in joined
            and "  " not in joined
            and joined == joined.strip()
            and "" not in texts
        ):
            return shape.template % values
    return " ".join(
        [f'{name}="{_text(value)}"' for name, value in zip(shape.names, values, strict=True)]
    )


class _Shape(NamedTuple):
    names: list[str]
    template: str
    strings: Callable[[tuple[Any, ...]], tuple[str, ...]] | None


_shapes: dict[tuple[tuple[str, ...], tuple[type, ...]], _Shape] = {}
# None becomes "-": %.0s takes the value and shows nothing of it.
_CONVERSIONS = {str: "%s", float: "%.3f", int: "%d", type(None): "%.0s-"}


def _shape(keys: tuple[str, ...], types: tuple[type, ...]) -> _Shape:
    names = [key_of(key) for key in keys]
    positions = [position for position, kind in enumerate(types) if kind is str]
    fast = len(positions) > 1 and all(kind in _CONVERSIONS for kind in types)
    template = " ".join(
        f'{name}="{_CONVERSIONS.get(kind, "")}"' for name, kind in zip(names, types, strict=True)
    )
    shape = _Shape(names, template, itemgetter(*positions) if fast else None)
    if len(_shapes) < SHAPES_LIMIT:  # an application that makes up keys must not fill the memory
        _shapes[keys, types] = shape
    return shape


def _text(value: Any) -> str:
    """One value as it stands between the quotes."""
    if value is None:
        return "-"
    kind = type(value)
    if kind is bool:
        return "true" if value else "false"
    if kind is float:
        return f"{value:.3f}"
    return text_of(clean(value))


def text_of(value: str) -> str:
    """One value, folded and escaped; ``"-"`` when nothing is left."""
    value = _SPACE.sub(" ", value).strip()
    if not value:
        return "-"
    value = value.replace("\\", "\\\\").replace('"', '\\"')
    if value.isprintable():
        return value
    return "".join([each if each.isprintable() else _code(each) for each in value])


def key_of(key: str) -> str:
    """A key that cannot end its field: all but letters, digits, dots and hyphens becomes ``_``."""
    return _KEY.sub("_", clean(key)) or "_"


def _code(character: str) -> str:
    """The JSON escape of one character: beyond U+FFFF two halves, as JSON has it."""
    number = ord(character)
    if number > 0xFFFF:
        number -= 0x10000
        return f"\\u{0xD800 + (number >> 10):04x}\\u{0xDC00 + (number & 0x3FF):04x}"
    return f"\\u{number:04x}"


def one_line(value: Any) -> str:
    """``value`` on one line: nothing that a client sent can add a line or move a cursor."""
    if isinstance(value, float):
        return f"{value:.3f}"
    return printable(clean(value))


def printable(line: str) -> str:
    """A line, with escapes in the place of what would move a cursor or end the line."""
    return line if line.isprintable() else ascii(line)[1:-1]


def printable_lines(text: str) -> str:
    """Lines of ours, each as ``printable``."""
    return "\n".join(map(printable, text.split("\n")))
