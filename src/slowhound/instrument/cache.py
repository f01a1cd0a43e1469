"""Sees cache calls, by wrapping the methods of the backends' classes.

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
    NO_COUNTS,
    NO_RESULT,
    NOT_THERE,
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

# Backends in there return the default of ``get``, and do nothing else with it.
DJANGO_BACKENDS = "django.core.cache.backends."

_guard = guard("cache instrumenter")
# (class, name of the method) -> the class's own function, and ours.
_wrapped: dict[tuple[type, str], tuple[FunctionType, Callable[..., Any]]] = {}
# For each of Django's own backends: those methods that are still Django's, for an application may
# have replaced them; and its ``get``, which ``aget`` calls.
_plain: dict[type, tuple[frozenset[str], object]] = {}
# The outermost call in progress in this context, which makes others.
_outermost: ContextVar[_Call | None] = ContextVar("slowhound_cache_call", default=None)


def install() -> None:
    """Wraps the backends that the settings name."""
    wrap_backends()


def wrap_backends() -> None:
    """Wraps them, also when a test has overridden ``CACHES``; ``uninstall`` undoes all of it."""
    for cache in settings.CACHES.values():
        with _guard:  # a backend whose library is missing fails for the application, later
            _wrap(import_string(cache["BACKEND"]))


def uninstall() -> None:
    """Puts the classes' own methods back, unless others have patched them since."""
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
    if backend.__module__.startswith(DJANGO_BACKENDS):
        names = frozenset(name for name in OF_ONE if _is_djangos(backend, name))
        _plain[backend] = names if "get" in names else frozenset(), in_classes(backend, "get")


def _is_djangos(backend: type, name: str) -> bool:
    """Compares the code: another's wrapper may have the name and module of what it wraps."""
    function = in_classes(backend, name)
    owner = owner_of(backend, name)
    if owner is not None and (owner, name) in _wrapped:
        theirs, ours = _wrapped[owner, name]
        function = theirs if function is ours else function
    if type(function) is not FunctionType:
        return False
    module = dict.get(function.__globals__, "__name__")
    if type(module) is not str or not module.startswith(DJANGO_BACKENDS):
        return False
    return file_of(function.__code__).endswith(f"{module.replace('.', os.sep)}.py")


def _returns_default(backend: Any, name: str) -> bool:
    """True for Django's own method; its ``aget`` calls ``get``, which must be Django's, too."""
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
    """The call, if it is made within a request and counts.

    The outermost call counts. Where its result says nothing, the calls that it makes count, too.
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
    if name in OF_ONE and _returns_default(backend, name):
        call.mark_default()
    return call


class _Call:
    """One call of a cache's method, between ``enter`` and ``leave``, which may be called twice.

    Not a ``with`` block: an exception from outside may be raised between its body and its end.

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
        """Counts keys while they are used, where they can be iterated only once."""
        keys = argument(self, "keys", 0)
        if not is_iterator(keys):
            return
        self.keys = Keys(keys, self._apart)
        self._give("keys", 0, self.keys)

    def _leave_for_default(self) -> None:
        """Calls that the application's function makes do not belong to this one."""
        default = argument(self, "default", 1)
        if callable(default):
            self._give("default", 1, set_apart(default, self._apart))

    def mark_default(self) -> None:
        """Passes a marker as the default: a cached value may equal the default (0, False, None)."""
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
        """Until the result is called, calls belong to the application and not to this call.

        Nor to the call that made this one, as in a backend that calls Django's method.
        """
        outermost = self
        while outermost._part and outermost._around is not None:
            outermost = outermost._around
        inner = _outermost.get()
        _outermost.set(outermost._around)
        return partial(_outermost.set, inner)

    def enter(self) -> None:
        """From now on calls are a part of this one."""
        _outermost.set(self)

    def leave(self) -> None:
        """The call has returned or raised."""
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
        cache = record.cache = NO_COUNTS._asdict()
    if counts is NO_COUNTS:
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
