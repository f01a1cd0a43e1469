"""Catches slowhound's own failures, so that the application's response stays what it was.

Each broad ``except`` of slowhound is here. On the hottest paths, where a ``with`` would cost too
much, it is written out inline and calls ``failed``. It catches ``Exception`` and never more:
Gunicorn aborts its workers with ``SystemExit``, and a guard that caught that would keep a worker
alive that the arbiter wants to end. Exceptions that were raised into slowhound from outside are
passed on, see ``runtime.foreign``.

Each part of slowhound has one guard, by name. A guard counts what it caught, logs the first of a
kind, and after ``MOST_FAILURES`` in a row switches its part off for ``OFF_FOR`` seconds. Then the
part gets one more try.
"""

from __future__ import annotations

import functools
import os
from collections.abc import Callable
from types import TracebackType
from typing import ParamSpec, Self, TypeVar

from slowhound.event.formats import printable
from slowhound.frames.frames import from_traceback, render
from slowhound.redaction.masking import message
from slowhound.redaction.plain_data import exception_text
from slowhound.runtime.clocks import clock
from slowhound.runtime.foreign import is_foreign
from slowhound.runtime.own_log import warn
from slowhound.runtime.static_lookup import name_of, origin_of, traceback_of

P = ParamSpec("P")
R = TypeVar("R")

MOST_FAILURES = 10
OFF_FOR = 60.0
# What is logged of one exception: its innermost frames, and the exceptions that led to it.
MOST_LOGGED_FRAMES, MOST_CAUSES = 40, 3

# slowhound's own tests set this, so that a bug of ours fails the test instead of being counted.
loud = os.environ.get("SLOWHOUND_LOUD") == "1"

# Exceptions of slowhound's own that were caught in this process so far.
total = 0


class Guard:
    """Catches, counts and reports the exceptions of one part; use it with ``with``.

    Args:
        part: what the part is called in a warning.
        runs_others: it calls functions of the application, which may raise anything.
    """

    def __init__(self, part: str, *, runs_others: bool = False) -> None:
        self.part = part
        self.runs_others = runs_others
        self.streak = 0
        self.off_until = 0.0
        # By ``id()``: a class may have a metaclass whose ``__hash__`` is code of the application's.
        self.seen: set[int] = set()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> bool:
        if exc is None:
            self.streak = 0
            return False
        # Not isinstance(), which reads the ``__class__`` of an exception of the application's.
        return issubclass(type(exc), Exception) and not self.failed(exc)  # type: ignore[arg-type]

    @property
    def off(self) -> bool:
        """True while the part is switched off because it kept failing."""
        return self.off_until > 0.0 and clock.monotonic() < self.off_until

    def failed(self, exc: Exception) -> bool:
        """Counts one failure; logs the first of its type; switches the part off at the limit.

        Where the guard is written out, the ``except`` clause calls this: True when the exception is
        not slowhound's, and must be raised again.
        """
        if is_foreign(exc, bare=not self.runs_others):
            return True
        self._count(exc)
        return loud

    def _count(self, exc: Exception) -> None:
        global total
        total += 1
        self.streak += 1
        if self.streak >= MOST_FAILURES:
            self.off_until = clock.monotonic() + OFF_FOR
        try:
            if id(type(exc)) not in self.seen:
                self.seen.add(id(type(exc)))
                text = "slowhound: %s failed; requests are not affected\n%s"
                warn(text, self.part, shown(exc))
            if self.streak == MOST_FAILURES:
                warn("slowhound: %s kept failing and is off for %.0f s", self.part, OFF_FOR)
        except Exception as failure:  # of a logging handler of the application's
            if is_foreign(failure, bare=False):
                raise


def shown(exc: BaseException | None) -> str:
    """An exception as a traceback shows it, with its causes, and with secrets masked.

    Neither Python's ``traceback`` nor a logger's ``exc_info`` makes it: from Python 3.11 on they
    parse source lines. In 3.11.7 a second ``ast.parse`` in the process broke a third of the
    application's (``SystemError``).
    """
    parts: list[str] = []
    while exc is not None and len(parts) < MOST_CAUSES:
        stack = from_traceback(traceback_of(exc))[-MOST_LOGGED_FRAMES:]
        parts.append(f"{render(stack)}\n{name_of(type(exc))}: {_message(exc)}")
        exc = origin_of(exc)
    return "\nCaused by:\n".join(parts)


def _message(exc: BaseException) -> str:
    return printable(message(exception_text(exc) or "(it has no text)"))


_guards: dict[str, Guard] = {}


def guard(part: str, *, runs_others: bool = False) -> Guard:
    """The guard of the part called ``part``; the same object each time."""
    found = _guards.get(part)
    if found is None:
        found = _guards.setdefault(part, Guard(part, runs_others=runs_others))
    return found


def guarded(
    part: str, *, runs_others: bool = False
) -> Callable[[Callable[P, R]], Callable[P, R | None]]:
    """Decorator: the function returns None when it fails or while its part is off."""
    this = guard(part, runs_others=runs_others)

    def decorate(function: Callable[P, R]) -> Callable[P, R | None]:
        @functools.wraps(function)
        def wrapper(*args: P.args, **kwargs: P.kwargs) -> R | None:
            if this.off_until and this.off:
                return None
            try:
                result = function(*args, **kwargs)
            except Exception as exc:
                if this.failed(exc):
                    raise
                return None
            if this.streak:
                this.streak = 0
            return result

        return wrapper

    return decorate


def reset() -> None:
    """Forgets all counts and switches every part on again (tests, and a forked child)."""
    global total
    total = 0
    for each in _guards.values():
        each.streak = 0
        each.off_until = 0.0
        each.seen.clear()
