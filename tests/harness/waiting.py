"""Waits for a condition with a deadline; tests never sleep for a fixed time."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")

DEADLINE = 15.0
PAUSE = 0.02


def eventually(
    check: Callable[[], T | None],
    what: str,
    *,
    deadline: float = DEADLINE,
    transcript: Callable[[], str] | None = None,
) -> T:
    """The first truthy result of `check`; after the deadline an AssertionError with `what`."""
    end = time.monotonic() + deadline
    while True:
        result = check()
        if result:
            return result
        if time.monotonic() > end:
            more = f"\n{transcript()}" if transcript else ""
            raise AssertionError(f"not within {deadline:g} s: {what}; last seen {result!r}{more}")
        time.sleep(PAUSE)
