"""Reads attributes, names and variables of the application's objects without running its code.

``isinstance()`` reads an object's ``__class__``, for which a lazy one evaluates itself, and
``getattr()`` calls a class's ``__getattr__``, properties and metaclass; ``==`` and ``in`` between
classes call their metaclasses. Code on the hound's thread compares ``type()`` by ``is`` or
``issubclass()``, and reads what is stored.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from types import (
    BuiltinFunctionType,
    FrameType,
    FunctionType,
    GetSetDescriptorType,
    MemberDescriptorType,
    MethodType,
    TracebackType,
)
from typing import Any

# Of the class itself: a metaclass may have properties of these names.
_name_of = vars(type)["__name__"].__get__
_qualname_of = vars(type)["__qualname__"].__get__
_module_of = vars(type)["__module__"].__get__
mro_of = vars(type)["__mro__"].__get__
dict_of = vars(type)["__dict__"].__get__
MISSING = object()

# What an exception has, whatever its own class has by these names.
args_of: Callable[[BaseException], tuple[Any, ...]]
args_of = vars(BaseException)["args"].__get__
traceback_of: Callable[[BaseException], TracebackType | None]
traceback_of = vars(BaseException)["__traceback__"].__get__
code_of: Callable[[BaseException], Any] = vars(SystemExit)["code"].__get__
cause_of: Callable[[BaseException], BaseException | None]
cause_of, _context_of, _suppresses_context = (
    vars(BaseException)[f"__{name}__"].__get__ for name in ("cause", "context", "suppress_context")
)


def name_of(kind: type) -> str:
    """The class's ``__name__``; one that is a str of the application's own is copied."""
    return str.__str__(_name_of(kind))


def full_name(kind: type) -> str:
    """``module.Class``, as the class itself has it."""
    module, name = _module_of(kind), _qualname_of(kind)
    name = str.__str__(name)  # which may be a str of the application's own
    return f"{module}.{name}" if type(module) is str else name


def name_of_callable(thing: Any) -> str | None:
    """The name of a class, a function or a method; None for other objects."""
    thing = thing.__func__ if type(thing) is MethodType else thing
    kind = type(thing)
    if issubclass(kind, type):
        return full_name(thing)
    if kind is FunctionType:
        return str.__str__(thing.__qualname__)
    return str(thing.__name__) if kind is BuiltinFunctionType else None


def in_classes(kind: type, name: str) -> Any:
    """What a class or those it inherits from have by that name; ``MISSING`` when nothing."""
    owner = owner_of(kind, name)
    return MISSING if owner is None else dict_of(owner)[name]


def owner_of(kind: type, name: str) -> type | None:
    """The class that has it; None when none does."""
    return next((each for each in mro_of(kind) if name in dict_of(each)), None)


def own(thing: Any) -> dict[str, Any]:
    """The attributes of an instance; none where its class's ``__dict__`` would run code."""
    holder = in_classes(type(thing), "__dict__")
    if issubclass(type(holder), (GetSetDescriptorType, MemberDescriptorType)):  # final ones
        names = holder.__get__(thing)
        return names if type(names) is dict else {}
    return {}


def stored(thing: Any, name: str) -> Any:
    """An attribute of an instance by its name; ``MISSING`` when it has none.

    Not by a key of the dict: a name there may be of a str subclass with an ``__eq__`` of its own.
    """
    found = ((key, value) for key, value in own(thing).copy().items() if type(key) is str)
    return next((value for key, value in found if key == name), MISSING)


def origin_of(exc: BaseException) -> BaseException | None:
    """The cause or context of an exception, as a traceback shows it."""
    found: BaseException | None = cause_of(exc)
    if found is None and not _suppresses_context(exc):
        found = _context_of(exc)
    return found


def is_success(exit_: BaseException) -> bool:
    """True for a ``SystemExit`` whose code Python takes for 0."""
    code = code_of(exit_)
    return code is None or (issubclass(type(code), int) and int.__int__(code) == 0)


def function_variables(frame: FrameType) -> Mapping[str, Any]:
    """The variables of a function; none of a class body, whose mapping is the application's."""
    return frame.f_locals if frame.f_code.co_flags & inspect.CO_OPTIMIZED else {}


def _has(thing: Any, method: str) -> bool:
    return in_classes(type(thing), method) is not MISSING
