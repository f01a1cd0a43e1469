"""Cache calls, by wrapping the methods of the backends' classes.

Django has no signal for caches. The classes are wrapped, not the objects: a copy of a cache, or a
test's patch of a class, behaves as it would without slowhound.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import wraps
from types import FunctionType
from typing import Any

from django.conf import settings
from django.utils.module_loading import import_string

from slowhound.guard import guard
from slowhound.instrument.clock import own_time
from slowhound.record import Record, current_record

# Hits, misses, sets.
Counts = tuple[int, int, int]
NOTHING: Counts = (0, 0, 0)

_guard = guard("cache instrumenter")
# (class, name of the method) -> the class's own function, and ours.
_wrapped: dict[tuple[type, str], tuple[FunctionType, Callable[..., Any]]] = {}


def install() -> None:
    """Wraps the backends that the settings name."""
    for cache in settings.CACHES.values():
        with _guard:  # a backend whose library is missing fails for the application, later
            _wrap(import_string(cache["BACKEND"]))


def uninstall() -> None:
    """Puts the classes' own methods back, where nobody else has patched them since."""
    while _wrapped:
        (cls, name), (own, ours) = _wrapped.popitem()
        if cls.__dict__.get(name) is ours:
            setattr(cls, name, own)


def _wrap(backend: type) -> None:
    for cls in backend.__mro__[:-1]:
        for name, outcome in METHODS.items():
            own = cls.__dict__.get(name)
            if type(own) is FunctionType and (cls, name) not in _wrapped:
                ours = _observed(own, name, outcome)
                _wrapped[cls, name] = (own, ours)
                setattr(cls, name, ours)


def _observed(
    method: Callable[..., Any], name: str, outcome: Callable[..., Counts]
) -> Callable[..., Any]:
    @wraps(method)
    def call(self: Any, *args: Any, **kwargs: Any) -> Any:
        record = current_record.get()
        if record is None or record.done or record.cache_depth:
            return method(self, *args, **kwargs)
        before = record.accounted
        start = time.monotonic()
        record.cache_depth = 1
        counts = NOTHING
        try:
            result = method(self, *args, **kwargs)
            with _guard:
                counts = outcome(result, args, kwargs)
        finally:
            record.cache_depth = 0
            with _guard:
                took = time.monotonic() - start
                record.cache_time += own_time(record, took, before)
                _count(record, counts)
                record.note(start, took, "cache", name)
        return result

    return call


def _count(record: Record, counts: Counts) -> None:
    cache = record.cache
    if cache is None:
        cache = record.cache = {"cache_hits": 0, "cache_misses": 0, "cache_sets": 0}
    hits, misses, sets = counts
    cache["cache_hits"] += hits
    cache["cache_misses"] += misses
    cache["cache_sets"] += sets


def _get(result: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Counts:
    default = args[1] if len(args) > 1 else kwargs.get("default")
    return (0, 1, 0) if result is default else (1, 0, 0)


def _get_many(result: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Counts:
    keys = args[0] if args else kwargs.get("keys", ())
    asked = len(keys) if hasattr(keys, "__len__") else len(result)
    return len(result), max(asked - len(result), 0), 0


def _set(result: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Counts:
    return 0, 0, 1


def _set_many(result: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Counts:
    data = args[0] if args else kwargs.get("data", ())
    return 0, 0, len(data)


def _neither(result: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Counts:
    return NOTHING


# The outermost call counts: Django's base class builds ``get_many`` and ``incr`` on ``get``, other
# backends do not; a subclass calls its parent's method. ``get_or_set`` is not here: it is counted
# by the calls that it makes.
METHODS: dict[str, Callable[..., Counts]] = {
    "get": _get,
    "get_many": _get_many,
    "set": _set,
    "set_many": _set_many,
    "add": _set,
    "delete": _neither,
    "touch": _neither,
    "incr": _neither,
    "clear": _neither,
    "delete_many": _neither,
}


def describe(record: Record, event: dict[str, Any]) -> None:
    """Hits, misses, sets and time, when a cache was used."""
    if record.cache is not None:
        event.update(record.cache)
        event["cache_time"] = record.cache_time
