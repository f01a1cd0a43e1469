"""Cache calls, by wrapping the methods of the backends' classes.

Django has no signal for caches. The classes are wrapped, not the objects: a copy of a cache, or a
test's patch of a class, behaves as it would without slowhound.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from contextvars import ContextVar
from functools import partial, wraps
from inspect import iscoroutinefunction
from types import FunctionType
from typing import Any

from django.conf import settings
from django.utils.module_loading import import_string

from slowhound.core.in_flight import current_record, unfinished
from slowhound.core.record import Record
from slowhound.instrument.cache_counts import (
    METHODS,
    NO_RESULT,
    NOT_THERE,
    NOTHING,
    OF_DEFAULT,
    OF_KEYS,
    OF_ONE,
    Counts,
    Keys,
    argument,
    counts_of,
    is_iterator,
    set_apart,
)
from slowhound.instrument.clock import own_time
from slowhound.runtime.clocks import clock
from slowhound.runtime.code_objects import file_of
from slowhound.runtime.static_lookup import in_classes, own, owner_of
from slowhound.system.guard import guard

# What is written there hands the default of ``get`` back, and does nothing else with it.
DJANGOS = "django.core.cache.backends."

_guard = guard("cache instrumenter")
# (class, name of the method) -> the class's own function, and ours.
_wrapped: dict[tuple[type, str], tuple[FunctionType, Callable[..., Any]]] = {}
# Of Django's own backends those of these methods that are as Django has written them: an
# application may have put others in their place. With what ``get`` is, which ``aget`` calls.
_plain: dict[type, tuple[frozenset[str], object]] = {}
# The call that is under way in this context, which makes others.
_outermost: ContextVar[_Call | None] = ContextVar("slowhound_cache_call", default=None)


def install() -> None:
    """Wraps the backends that the settings name."""
    wrap_backends()


def wrap_backends() -> None:
    """The same again when a test has overridden ``CACHES``; all are undone by ``uninstall``."""
    for cache in settings.CACHES.values():
        with _guard:  # a backend whose library is missing fails for the application, later
            _wrap(import_string(cache["BACKEND"]))


def uninstall() -> None:
    """Puts the classes' own methods back, where nobody else has patched them since."""
    while _wrapped:
        (cls, name), (theirs, ours) = _wrapped.popitem()
        if cls.__dict__.get(name) is ours:
            setattr(cls, name, theirs)
    _plain.clear()


def _wrap(backend: type) -> None:
    for cls in backend.__mro__[:-1]:
        for name in METHODS:
            theirs = cls.__dict__.get(name)
            if type(theirs) is FunctionType and (cls, name) not in _wrapped:
                ours = _observed(theirs, name)
                _wrapped[cls, name] = (theirs, ours)
                setattr(cls, name, ours)
    if backend.__module__.startswith(DJANGOS):
        names = frozenset(name for name in OF_ONE if _is_djangos(backend, name))
        _plain[backend] = names if "get" in names else frozenset(), in_classes(backend, "get")


def _is_djangos(backend: type, name: str) -> bool:
    """By the code: a wrapper of another's may have the name and the module of what it wraps."""
    function = in_classes(backend, name)
    owner = owner_of(backend, name)
    if owner is not None and (owner, name) in _wrapped:
        theirs, ours = _wrapped[owner, name]
        function = theirs if function is ours else function
    if type(function) is not FunctionType:
        return False
    module = dict.get(function.__globals__, "__name__")
    if type(module) is not str or not module.startswith(DJANGOS):
        return False
    return file_of(function.__code__).endswith(f"{module.replace('.', os.sep)}.py")


def _hands_default_back(backend: Any, name: str) -> bool:
    """Django's ``aget`` calls the ``get`` of the object, which may have been replaced since."""
    names, get = _plain.get(type(backend), (frozenset[str](), None))
    if name not in names:
        return False
    return name == "get" or ("get" not in own(backend) and in_classes(type(backend), "get") is get)


def _observed(method: Callable[..., Any], name: str) -> Callable[..., Any]:
    if iscoroutinefunction(method):

        @wraps(method)
        async def call_later(self: Any, *args: Any, **kwargs: Any) -> Any:
            seen = _begin(name, self, args, kwargs)
            if seen is None:
                return await method(self, *args, **kwargs)
            try:
                seen.enter()
                seen.result = await method(self, *seen.args, **seen.kwargs)
                seen.leave()
            except BaseException:
                seen.leave()
                raise
            return seen.answer()

        return call_later

    @wraps(method)
    def call(self: Any, *args: Any, **kwargs: Any) -> Any:
        seen = _begin(name, self, args, kwargs)
        if seen is None:
            return method(self, *args, **kwargs)
        try:
            seen.enter()
            seen.result = method(self, *seen.args, **seen.kwargs)
            seen.leave()
        except BaseException:
            seen.leave()
            raise
        return seen.answer()

    return call


def _begin(name: str, backend: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> _Call | None:
    """The call, within a request, if it is one that is looked at.

    The outermost one counts, and what those call in turn whose result says nothing.
    """
    around = _outermost.get()
    if around is not None and not around.left:
        if around.name not in OF_DEFAULT:
            return None
        return _Call(around.record, name, args, kwargs, part=True)
    record = unfinished(current_record.get())
    if record is None:
        return None
    call = _Call(record, name, args, kwargs, part=False)
    if name in OF_ONE and _hands_default_back(backend, name):
        call.tell_apart()
    return call


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
        self._default: Any = None
        self._before = record.accounted
        if name in OF_KEYS:
            with _guard:
                self._count_keys()
        elif name in OF_DEFAULT:
            with _guard:
                self._leave_for_default()
        self._start = clock.monotonic()

    def _count_keys(self) -> None:
        """Of keys that can be gone through once only, their number is known afterwards."""
        keys = argument(self, "keys", 0)
        if not is_iterator(keys):
            return
        self.keys = Keys(keys, self._apart)
        self._give("keys", 0, self.keys)

    def _leave_for_default(self) -> None:
        """What the application's function asks the cache for is its own."""
        default = argument(self, "default", 1)
        if callable(default):
            self._give("default", 1, set_apart(default, self._apart))

    def tell_apart(self) -> None:
        """Of a cached value that is the default as well: 0, False, None."""
        self._default = argument(self, "default", 1)
        self._give("default", 1, NOT_THERE)

    def answer(self) -> Any:
        """What the application gets."""
        return self._default if self.result is NOT_THERE else self.result

    def _give(self, name: str, at: int, value: Any) -> None:
        """Calls the method with this argument."""
        if len(self.args) > at:
            self.args = (*self.args[:at], value, *self.args[at + 1 :])
        else:
            self.kwargs = {**self.kwargs, name: value}

    def _apart(self) -> Callable[[], object]:
        """What the application does from now on is no part of this, until the result is called.

        Nor of a call that has made this one, as a backend's that calls Django's method.
        """
        outermost = self
        while outermost._part and outermost._around is not None:
            outermost = outermost._around
        inner = _outermost.get()
        _outermost.set(outermost._around)
        return partial(_outermost.set, inner)

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
