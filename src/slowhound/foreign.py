"""Whose exception is it that strikes inside slowhound: its own failure, or the application's?

A signal handler of the application (a time limit by SIGALRM, Celery's soft limit), an asynchronous
exception (``PyThreadState_SetAsyncExc``) and gevent's Timeout raise wherever a thread happens to
stand, which may be in slowhound's code. They are not slowhound's to catch. What tells them from a
failure of slowhound's own is their traceback; it is read only when something was caught.
"""

from __future__ import annotations

import functools
import inspect
import signal
from opcode import opmap
from types import CodeType, FrameType, FunctionType, MethodType, TracebackType
from typing import Any

from slowhound.codes import name_of_code
from slowhound.static_lookup import function_variables, in_classes

# CPython runs handlers and raises asynchronous exceptions where a function begins, where a loop
# goes round, and where a call has returned. At the first two nothing else can raise; RESUME with an
# argument is where a generator goes on, into which an exception may have been thrown.
_RESUME, _JUMP_BACKWARD = opmap["RESUME"], opmap["JUMP_BACKWARD"]
_RESUMED_MASK = 3  # of its argument: 0 at the beginning of a function
_RAISES = frozenset(opmap[name] for name in ("RAISE_VARARGS", "RERAISE") if name in opmap)
# What C code raises without an argument: PyErr_NoMemory, the ends of iterators, an empty queue.
_BARE = frozenset(("MemoryError", "StopIteration", "StopAsyncIteration", "Empty"))
# The innermost function of gevent's that a greenlet waits in; thrown into it, it is not ours.
_SWITCH = "_greenlet_switch"
_OURS = __name__.partition(".")[0] + "."
_args_of = vars(BaseException)["args"].__get__


def is_foreign(exc: BaseException, *, bare: bool = True) -> bool:
    """True when the exception was raised from outside into what is guarded.

    To be asked where it is caught, when its traceback begins with the frame that catches it.
    ``bare``: of an exception without arguments that no ``raise`` raised that is so as well, see
    ``_is_bare``; not to be asked of functions that may raise anything.
    """
    if not issubclass(type(exc), Exception):
        return True
    handlers = _handlers()
    outer: FrameType | None = None
    entry = traceback = exc.__traceback__
    while traceback is not None:
        entry, frame = traceback, traceback.tb_frame
        if id(frame.f_code) in handlers or (outer is not None and _was_given(frame, outer)):
            return True
        if _struck(exc, entry):
            return True
        outer, traceback = frame, traceback.tb_next
    return bare and entry is not None and _is_bare(exc, entry)


def _was_given(frame: FrameType, outer: FrameType) -> bool:
    """True for the handler of a signal, or a trace function: it is given what it interrupts."""
    module = frame.f_globals.get("__name__")
    if type(module) is str and module.startswith(_OURS):
        return False
    code, variables = frame.f_code, function_variables(frame)
    count = code.co_argcount
    if code.co_flags & inspect.CO_VARARGS:
        rest = variables.get(code.co_varnames[count + code.co_kwonlyargcount], ())
        if type(rest) is tuple and any(each is outer for each in rest):
            return True
    return any(variables.get(name) is outer for name in code.co_varnames[:count])


def _handlers() -> set[int]:
    """The ids of the code of the application's handlers of signals, as far as they are Python's."""
    found = (_code(signal.getsignal(each)) for each in signal.valid_signals())
    return {id(each) for each in found if each is not None}


def _code(handler: Any) -> CodeType | None:
    while type(handler) in (functools.partial, MethodType):
        handler = handler.func if type(handler) is functools.partial else handler.__func__
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
    return instruction == _JUMP_BACKWARD


def _is_bare(exc: BaseException, innermost: TracebackType) -> bool:
    """True for an asynchronous exception that came at the end of a call.

    ``PyThreadState_SetAsyncExc`` is given a class and raises it without arguments; what C code
    raises for a reason of its own has a text.
    """
    if _args_of(exc) != () or type(exc).__name__ in _BARE:
        return False
    instruction, _ = _instruction(innermost)
    return instruction is not None and instruction not in _RAISES


def _instruction(at: TracebackType) -> tuple[int | None, int]:
    """With its argument."""
    code, position = at.tb_frame.f_code.co_code, at.tb_lasti
    return (code[position], code[position + 1]) if 0 <= position < len(code) else (None, 0)
