"""Reads attributes of the application's objects without calling any of its code."""

from __future__ import annotations

from collections.abc import Callable
from types import MemberDescriptorType
from typing import Any

from slowhound.runtime.foreign import is_foreign
from slowhound.runtime.static_lookup import MISSING, _has, in_classes, stored


class UnknownError(Exception):
    """It cannot be known without the application's code."""


def attribute(thing: Any, name: str) -> Any:
    """An attribute or slot of ``thing`` that is there without anything being called.

    ``inspect.getattr_static`` would ask metaclasses for the hashes of their classes.

    Raises:
        UnknownError: there is none, or code would have to run for it.
    """
    kind = type(thing)
    of_kind = in_classes(kind, name)
    if issubclass(kind, type):
        found, other = in_classes(thing, name), of_kind
    elif type(of_kind) is MemberDescriptorType:
        return _read(of_kind.__get__, thing)
    elif of_kind is MISSING and in_classes(kind, "__dict__") is MISSING:
        # As of asyncio's futures, which have no __dict__; what object's own method can find then is
        # only in C.
        return _read(object.__getattribute__, thing, name)
    else:
        found, other = stored(thing, name), None
        if found is not MISSING and (of_kind is MISSING or not _has(of_kind, "__set__")):
            return found
        found = of_kind
    if found is MISSING or _has(found, "__get__") or _has(other, "__set__"):
        raise UnknownError
    return found


def _read(way: Callable[..., Any], *thing: Any) -> Any:
    try:
        return way(*thing)
    except (AttributeError, TypeError) as exc:
        if is_foreign(exc):
            raise
        raise UnknownError from None


def attribute_or(thing: Any, name: str, otherwise: Any = None) -> Any:
    """The same; ``otherwise`` where it is not known."""
    try:
        return attribute(thing, name)
    except UnknownError:
        return otherwise
