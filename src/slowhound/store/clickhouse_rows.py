"""Converts events to rows for ClickHouse: each value has its column's type, or is NULL.

Otherwise one value of a wrong type would block all events after it.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from typing import Any

import msgspec

from slowhound.event.fields import FIELDS
from slowhound.event.formats import clean
from slowhound.runtime.library_names import NOT_JSON
from slowhound.store.columns import LATEST_TIME, LIST_COLUMNS, REQUIRED

_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder().decode
INT64 = 2**63
LARGEST_FLOAT = sys.float_info.max


def from_line(line: bytes, segment: str) -> dict[str, Any] | None:
    """The row of one line of a segment; None for a torn line."""
    try:
        event = _decode(line)
    except NOT_JSON:
        return None
    if not isinstance(event, dict):
        return None
    own = {name: _text(value) for name, value in event.items() if name not in _CONVERTERS}
    return row_of(event, segment, own)


def row_of(
    event: Mapping[str, Any], segment: str, app: Mapping[str, str | None]
) -> dict[str, Any] | None:
    """The row of an event; None when it is invalid. ``app`` are the application's own fields."""
    row: dict[str, Any] = {}
    for name, fit in _CONVERTERS.items():
        value = event.get(name)
        if value is not None:
            row[name] = fit(value, name)
    ts = row.get("ts")
    if not row.get("event_type") or ts is None or not 0 <= ts < LATEST_TIME:
        return None
    for name in REQUIRED:
        if row.get(name) is None:
            row[name] = 0 if name == "pid" else ""
    row["segment"] = segment
    row["app"] = dict(app)
    return row


def encode(rows: list[dict[str, Any]]) -> bytes:
    """The rows in ClickHouse's format ``JSONEachRow``."""
    return b"".join([_encode(row) + b"\n" for row in rows])


def _text(value: Any) -> str | None:
    if value is None or isinstance(value, str):
        return value
    try:
        return _encode(value).decode()
    except (ValueError, OverflowError, RecursionError):  # more than 64 bits, too deep
        return clean(value)


def _str(value: Any, _name: str) -> str | None:
    return _text(value)


def _int(value: Any, _name: str) -> int | None:
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    fits = isinstance(value, int) and not isinstance(value, bool) and -INT64 <= value < INT64
    return value if fits else None


def _float(value: Any, _name: str) -> float | None:
    number = isinstance(value, int | float) and not isinstance(value, bool)
    return float(value) if number and -LARGEST_FLOAT <= value <= LARGEST_FLOAT else None


def _bool(value: Any, _name: str) -> bool | None:
    return value if isinstance(value, bool) else None


def _list(value: Any, name: str) -> list[dict[str, Any]]:
    if not isinstance(value, list):
        return []
    parts = LIST_COLUMNS[name]
    return [
        {part: _part(each.get(part), part, kind) for part, kind in parts.items()}
        for each in value
        if isinstance(each, dict)
    ]


def _part(value: Any, name: str, kind: str) -> Any:
    found = _FITS[kind](value, name)
    return _EMPTY[kind] if found is None else found


_FITS: dict[str, Callable[[Any, str], Any]] = {
    "str": _str,
    "int": _int,
    "float": _float,
    "bool": _bool,
    "list": _str,
    "dict": _str,
}
_EMPTY = {"str": None, "int": 0, "float": 0.0}
_CONVERTERS = {
    field.name: _list if field.name in LIST_COLUMNS else _FITS[field.type] for field in FIELDS
}
