"""Reads values of the standard library's types, data classes and numpy's numbers.

They are read by the methods of the type that stores the value, also where a subclass overrides
these: freezegun's dates, pendulum's, an application's own Decimal.
"""

from __future__ import annotations

import dataclasses
import datetime as dt
import decimal
import pathlib
import sys
import uuid
import zoneinfo
from collections.abc import Callable, Iterable
from dataclasses import Field
from types import MethodDescriptorType, SimpleNamespace
from typing import Any

from slowhound.runtime.attributes import attribute_or
from slowhound.runtime.static_lookup import MISSING, dict_of, in_classes, mro_of, own, stored

_STANDARD = frozenset((complex, dt.date, dt.timedelta, decimal.Decimal, range))
_PATHS = frozenset(
    (pathlib.PosixPath, pathlib.PurePosixPath, pathlib.WindowsPath, pathlib.PureWindowsPath)
)
_WITH_ZONE = frozenset((dt.datetime, dt.time))
_ZONES = frozenset((type(None), dt.timezone, zoneinfo.ZoneInfo))


def data_of(value: Any, kind: type) -> Any:
    """The value of an object of such a type or a subclass, or of numpy; None for any other."""
    for base, text in _BASES:
        if issubclass(kind, base):
            return None if kind is base else text(value)
    numpy = sys.modules.get("numpy")
    for name in ("number", "bool_"):
        scalar = getattr(numpy, name, None)
        if type(scalar) is type and issubclass(kind, scalar):
            item = in_classes(scalar, "item")
            found = item.__get__(value)() if type(item) is MethodDescriptorType else None
            return found if type(found) in (bool, int, float) else None
    return None


def _reader(base: Any, *names: str) -> Callable[[Any], str | None]:
    """Shows the stored value as ``base`` does; None for a zone that has its own code."""
    reads = [in_classes(base, name).__get__ for name in names]
    zone_of, fold_of = (
        in_classes(base, name).__get__ if base in _WITH_ZONE else None
        for name in ("tzinfo", "fold")
    )

    def text(value: Any) -> str | None:
        made = base(*[read(value) for read in reads])
        if zone_of is None or fold_of is None:
            return str(made)
        zone, made = zone_of(value), made.replace(fold=fold_of(value))
        if "year" in names and issubclass(type(zone), zoneinfo.ZoneInfo):
            offset = zoneinfo.ZoneInfo.utcoffset(zone, made)  # pendulum's zones
            zone = None if offset is None else dt.timezone(offset)
        is_known = any(type(zone) is each for each in _ZONES)
        return str(made.replace(tzinfo=zone)) if is_known else None

    return text


_TIME = ("hour", "minute", "second", "microsecond")
# Subclasses come first. Made at import: freezegun replaces them in their modules later.
_BASES: tuple[tuple[type, Callable[[Any], str | None]], ...] = (
    (dt.datetime, _reader(dt.datetime, "year", "month", "day", *_TIME)),
    (dt.date, _reader(dt.date, "year", "month", "day")),
    (dt.time, _reader(dt.time, *_TIME)),
    (dt.timedelta, _reader(dt.timedelta, "days", "seconds", "microseconds")),
    (decimal.Decimal, decimal.Decimal.__str__),
)


def is_standard(value: Any, kind: type) -> bool:
    """True for an object of the standard library that is shown without the application's code.

    A path may be made of texts of the application's own, and a UUID of any number.
    """
    # With a metaclass, even the test whether the class is among these would run code.
    if type(kind) is not type:
        return False
    if kind in _PATHS:
        return all(_is_of_texts(attribute_or(value, name)) for name in _slots(kind))
    if kind is uuid.UUID:
        return type(attribute_or(value, "int")) is int
    return kind in _STANDARD or _has_known_zone(value, kind)


def _slots(kind: type) -> list[str]:
    return [name for each in mro_of(kind) for name in dict_of(each).get("__slots__", ())]


def _is_of_texts(part: Any) -> bool:
    if type(part) in (list, tuple):
        return all(type(each) is str for each in list(part))
    return part is None or type(part) is str or type(part) is int


def _has_known_zone(value: Any, kind: type) -> bool:
    zone = type(value.tzinfo) if kind in _WITH_ZONE else None
    return zone is not None and type(zone) is type and zone in _ZONES


def fields_of(value: Any, kind: type) -> Iterable[tuple[str, Any]] | None:
    """Names and values of a data class, a named tuple or a namespace; None for other objects."""
    names = in_classes(kind, "_fields")
    if issubclass(kind, tuple) and type(names) is tuple:
        return zip(names, tuple.__iter__(value), strict=False)
    if kind is SimpleNamespace:
        return own(value).copy().items()  # another thread may add to it
    fields = in_classes(kind, "__dataclass_fields__")
    if type(fields) is not dict:
        return None
    shown = (each.name for each in _real(fields) if each.repr)
    return ((name, _field(value, name)) for name in shown if type(name) is str)


def _real(fields: dict[Any, Any]) -> Iterable[Field[Any]]:
    """The fields that an instance has; ``ClassVar`` and ``InitVar`` are none."""
    known = {name: each for name, each in fields.items() if type(each) is Field}
    # Not from the class itself: a metaclass would run code.
    holder: Any = SimpleNamespace(__dataclass_fields__=known)
    return dataclasses.fields(holder)


def _field(value: Any, name: str) -> Any:
    found = stored(value, name)
    return attribute_or(value, name, ...) if found is MISSING else found
