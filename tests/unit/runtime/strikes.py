"""What an application's time limits raise, and busy code for them to strike."""

from __future__ import annotations

import gc
import time
from collections.abc import Callable

TIMES = 30
# Seconds in which a signal or an asynchronous exception strikes, also on a loaded machine.
STRIKES_WITHIN = 5.0


class TooLong(Exception):
    """Of an application."""


def busy() -> None:
    """Calls, loops and functions, where CPython checks for signals and other threads."""
    count = 0
    end = time.monotonic() + STRIKES_WITHIN
    while time.monotonic() < end:
        count += len(str(count))
        list(range(3))


def ring(*_: object) -> None:
    raise TooLong


def raised_by(call: Callable[[], object]) -> Exception:
    """What comes out of a call, as a guard catches it."""
    try:
        call()
    except Exception as exc:
        return exc
    raise AssertionError("nothing was raised")


def struck(limited: Callable[[], object]) -> Exception:
    """What a strike into ``busy`` raises.

    Nothing is collected meanwhile: what strikes a callback of the garbage collector (Hypothesis has
    one, say) is ignored by Python, and strikes nothing else.
    """
    gc.disable()
    try:
        return raised_by(limited)
    finally:
        gc.enable()
