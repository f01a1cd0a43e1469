"""Cache calls, by wrapping the methods of the backends' classes.

Django has no signal for caches. The classes are wrapped, not the objects: a copy of a cache, or a
test's patch of a class, behaves as it would without slowhound.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from contextvars import ContextVar
from functools import partial, wraps
from inspect import iscoroutinefunction
from types import CodeType, FrameType, FunctionType, MethodType
from typing import Any

from django.conf import settings
from django.utils.module_loading import import_string

from slowhound.clocks import clock
from slowhound.guard import guard
from slowhound.instrument.cache_counts import (
    METHODS,
    NO_RESULT,
    NOTHING,
    OF_DEFAULT,
    OF_KEYS,
    Counts,
    Keys,
    argument,
    counts_of,
    is_iterator,
)
from slowhound.instrument.clock import own_time
from slowhound.record import Record, current_record, unfinished
from slowhound.static_lookup import in_classes

# Frames between a default that is called and the method which calls it.
NEAR = 20
OF_ARGUMENTS = OF_KEYS | OF_DEFAULT

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
    """The call, within a request, if it is one that is looked at.

    The outermost one counts, and what those call in turn whose result says nothing.
    """
    around = _outermost.get()
    if around is not None and not around.left and not around.calls_back(sys._getframe(2)):
        if around.name not in OF_DEFAULT:
            return None
        return _Call(around.record, name, args, kwargs, part=True)
    record = unfinished(current_record.get())
    return None if record is None else _Call(record, name, args, kwargs, part=False)


class _Call:
    """One call of a cache's method: between ``enter`` and ``leave``, which may be called again.

    No ``with``: what is raised from outside may come between its block and its end.

    Args:
        part: it belongs to the call within which it is made.
    """

    def __init__(
        self,
        record: Record,
        name: str,
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
        *,
        part: bool,
    ) -> None:
        self.record = record
        self.name = name
        self.args = args
        self.kwargs = kwargs
        self.result: Any = NO_RESULT
        self.parts: list[_Call] = []
        self.keys: Keys | None = None
        self.left = False
        self._around = _outermost.get()
        self._part = part
        self._default: CodeType | None = None
        self._before = record.accounted
        if name in OF_ARGUMENTS:
            with _guard:
                if name in OF_KEYS:
                    self._count_keys()
                else:
                    self._default = _code_of(argument(self, "default", 1))
        self._start = clock.monotonic()

    def _count_keys(self) -> None:
        """Of keys that can be gone through once only, their number is known afterwards."""
        keys = argument(self, "keys", 0)
        if not is_iterator(keys):
            return
        self.keys = Keys(keys, self._apart)
        if self.args:
            self.args = (self.keys, *self.args[1:])
        else:
            self.kwargs = {**self.kwargs, "keys": self.keys}

    def _apart(self) -> Callable[[], object]:
        """What the application does from now on is no part of this, until the result is called."""
        inner = _outermost.get()
        _outermost.set(self._around)
        return partial(_outermost.set, inner)

    def calls_back(self, frame: FrameType | None) -> bool:
        """True for a call from within the default, which is the application's function."""
        for _ in range(NEAR if self._default is not None else 0):
            if frame is None:
                break
            if frame.f_code is self._default:
                return True
            frame = frame.f_back
        return False

    def enter(self) -> None:
        """Calls that are made from now on are a part of this one."""
        _outermost.set(self)

    def leave(self) -> None:
        """It has returned, or has not."""
        _outermost.set(self._around)
        if self.left:
            return
        self.left = True
        with _guard:
            if self._part and self._around is not None:
                self._around.parts.append(self)
                return
            took = clock.monotonic() - self._start
            record = self.record
            record.cache_time += own_time(record, took, self._before)
            _count(record, counts_of(self))
            record.note(self._start, took, "cache", self.name)


def _code_of(function: Any) -> CodeType | None:
    """What runs when this is called, if it is Python's."""
    while type(function) in (partial, MethodType):
        function = function.func if type(function) is partial else function.__func__
    if type(function) is not FunctionType:
        function = in_classes(type(function), "__call__")
    return function.__code__ if type(function) is FunctionType else None


def _count(record: Record, counts: Counts) -> None:
    cache = record.cache
    if cache is None:
        cache = record.cache = NOTHING._asdict()
    if counts is NOTHING:
        return
    hits, misses, sets = counts
    if hits and "cache_hits" in cache:
        cache["cache_hits"] += hits
    if misses and "cache_misses" in cache:
        cache["cache_misses"] += misses
    if sets and "cache_sets" in cache:
        cache["cache_sets"] += sets
    if None in counts:  # from now on these sums cannot be known
        for name, number in counts._asdict().items():
            if number is None:
                cache.pop(name, None)


def describe(record: Record, event: dict[str, Any]) -> None:
    """Hits, misses, sets and time, when a cache was used."""
    if record.cache is not None:
        event.update(record.cache)
        event["cache_time"] = record.cache_time
