"""Cache calls, by wrapping the methods of each cache object that Django hands out.

Django has no signal for caches. Cache objects are made per thread by ``caches``; wrapping the
object, not its class, leaves backends that call each other's methods alone.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from django.core.cache import CacheHandler, caches

from slowhound.guard import guard
from slowhound.instrument.clock import own_time
from slowhound.record import Record, current_record

# Hits, misses, sets.
Counts = tuple[int, int, int]
NOTHING: Counts = (0, 0, 0)

_guard = guard("cache instrumenter")
_create_connection = CacheHandler.create_connection


def install() -> None:
    """Wraps the caches of this thread and each one made from now on."""
    CacheHandler.create_connection = _create_and_wrap  # type: ignore[method-assign,assignment]
    wrap_thread()


def uninstall() -> None:
    """Unwraps this thread's caches and stops wrapping new ones."""
    CacheHandler.create_connection = _create_connection  # type: ignore[method-assign]
    for cache in caches.all(initialized_only=True):
        for name in METHODS:
            cache.__dict__.pop(name, None)


def wrap_thread() -> None:
    """Wraps caches that this thread made before slowhound was installed."""
    for cache in caches.all(initialized_only=True):
        _wrap(cache)


def _create_and_wrap(handler: Any, alias: str) -> Any:
    cache = _create_connection(handler, alias)
    with _guard:
        _wrap(cache)
    return cache


def _wrap(cache: Any) -> None:
    for name, outcome in METHODS.items():
        if name not in cache.__dict__:
            setattr(cache, name, _observed(getattr(cache, name), name, outcome))


def _observed(method: Callable[..., Any], name: str, outcome: Callable[..., Any]) -> Any:
    def call(*args: Any, **kwargs: Any) -> Any:
        record = current_record.get()
        if record is None or record.done or record.cache_depth:
            return method(*args, **kwargs)
        before = record.accounted
        start = time.monotonic()
        record.cache_depth = 1
        counts = NOTHING
        try:
            result = method(*args, **kwargs)
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
# backends do not. ``get_or_set`` is not here: it is counted by the calls that it makes.
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
