"""Collects local variables for a report: of the application's own frames, with secrets masked.

What Django's ``sensitive_variables`` and ``sensitive_post_parameters`` name is masked with any
``DEBUG``. How a single value is shown is in ``safe_repr``.
"""

from __future__ import annotations

import contextlib
import functools
import inspect
from collections import deque
from types import FrameType
from typing import Any

from slowhound.frames.frames import WALKED, outwards
from slowhound.redaction.mask import MASK
from slowhound.runtime.app_files import is_app
from slowhound.runtime.attributes import attribute_or
from slowhound.runtime.code_objects import file_of, name_of_code
from slowhound.runtime.library_names import find_imported, has_all
from slowhound.runtime.static_lookup import full_name, function_variables, own
from slowhound.system.guard import guard
from slowhound.watch.safe_repr import Printer

with contextlib.suppress(ImportError):
    import django.views.decorators.debug  # noqa: F401  the hound must not import it

_guard = guard("variables")
MAX_FRAMES = 50
MAX_NAMES = 50
# Characters of all variables of one stack: it is the hound that writes them.
SHOWN_VARIABLES = 100_000
MORE_THAN_FITS = "(more than fits)"


def _own_variables() -> Any:
    frame = inspect.currentframe()
    return None if frame is None else frame.f_locals


_OF_FUNCTIONS = type(_own_variables())  # a class of its own from Python 3.13 on
ALL_NAMES = "__ALL__"
WRAPPER = "sensitive_variables_wrapper"
# Where Django keeps what is declared as sensitive, which is in no documented place.
_COROUTINES = "django.views.decorators.debug.coroutine_functions_to_sensitive_variables"
_DECLARED = (
    _COROUTINES,
    "django.views.decorators.debug.sensitive_variables:sensitive_variables_wrapper",
    "django.views.decorators.debug.sensitive_variables:sensitive_variables",
    "django.views.decorators.debug.sensitive_variables:variables",
    "django.views.decorators.debug.sensitive_post_parameters:sensitive_post_parameters",
    "django.http.request.HttpRequest:_post",
)


def locals_of(frame: FrameType, request: Any) -> list[tuple[str, list[tuple[str, str]]]]:
    """``(function, [(name, shown value)])`` of the application's own frames, outermost first.

    Those of libraries hold what must never be shown: SQL parameters, the raw request.
    """
    hidden = _sensitive_parameters(request)
    stack = outwards(frame)
    # Where it is not known what is to be hidden, all is.
    all_hidden = not _knows_what_is_sensitive() or len(stack) >= WALKED
    found: deque[tuple[str, Printer | None, FrameType]] = deque(maxlen=MAX_FRAMES)
    for each in reversed(stack):
        named = _sensitive_variables(each)
        if named == ALL_NAMES:
            all_hidden = True
        elif named:
            hidden = hidden.union(named)
        if is_app(file_of(each.f_code)):
            found.append((name_of_code(each.f_code), None if all_hidden else Printer(hidden), each))
    left = SHOWN_VARIABLES
    shown = []
    for function, printer, each in reversed(found):
        variables = _shown(each, printer, left)
        left -= sum(len(value) for _, value in variables)
        shown.append((function, variables))
    return shown[::-1]


def _shown(frame: FrameType, printer: Printer | None, left: int) -> list[tuple[str, str]]:
    names = frame.f_locals
    if type(names) is not dict and type(names) is not _OF_FUNCTIONS:
        return []  # the body of a class, or exec(): a mapping of the application's own
    shown: list[tuple[str, str]] = []
    for name, value in list(names.items())[:MAX_NAMES]:
        if type(name) is not str:
            continue  # exec() takes any keys; the text of one may be the application's code
        if left <= 0:
            shown.append(("...", MORE_THAN_FITS))
            break
        text = MASK if printer is None else _text(printer, name, value)
        left -= len(text)
        shown.append((name, text))
    return shown


def _text(printer: Printer, name: str, value: Any) -> str:
    try:
        return printer.named(name, value)
    except Exception as exc:  # it costs this variable, and no other
        if _guard.failed(exc):
            raise
        return f"<{full_name(type(value))} object>"


def _sensitive_variables(frame: FrameType) -> Any:
    """What ``sensitive_variables`` names for what this frame runs: names, ``__ALL__``, or none."""
    code = frame.f_code
    if name_of_code(code) == WRAPPER:
        names = function_variables(frame)
        declared = attribute_or(names.get(WRAPPER), "sensitive_variables")
        return _names(declared) or _names(names.get("variables")) or ALL_NAMES
    if code.co_flags & inspect.CO_COROUTINE:
        coroutines: dict[int, Any] = find_imported(_COROUTINES) or {}
        declared = coroutines.get(hash(f"{file_of(code)}:{code.co_firstlineno}"))
        return ALL_NAMES if type(declared) is str else _names(declared)
    return None


@functools.cache
def _knows_what_is_sensitive() -> bool:
    return has_all(_DECLARED, "no variables are shown in reports")


def _sensitive_parameters(request: Any) -> frozenset[str]:
    """What ``sensitive_post_parameters`` names; nothing is parsed that has not been."""
    stored = own(request)
    declared = stored.get("sensitive_post_parameters")
    if type(declared) is str and declared == ALL_NAMES:
        # What has not been parsed is in no variable.
        posted: Any = stored.get("_post")
        names = list(dict.keys(posted)) if issubclass(type(posted), dict) else []
        return frozenset(name for name in names if type(name) is str)
    return frozenset(_names(declared))


def _names(declared: Any) -> tuple[str, ...]:
    """The names among what is declared, in whichever way Django keeps them."""
    if type(declared) is tuple or type(declared) is list:
        return tuple(name for name in declared if type(name) is str)
    return ()
