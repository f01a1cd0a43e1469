"""Finds undocumented names of libraries (docs/names-of-others.md lists them).

A new version may come without one. Code that uses such a name finds it here, and does without where
it is missing.
"""

from __future__ import annotations

import inspect
import pkgutil
import sys
from collections.abc import Iterable
from types import CodeType
from typing import Any

from slowhound.runtime.foreign import is_foreign
from slowhound.runtime.own_log import warn

Errors = tuple[type[BaseException], ...]


# Missing names that have been logged. Kept in a fork: once for a server is enough.
_missing: set[str] = set()


def missing(name: str, so: str) -> None:
    """Logs once that the installed version of a library has no such name, and the consequence."""
    if name not in _missing:
        _missing.add(name)
        warn("slowhound: the installed version has no %s: %s", name, so)


def find(name: str, so: str | None = None) -> Any:
    """What a library has by this name; None, logged once, where it has nothing.

    Args:
        name: a dotted path, as ``asgiref.sync.SyncToAsync.__call__``; its module is imported where
            it is not. After a colon a word of that code: the name of a variable, an attribute or a
            function in it.
        so: the consequence, for the log; None: nothing is logged.
    """
    found = find_imported(name)
    if found is None:
        try:
            pkgutil.resolve_name(name.partition(":")[0])
        except Exception as exc:  # whatever a library does while it is imported
            if is_foreign(exc, bare=False):
                raise
        else:
            found = find_imported(name)
    if found is None and so is not None:
        missing(name, so)
    return found


def has_all(names: Iterable[str], so: str) -> bool:
    """False where a library lacks one of these; the first of them is logged."""
    return all(find(name, so) is not None for name in names)


def caught(name: str) -> Errors:
    """For ``except``: a library's exception class; ``Exception`` where it has none."""
    found = find(name)
    if isinstance(found, type) and issubclass(found, BaseException):
        return (found,)
    missing(name, "any exception is taken for it")
    return (Exception,)


def find_imported(name: str) -> Any:
    """As ``find``, but logs and imports nothing: the hound calls it, too, and must not."""
    path, _, word = name.partition(":")
    parts = path.split(".")
    ends = range(len(parts), 0, -1)
    at = next((end for end in ends if ".".join(parts[:end]) in sys.modules), 0)
    found: Any = sys.modules.get(".".join(parts[:at]))
    for part in parts[at:]:
        try:
            found = getattr(found, part, None)
        except Exception as exc:  # a module or a class may do anything there
            if is_foreign(exc, bare=False):
                raise
            return None
    return found if not word or (found is not None and _has_word(found, word)) else None


def patch(name: str, value: object) -> None:
    """Puts ``value`` in the place of what a library has by this name."""
    owner, _, attribute = name.rpartition(".")
    setattr(find_imported(owner), attribute, value)


def _has_word(thing: Any, word: str) -> bool:
    """True when the code of this function, or of this class's methods, has the word."""
    own = vars(thing) if isinstance(thing, type) else {}
    functions = [*own.values()] if isinstance(thing, type) else [thing]
    functions = [getattr(each, "fget", None) or inspect.unwrap(each) for each in functions]
    codes = [each.__code__ for each in functions if hasattr(each, "__code__")]
    for code in codes:
        # The keys of a dict that is written out are one tuple among the constants.
        keys = [key for each in code.co_consts if isinstance(each, tuple) for key in each]
        words = (*code.co_names, *code.co_varnames, *code.co_cellvars, *code.co_freevars, *keys)
        inner = [each for each in code.co_consts if isinstance(each, CodeType)]
        names = [each.co_name for each in inner]
        if word in words or word in names or word in code.co_consts:
            return True
        codes += inner
    return word in own or word in own.get("__annotations__", ())


MSGSPEC = caught("msgspec.MsgspecError")


# What msgspec raises for bytes of any origin. From 0.21 on its own errors are ValueErrors as well.
NOT_JSON: Errors = (*MSGSPEC, ValueError, RecursionError)
