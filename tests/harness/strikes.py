"""What the handler of a signal raises, at each step of slowhound's once.

But for instructions without a line, with which Python itself ends an ``except`` and closes a
generator. It runs no handler there, and what a trace function raises does harm: before POP_EXCEPT
the thread has a handled exception for good, which each later test finds in ``sys.exc_info()``; of a
generator that is closed it goes nowhere.
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
    """As of an application's time limit; of every kind that something may be taken for."""


class StruckName(AttributeError, ValueError, LookupError, TypeError, RuntimeError):
    """The same, of the one kind that the other cannot be."""


STRUCK = (Struck, StruckName)


class Striker:
    """Raises at one instruction of slowhound's code; counts them all.

    Args:
        at: which one, from 1 on; 0: none.
        part: only in files whose path has this.
        kind: what is raised.
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
        """For ``sys.settrace``."""
        name = frame.f_code.co_filename
        if not name.startswith(OURS) or self.part not in name:
            return None
        frame.f_trace_opcodes = True
        return self.step

    def step(self, frame: FrameType, event: str, arg: Any) -> Any:
        """For each instruction."""
        if event == "opcode" and self.armed and frame.f_lineno is not None:
            self.seen += 1
            if self.seen == self.at:
                self.where = f"{frame.f_code.co_qualname}:{frame.f_lineno}"
                self.outside = list(_callers(frame))
                raise self.kind
        return self.step

    def run(self, call: Callable[[], object], warm: Callable[[], object]) -> None:
        """Calls it, and strikes; ``warm`` is a call of the same that is not struck."""
        gc.disable()  # what a callback of the collector raises goes nowhere
        sys.settrace(self.trace)
        try:
            if sys.version_info >= (3, 12):  # where code is traced from its second call on
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
