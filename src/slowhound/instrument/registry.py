"""Holds the instrumenters that the application registers, and calls them."""

from __future__ import annotations

import os
from typing import Any, Protocol, TypeVar

from slowhound.core.record import Record
from slowhound.runtime.static_lookup import name_of
from slowhound.system.guard import guard


class Instrumenter(Protocol):
    """What a registered class must have."""

    def setup(self) -> None:
        """Called once in each worker process."""

    def call(self, request: Any, response: Any, environ: dict[str, Any] | None) -> None:
        """Called when a request ends, while it is still the current one."""


C = TypeVar("C", bound=type)

instrumenters: dict[str, Instrumenter] = {}
_started = False


def set_up() -> None:
    """Sets up all registered ones, and from now on each new one as it is registered."""
    global _started
    _started = True
    for one in list(instrumenters.values()):  # one may register another
        _set_up(one)


def tear_down() -> None:
    """Lets those that have a ``teardown`` undo their setup."""
    global _started
    if _started:
        _started = False
        for one in list(instrumenters.values()):  # one may register another
            teardown = getattr(one, "teardown", None)
            if teardown is not None:
                with guard(f"instrumenter {name_of(type(one))}"):
                    teardown()


def call_all(record: Record, server_objects: tuple[Any, ...]) -> None:
    """Calls each with the server's request, response and environ, or else with Django's."""
    response = record.response() if record.response is not None else None
    request, response, environ = server_objects or (record.request, response, record.environ)
    for one in list(instrumenters.values()):
        watch = guard(f"instrumenter {type(one).__name__}", runs_others=True)
        if not watch.off:
            with watch:
                one.call(request, response, environ)


def _set_up(one: Instrumenter) -> None:
    setup = getattr(one, "setup", None)  # not all have something to set up
    if setup is not None:
        with guard(f"instrumenter {name_of(type(one))}"):
            setup()


def _forget_after_fork() -> None:
    global _started
    _started = False


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget_after_fork)


def register_instrumenter(cls: C) -> C:
    """Class decorator: makes one object of the class and calls it for each request.

    The module that holds the class has to be imported by the application. Under Gunicorn
    ``call`` gets Gunicorn's request, response and environ; elsewhere Django's.
    """
    instrumenters[cls.__name__] = one = cls()
    if _started:  # its module was imported by the first request, as a URLconf is
        _set_up(one)
    return cls
