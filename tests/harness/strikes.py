"""Raises an exception at each instruction of slowhound's code, as a signal handler could.

Instructions without a line number are left out: with these, Python ends an ``except`` and closes a
generator. It runs no signal handler there, and what a trace function raises there does harm: before
POP_EXCEPT it leaves the thread with a handled exception for good, which each later test finds in
``sys.exc_info()``; in a generator that is closed it is dropped.
"""

from __future__ import annotations

import gc
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import FrameType
from typing import Any

import slowhound

OURS = str(Path(slowhound.__file__).parent)


class Struck(TimeoutError, ValueError, LookupError, TypeError, RuntimeError):
    """As raised by an application's time limit; a subclass of what slowhound may catch."""


class StruckName(AttributeError, ValueError, LookupError, TypeError, RuntimeError):
    """The same as an AttributeError, which cannot be combined with the classes above."""


STRUCK = (Struck, StruckName)


class Striker:
    """Raises at one instruction of slowhound's code, and counts all of them.

    Args:
        at: the number of the instruction, from 1 on; 0: none.
        part: only files whose path contains this.
        kind: the exception that is raised.
    """

    def __init__(
        self, at: int = 0, part: str = "", kind: type[Struck | StruckName] = Struck
    ) -> None:
        self.at = at
        self.part = part
        self.kind = kind
        self.armed = False
        self.seen = 0
        self.where = ""
        self.outside: list[str] = []

    def trace(self, frame: FrameType, event: str, arg: Any) -> Any:
        """The function for ``sys.settrace``."""
        name = frame.f_code.co_filename
        if not name.startswith(OURS) or self.part not in name:
            return None
        frame.f_trace_opcodes = True
        return self.step

    def step(self, frame: FrameType, event: str, arg: Any) -> Any:
        """Python calls this for each instruction."""
        if event == "opcode" and self.armed and frame.f_lineno is not None:
            self.seen += 1
            if self.seen == self.at:
                self.where = f"{frame.f_code.co_qualname}:{frame.f_lineno}"
                self.outside = list(_callers(frame))
                raise self.kind
        return self.step

    def run(self, call: Callable[[], object], warm: Callable[[], object]) -> None:
        """Makes the call and raises in it; ``warm`` is the same call without that."""
        gc.disable()  # what a callback of the collector raises is dropped
        sys.settrace(self.trace)
        try:
            if sys.version_info >= (3, 12):  # code is traced from its second call on
                warm()
            self.armed = True
            call()
        finally:
            sys.settrace(None)
            gc.enable()


def _callers(frame: FrameType | None) -> Iterator[str]:
    while frame is not None:
        yield f"{Path(frame.f_code.co_filename).name}:{frame.f_code.co_name}"
        frame = frame.f_back
