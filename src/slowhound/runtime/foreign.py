"""Distinguishes slowhound's own failures from exceptions that were raised into its code.

A signal handler of the application (a time limit by SIGALRM, Celery's soft limit), an asynchronous
exception (``PyThreadState_SetAsyncExc``) and gevent's Timeout raise wherever a thread happens to
be, which may be in slowhound's code. They are not slowhound's to catch. Their traceback shows the
difference; it is read only when something was caught.
"""

from __future__ import annotations

import functools
import inspect
import signal
from collections.abc import Callable
from importlib import import_module
from itertools import pairwise
from opcode import opmap
from types import CodeType, FrameType, FunctionType, MethodType, TracebackType
from typing import Any

from slowhound.runtime.code_objects import module_of, name_of_code
from slowhound.runtime.static_lookup import (
    MISSING,
    args_of,
    function_variables,
    in_classes,
    name_of,
    traceback_of,
)


def _opcodes(*names: str) -> frozenset[int]:
    """Those of them that this Python has."""
    return frozenset(opmap[name] for name in names if name in opmap)


# CPython runs handlers and raises asynchronous exceptions where a function begins, where a loop
# jumps back, and where a call has returned. At the first two nothing else can raise; RESUME with an
# argument is where a generator resumes, into which an exception may have been thrown.
_RESUME = opmap["RESUME"]
_RESUMED_MASK = 3  # of its argument: 0 at the beginning of a function
_JUMPS_BACK = _opcodes(
    "JUMP_BACKWARD", "POP_JUMP_BACKWARD_IF_NONE", "POP_JUMP_BACKWARD_IF_NOT_NONE"
)
_RAISES = _opcodes("RAISE_VARARGS", "RERAISE")
# What gives a variable another value, or none: its number is the argument, or those of two are.
_SETS = _opcodes("STORE_FAST", "DELETE_FAST", "STORE_DEREF", "DELETE_DEREF")
_SETS_FIRST = _opcodes("STORE_FAST_LOAD_FAST", "STORE_FAST_STORE_FAST")
_SETS_BOTH = _opcodes("STORE_FAST_STORE_FAST")
_EXTENDED_ARG = opmap["EXTENDED_ARG"]
_SIGNALS = frozenset(int(each) for each in signal.valid_signals())
# The function of the module signal compares a handler with an int.
_handler_of: Callable[[int], Any] = import_module("_signal").getsignal
# What C code raises without an argument: PyErr_NoMemory, the ends of iterators, an empty queue.
_BARE = frozenset(("MemoryError", "StopIteration", "StopAsyncIteration", "Empty"))
# The innermost function of gevent's that a greenlet waits in; thrown into it, it is not ours.
_SWITCH = "_greenlet_switch"
_OURS = __name__.partition(".")[0] + "."


def is_foreign(exc: BaseException, *, bare: bool = True) -> bool:
    """True when the exception was raised from outside into what is guarded.

    To be called where it is caught, when its traceback begins with the frame that catches it.
    ``bare``: an exception that was made of a class alone, and by no ``raise``, counts as well, see
    ``_is_bare``; not to be used for functions that may raise anything.
    """
    if not issubclass(type(exc), Exception):
        return True
    handlers: set[int] | None = None
    outer: FrameType | None = None
    entry = traceback = traceback_of(exc)
    while traceback is not None:
        entry, frame = traceback, traceback.tb_frame
        if outer is not None:
            handlers = _handlers() if handlers is None else handlers
            if _interrupts(frame, outer, id(frame.f_code) in handlers):
                return True
        if _struck(exc, entry):
            return True
        outer, traceback = frame, traceback.tb_next
    return bare and entry is not None and _is_bare(exc, entry)


def _interrupts(frame: FrameType, outer: FrameType, is_registered: bool) -> bool:
    """True for a signal handler or a trace function: its argument is the frame it interrupts.

    A handler may have dropped that since, as the documentation of ``inspect`` advises (``del
    frame``). And all wrappers that a decorator makes share their code: that it is a handler's does
    not mean that this call is one.
    """
    given = _given(frame)
    if any(each is outer for each in given):
        ours = module_of(frame.f_globals).startswith(_OURS)
        # Of slowhound's own only its handlers are given a number with it.
        pairs = pairwise(given)
        return not ours or any(_may_be_number(one) and other is outer for one, other in pairs)
    changed = _changed(frame.f_code)
    return any(
        at in changed and _may_be_number(number) and (is_registered or _was_dropped(rest))
        for at, (number, rest) in enumerate(pairwise(given), 1)
    )


def _may_be_number(value: Any) -> bool:
    """True for a signal's, and for a variable that is deleted."""
    return value is MISSING or (issubclass(type(value), int) and int.__int__(value) in _SIGNALS)


def _was_dropped(value: Any) -> bool:
    """Of a variable that was given another value: where the interrupted frame may have been."""
    return value is MISSING or value is None or type(value) is FrameType


def _given(frame: FrameType) -> list[Any]:
    """The arguments that a function was called with by position; ``MISSING``: deleted since."""
    code, variables = frame.f_code, function_variables(frame)
    given = [variables.get(name, MISSING) for name in code.co_varnames[: code.co_argcount]]
    if code.co_flags & inspect.CO_VARARGS:
        at = code.co_argcount + code.co_kwonlyargcount
        rest = variables.get(code.co_varnames[at])
        given += [MISSING, MISSING] if type(rest) is not tuple or at in _set_in(code) else rest
    return given


def _changed(code: CodeType) -> set[int]:
    """Which of those, by their places, the code gives another value, or deletes."""
    count, found = code.co_argcount, _set_in(code)
    changed = {each for each in found if each < count}
    if code.co_flags & inspect.CO_VARARGS and count + code.co_kwonlyargcount in found:
        changed |= {count, count + 1}
    return changed


def _set_in(code: CodeType) -> set[int]:
    """The numbers of the variables that the code gives a value, or deletes."""
    found, extended, instructions = set[int](), 0, code.co_code
    for opcode, low in zip(instructions[::2], instructions[1::2], strict=True):
        argument = low | extended
        extended = argument << 8 if opcode == _EXTENDED_ARG else 0
        if opcode in _SETS:
            found.add(argument)
        if opcode in _SETS_FIRST:
            found.add(argument >> 4)
        if opcode in _SETS_BOTH:
            found.add(argument & 15)
    return found


def _handlers() -> set[int]:
    """The ids of the code of the application's handlers of signals, as far as they are Python's."""
    found = (_code(_handler_of(each)) for each in _SIGNALS)
    return {id(each) for each in found if each is not None}


def _code(handler: Any) -> CodeType | None:
    while (kind := type(handler)) is functools.partial or kind is MethodType:
        handler = handler.func if kind is functools.partial else handler.__func__
    if type(handler) is not FunctionType:
        handler = in_classes(type(handler), "__call__")
    return handler.__code__ if type(handler) is FunctionType else None


def _struck(exc: BaseException, at: TracebackType) -> bool:
    """True where nothing else raises: at a function's beginning, in a loop's jump, in a switch."""
    if name_of_code(at.tb_frame.f_code).endswith(_SWITCH):
        return True
    instruction, argument = _instruction(at)
    if instruction == _RESUME:
        return argument & _RESUMED_MASK == 0 and type(exc) is not RecursionError
    return instruction in _JUMPS_BACK


def _is_bare(exc: BaseException, innermost: TracebackType) -> bool:
    """True for an asynchronous exception that came at the end of a call.

    ``PyThreadState_SetAsyncExc`` is given a class, and calls it without arguments; what C code
    raises for a reason of its own has a text.
    """
    kind = type(exc)
    if name_of(kind) in _BARE or not (args_of(exc) == () or _has_a_text_of_its_own(kind)):
        return False
    instruction, _ = _instruction(innermost)
    return instruction is not None and instruction not in _RAISES


def _has_a_text_of_its_own(kind: type) -> bool:
    """True for a class that needs no arguments, and may put some into its instances.

    As RQ makes of what ends a job: such a class is an application's, and C code raises others.
    """
    makers = [in_classes(kind, name) for name in ("__init__", "__new__")]
    makers = [each.__func__ if type(each) is staticmethod else each for each in makers]
    functions = [each for each in makers if type(each) is FunctionType]
    return bool(functions) and all(_needs_only_itself(each) for each in functions)


def _needs_only_itself(function: FunctionType) -> bool:
    code = function.__code__
    without_default = code.co_argcount - len(function.__defaults__ or ())
    named = code.co_varnames[code.co_argcount :][: code.co_kwonlyargcount]
    defaults = function.__kwdefaults__ or {}
    return without_default <= 1 and all(name in defaults for name in named)


def _instruction(at: TracebackType) -> tuple[int | None, int]:
    """With its argument; None where it is not known, as in a frame that Cython has made up.

    The code of such a frame is empty, by ``PyCode_NewEmpty``, and it is never anywhere else than
    at the beginning.
    """
    code, position = at.tb_frame.f_code, at.tb_lasti
    if not (code.co_flags or code.co_names or code.co_consts):
        return None, 0
    found = code.co_code[position : position + 2] if position >= 0 else b""
    return (found[0], found[1]) if len(found) == 2 else (None, 0)
