"""Counts the hits, misses and sets of a cache call, as far as they can be known.

Backends differ: Django's base class builds ``get_many`` and ``incr`` on ``get``, others have a
command for each; a subclass calls its parent's method. So the outermost call counts, and the calls
that it makes count only where its own result says nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import partial
from inspect import iscoroutinefunction
from types import FunctionType, MethodType
from typing import Any, NamedTuple, Protocol, cast

from slowhound.runtime.static_lookup import MISSING, in_classes


class Counts(NamedTuple):
    """Numbers of keys; None: not known."""

    cache_hits: int | None = 0
    cache_misses: int | None = 0
    cache_sets: int | None = 0


NO_COUNTS = Counts()
# The most frequent ones, made once.
HIT, MISS, SET = Counts(1), Counts(0, 1), Counts(0, 0, 1)
COUNTS_UNKNOWN = Counts(None, None, None)
NO_RESULT = object()  # the call has not returned
NOT_THERE = object()  # passed to ``get`` as its default
# Methods that iterate over keys, which may come from a generator of the application's.
OF_KEYS = frozenset(f"{prefix}{name}_many" for prefix in ("", "a") for name in ("get", "delete"))
OF_ONE = frozenset(("get", "aget"))
OF_DEFAULT = frozenset(("get_or_set", "aget_or_set"))
WRITES = frozenset(("add", "aadd", "set", "aset", "set_many", "aset_many"))
_VIEWS: tuple[type, ...] = (type({}.keys()), type({}.values()))
_LENGTHS: tuple[tuple[type, Callable[[Any], int]], ...] = (
    (dict, dict.__len__),
    (set, set.__len__),
    (frozenset, frozenset.__len__),
)


class CacheCall(Protocol):
    """One call of a cache's method."""

    name: str
    args: tuple[Any, ...]
    kwargs: dict[str, Any]
    result: Any
    parts: list[Any]  # calls that it has made; only for get_or_set
    keys: Keys | None  # where they can be iterated only once


class Keys:
    """An iterator's keys, counted while the backend iterates over them.

    Args:
        keys: the iterator.
        apart: called before each step, for that runs the application's code, which is no part of
            the call; returns what to call after the step.
    """

    def __init__(self, keys: Any, apart: Callable[[], Callable[[], object]]) -> None:
        self._keys = keys
        self._apart = apart
        self._seen: set[str] = set()
        self._others = 0

    def __iter__(self) -> Keys:
        return self

    def __next__(self) -> Any:
        back = self._apart()
        try:
            found = next(self._keys)
        finally:
            back()
        if type(found) is str:
            self._seen.add(found)
        else:
            self._others += 1
        return found

    @property
    def count(self) -> int:
        """The number of different keys."""
        return len(self._seen) + self._others


class Default:
    """The application's function that makes a default; what it calls is no part of the call.

    For a backend that does more than call it, such as pass it to another process, it is the
    function itself.
    """

    def __init__(self, function: Any, apart: Callable[[], Callable[[], object]]) -> None:
        self._function = function
        self._apart = apart

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        back = self._apart()
        try:
            return self._function(*args, **kwargs)
        finally:
            back()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._function, name)

    def __reduce__(self) -> tuple[Any, ...]:
        return cast, (None, self._function)  # which returns it


def set_apart(default: Any, apart: Callable[[], Callable[[], object]]) -> Any:
    """``default``, whose own calls do not count, see ``Keys``."""
    function = default
    while type(function) in (partial, MethodType):
        function = function.func if type(function) is partial else function.__func__
    if type(function) is not FunctionType:
        function = in_classes(type(function), "__call__")
    if type(function) is not FunctionType or not iscoroutinefunction(function):
        return Default(default, apart)

    async def call_later(*args: Any, **kwargs: Any) -> Any:
        back = apart()
        try:
            return await default(*args, **kwargs)
        finally:
            back()

    return call_later


def is_iterator(keys: Any) -> bool:
    """True for what can be iterated only once, so that its length is never known."""
    return in_classes(type(keys), "__next__") is not MISSING


def argument(call: CacheCall, name: str, at: int, otherwise: Any = None) -> Any:
    """An argument of the call."""
    return call.args[at] if len(call.args) > at else call.kwargs.get(name, otherwise)


def counts_of(call: CacheCall) -> Counts:
    """The counts of one call."""
    if call.name in OF_DEFAULT:
        return _get_or_set(call)
    return NO_COUNTS if call.result is NO_RESULT else METHODS[call.name](call)


def _number(things: Any) -> int | None:
    """The number of different items; None where only the application's code could count them."""
    kind = type(things)
    if kind is dict:
        return len(things)
    for known, length in _LENGTHS if kind is not list else ():
        if issubclass(kind, known):
            return length(things)
    parts: Iterable[Any]
    if issubclass(kind, list):
        parts = list.__iter__(things)
    elif issubclass(kind, tuple):
        parts = tuple.__iter__(things)
    elif kind is str or any(kind is view for view in _VIEWS):
        parts = things
    else:
        return None
    found = list(parts)
    return len(set(found)) if all(type(each) is str for each in found) else len(found)


def _get(call: CacheCall) -> Counts:
    return MISS if call.result is argument(call, "default", 1) else HIT


def _get_many(call: CacheCall) -> Counts:
    requested = _number(argument(call, "keys", 0, ())) if call.keys is None else call.keys.count
    if not issubclass(type(call.result), dict):
        return Counts(None, None)
    found = dict.__len__(call.result)
    return Counts(found, None if requested is None else max(requested - found, 0))


def _has_key(call: CacheCall) -> Counts:
    if type(call.result) is not bool:
        return Counts(None, None)
    return HIT if call.result else MISS


def _get_or_set(call: CacheCall) -> Counts:
    """One hit or one miss, known from the methods that it has called, if there were any."""
    found = [(part.name, counts_of(part)) for part in call.parts]
    sets = int(any(each.cache_sets for _, each in found))
    missed = False
    for name, each in found:
        if each.cache_hits:  # in one of several caches, it may be
            return Counts(1, 0, sets)
        missed = missed or bool(each.cache_misses or each.cache_sets)
        if missed and name in WRITES:
            break  # now it reads what was just written
    if missed:
        return Counts(0, 1, sets)
    return NO_COUNTS if call.result is NO_RESULT else COUNTS_UNKNOWN


def _set(call: CacheCall) -> Counts:
    """A call that returns False has not written: ``add``, or ``nx`` of a Redis backend."""
    return NO_COUNTS if call.result is False or _expires_at_once(call, 2) else SET


def _expires_at_once(call: CacheCall, at: int) -> bool:
    """True for a timeout of 0 or less, with which Django's backends store nothing."""
    timeout = argument(call, "timeout", at)
    for kind in (int, float):
        if issubclass(type(timeout), kind):
            return kind.__le__(timeout, 0) is True
    return False


def _set_many(call: CacheCall) -> Counts:
    if _expires_at_once(call, 1):
        return NO_COUNTS
    number = _number(argument(call, "data", 0, ()))
    if number is None:
        return Counts(0, 0, None)
    failed = list.__len__(call.result) if issubclass(type(call.result), list) else 0
    return Counts(0, 0, max(number - failed, 0))


def _neither(call: CacheCall) -> Counts:
    return NO_COUNTS


# The async methods have these names with an "a" in front.
_SYNC: dict[str, Callable[[Any], Counts]] = {
    "get": _get,
    "get_many": _get_many,
    "get_or_set": _get_or_set,
    "has_key": _has_key,
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
