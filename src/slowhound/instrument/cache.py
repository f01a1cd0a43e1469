"""Cache calls, by wrapping the methods of the backends' classes.

Django has no signal for caches. The classes are wrapped, not the objects: a copy of a cache, or a
test's patch of a class, behaves as it would without slowhound.
"""

from __future__ import annotations

from collections.abc import Callable
from contextvars import ContextVar
from functools import wraps
from inspect import iscoroutinefunction
from types import FunctionType
from typing import Any

from django.conf import settings
from django.utils.module_loading import import_string

from slowhound.clocks import clock
from slowhound.guard import guard
from slowhound.instrument.clock import own_time
from slowhound.record import Record, current_record, unfinished
from slowhound.static_lookup import MISSING, in_classes

# Hits, misses, sets.
Counts = tuple[int, int, int]
NOTHING: Counts = (0, 0, 0)
_NONE = object()  # it has not returned

_guard = guard("cache instrumenter")
# (class, name of the method) -> the class's own function, and ours.
_wrapped: dict[tuple[type, str], tuple[FunctionType, Callable[..., Any]]] = {}
# The call that is under way in this context, which makes others.
_outermost: ContextVar[_Call | None] = ContextVar("slowhound_cache_call", default=None)


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
        for name in METHODS:
            own = cls.__dict__.get(name)
            if type(own) is FunctionType and (cls, name) not in _wrapped:
                ours = _observed(own, name)
                _wrapped[cls, name] = (own, ours)
                setattr(cls, name, ours)


def _observed(method: Callable[..., Any], name: str) -> Callable[..., Any]:
    if iscoroutinefunction(method):

        @wraps(method)
        async def call_later(self: Any, *args: Any, **kwargs: Any) -> Any:
            seen = _begin(name, args, kwargs)
            if seen is None:
                return await method(self, *args, **kwargs)
            try:
                seen.enter()
                seen.result = await method(self, *seen.args, **seen.kwargs)
                seen.leave()
            except BaseException:
                seen.leave()
                raise
            return seen.result

        return call_later

    @wraps(method)
    def call(self: Any, *args: Any, **kwargs: Any) -> Any:
        seen = _begin(name, args, kwargs)
        if seen is None:
            return method(self, *args, **kwargs)
        try:
            seen.enter()
            seen.result = method(self, *seen.args, **seen.kwargs)
            seen.leave()
        except BaseException:
            seen.leave()
            raise
        return seen.result

    return call


def _begin(name: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> _Call | None:
    """The call, if it is one that counts: the outermost one, within a request."""
    outermost = _outermost.get()
    if outermost is not None:
        outermost.inside.append(name)
        return None
    record = unfinished(current_record.get())
    return None if record is None else _Call(record, name, args, kwargs)


class _Call:
    """One call of a cache's method: between ``enter`` and ``leave``, which may be called again.

    No ``with``: what is raised from outside may come between its block and its end.
    """

    def __init__(
        self, record: Record, name: str, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> None:
        self.record = record
        self.name = name
        self.args = args
        self.kwargs = kwargs
        self.result: Any = _NONE
        self.inside: list[str] = []  # the methods that this one has called
        self.keys: _Counted | None = None
        self._before = record.accounted
        self._left = False
        with _guard:
            self._count_keys()
        self._start = clock.monotonic()

    def _count_keys(self) -> None:
        """Of keys that can be gone through once only, their number is known afterwards."""
        if self.name not in ("get_many", "aget_many"):
            return
        keys = self.args[0] if self.args else self.kwargs.get("keys", ())
        if in_classes(type(keys), "__next__") is MISSING:
            return
        self.keys = _Counted(keys)
        if self.args:
            self.args = (self.keys, *self.args[1:])
        else:
            self.kwargs = {**self.kwargs, "keys": self.keys}

    def enter(self) -> None:
        """Calls that are made from now on are a part of this one."""
        _outermost.set(self)

    def leave(self) -> None:
        """It has returned, or has not."""
        _outermost.set(None)
        if self._left:
            return
        self._left = True
        with _guard:
            took = clock.monotonic() - self._start
            record = self.record
            record.cache_time += own_time(record, took, self._before)
            counts = NOTHING if self.result is _NONE else METHODS[self.name](self)
            _count(record, counts)
            record.note(self._start, took, "cache", self.name)


class _Counted:
    """An iterator that counts what it gives."""

    def __init__(self, keys: Any) -> None:
        self._keys = keys
        self.count = 0

    def __iter__(self) -> _Counted:
        return self

    def __next__(self) -> Any:
        found = next(self._keys)
        self.count += 1
        return found


def _count(record: Record, counts: Counts) -> None:
    cache = record.cache
    if cache is None:
        cache = record.cache = {"cache_hits": 0, "cache_misses": 0, "cache_sets": 0}
    hits, misses, sets = counts
    cache["cache_hits"] += hits
    cache["cache_misses"] += misses
    cache["cache_sets"] += sets


def _argument(call: _Call, name: str, at: int, otherwise: Any = None) -> Any:
    return call.args[at] if len(call.args) > at else call.kwargs.get(name, otherwise)


def _get(call: _Call) -> Counts:
    return (0, 1, 0) if call.result is _argument(call, "default", 1) else (1, 0, 0)


def _get_many(call: _Call) -> Counts:
    keys = _argument(call, "keys", 0, ())
    found = len(call.result)
    asked = call.keys.count if call.keys is not None else len(keys)
    return found, max(asked - found, 0), 0


def _get_or_set(call: _Call) -> Counts:
    """What it did is told by the methods that it called; a backend's own way is not known."""
    inside = [each.removeprefix("a") if each != "add" else each for each in call.inside]
    if "add" in inside or "set" in inside:
        return 0, 1, 1
    return (1, 0, 0) if "get" in inside else NOTHING


def _set(call: _Call) -> Counts:
    return 0, 0, 1


def _set_many(call: _Call) -> Counts:
    return 0, 0, len(_argument(call, "data", 0, ()))


def _neither(call: _Call) -> Counts:
    return NOTHING


# The outermost call counts: Django's base class builds ``get_many`` and ``incr`` on ``get``, other
# backends do not; a subclass calls its parent's method. Those that wait in an event loop are of
# these names with an "a" before.
_SYNC: dict[str, Callable[[_Call], Counts]] = {
    "get": _get,
    "get_many": _get_many,
    "get_or_set": _get_or_set,
    "set": _set,
    "set_many": _set_many,
    "add": _set,
    "delete": _neither,
    "touch": _neither,
    "incr": _neither,
    "clear": _neither,
    "delete_many": _neither,
}
METHODS = {**_SYNC, **{f"a{name}": counts for name, counts in _SYNC.items()}}


def describe(record: Record, event: dict[str, Any]) -> None:
    """Hits, misses, sets and time, when a cache was used."""
    if record.cache is not None:
        event.update(record.cache)
        event["cache_time"] = record.cache_time
