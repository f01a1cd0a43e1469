"""Reads the text of an exception where ``str()`` runs none of the application's code.

It then runs Python's own ``__str__``, or a library's. What either reads has to be built-in data:
lazy texts evaluate themselves, and a class of the application's may have a property or a method for
what a library's ``__str__`` reads.
"""

from __future__ import annotations

import builtins
import sys
from collections.abc import Callable, Iterator
from types import (
    BuiltinFunctionType,
    ClassMethodDescriptorType,
    FunctionType,
    GetSetDescriptorType,
    MemberDescriptorType,
    MethodDescriptorType,
    WrapperDescriptorType,
)
from typing import Any

from slowhound.runtime.app_files import is_app
from slowhound.runtime.code_objects import file_of
from slowhound.runtime.foreign import is_foreign
from slowhound.runtime.static_lookup import dict_of, in_classes, mro_of, own, owner_of

# Limits: members of a container, characters of a text, bits of an int. Python refuses ints of 4,300
# digits, and takes long for those.
MEMBERS_LIMIT = 200
TEXT_LIMIT = 10_000
BITS = 512

Read = Callable[[BaseException], Any]

# Attributes that a ``__str__`` of Python's shows; any other one shows the arguments.
_UNICODE = ("encoding", "reason")
_SHOWN = {
    "BaseExceptionGroup": ("message",),
    "ImportError": ("args", "msg"),
    "OSError": ("args", "errno", "strerror", "filename", "filename2"),
    "SyntaxError": ("msg", "filename", "lineno"),
    "UnicodeDecodeError": _UNICODE,
    "UnicodeEncodeError": _UNICODE,
    "UnicodeTranslateError": _UNICODE,
}
# Attributes that no library's ``__str__`` uses.
_NOT_READ = frozenset(
    f"__{name}__"
    for name in (
        *("new", "init", "init_subclass", "reduce", "reduce_ex", "del", "class", "dict", "weakref"),
        *("traceback", "context", "cause", "suppress_context", "annotations", "annotate_func"),
        *("annotations_cache", "orig_bases", "parameters", "abstractmethods", "dataclass_fields"),
    )
)
_IN_C = (
    BuiltinFunctionType,
    ClassMethodDescriptorType,
    MethodDescriptorType,
    WrapperDescriptorType,
)
_STORED = (MemberDescriptorType, GetSetDescriptorType)


def _readers(kind: type) -> list[Read]:
    names = _SHOWN.get(kind.__name__, ("args",))
    owners = (BaseException if name == "args" else kind for name in names)
    return [
        vars(owner)[name].__get__
        for owner, name in zip(owners, names, strict=True)
        if name in vars(owner)
    ]


_BUILT_IN: tuple[tuple[type, list[Read]], ...] = tuple(
    (kind, _readers(kind))
    for kind in list(vars(builtins).values())
    if type(kind) is type and issubclass(kind, BaseException) and "__str__" in vars(kind)
)


def _reads(owner: type | None) -> list[Read] | None:
    """The attributes that a ``__str__`` of Python's own reads; None for others."""
    # Also of C, in the standard library. It shows less than an OSError does.
    if owner is not None and owner is getattr(sys.modules.get("_ssl"), "SSLError", None):
        owner = OSError
    return next((reads for each, reads in _BUILT_IN if each is owner), None)


def own_text(exc: BaseException) -> Any:
    """The text; None where the application's code would have to run for it."""
    kind = type(exc)
    owner, shows = owner_of(kind, "__str__"), in_classes(kind, "__str__")
    reads = _reads(owner)
    if reads is not None:
        # Python shows classes and calls none; a library may call one.
        shown = (is_harmless(read(exc), classes=True) for read in reads)
        is_safe = all(shown) and _is_whole(exc, kind)
    else:
        is_safe = _is_librarys(shows) and _reads_only_data(exc, kind)
    if not is_safe:
        return None
    try:
        return shows(exc)
    except Exception as failure:
        if is_foreign(failure):
            raise
        return None


def _is_whole(exc: BaseException, kind: type) -> bool:
    """False for an exception of which Python itself would read beyond the end."""
    if not issubclass(kind, UnicodeError):
        return True
    found, start = in_classes(kind, "object"), in_classes(kind, "start")
    if type(found) not in _STORED or type(start) not in _STORED:
        return False
    of = bytes if issubclass(kind, UnicodeDecodeError) else str
    return type(found.__get__(exc)) is of and start.__get__(exc) >= 0


def _reads_only_data(exc: BaseException, kind: type) -> bool:
    """True where the exception and its classes have only data, and code of libraries."""
    if type(kind) is not type or not is_harmless(own(exc).copy()):
        return False
    return all(
        is_harmless(value) or _is_in_c(value) or _is_librarys(value)
        for value in _attributes(exc, kind)
    )


def _attributes(exc: BaseException, kind: type) -> Iterator[Any]:
    for each in mro_of(kind):
        for name, value in dict_of(each).copy().items():
            if type(name) is str and name in _NOT_READ:
                continue
            if any(type(value) is stored for stored in _STORED):
                try:
                    yield value.__get__(exc)
                except (AttributeError, TypeError) as failure:  # it has no such value any more
                    if is_foreign(failure):
                        raise
            else:
                yield value


def _is_in_c(value: Any) -> bool:
    return any(type(value) is kind for kind in _IN_C)


def _is_librarys(function: Any) -> bool:
    """True for a function, a method or a property of a library."""
    kind = type(function)
    if kind is property:
        parts = (function.fget, function.fset, function.fdel)
        return all(each is None or _is_librarys(each) for each in parts)
    if kind is staticmethod or kind is classmethod:
        function = function.__func__
    return type(function) is FunctionType and not is_app(file_of(function.__code__))


def is_harmless(value: Any, depth: int = 3, *, classes: bool = False) -> bool:
    """True when ``str()`` of the value runs only Python's own code, and not for long.

    ``classes``: also for a class without a metaclass.
    """
    kind = type(value)
    if kind is int:
        return bool(value.bit_length() <= BITS)
    if kind is str or kind is bytes:
        return len(value) <= TEXT_LIMIT
    if kind is not dict and kind is not list and kind is not tuple:
        return value is None or kind is bool or kind is float or (classes and kind is type)
    if depth <= 0 or len(value) > MEMBERS_LIMIT:
        return False
    parts = [*value.keys(), *value.values()] if kind is dict else list(value)
    return all(is_harmless(each, depth - 1, classes=classes) for each in parts)
