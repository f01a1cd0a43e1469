"""Instrumenters of the application's own."""

from __future__ import annotations

from typing import Any, Protocol, TypeVar


class Instrumenter(Protocol):
    """What a registered class has to have."""

    def setup(self) -> None:
        """Called once in each worker process."""

    def call(self, request: Any, response: Any, environ: dict[str, Any] | None) -> None:
        """Called when a request ends, while it is still the current one."""


C = TypeVar("C", bound=type)

instrumenters: dict[str, Instrumenter] = {}


def register_instrumenter(cls: C) -> C:
    """Class decorator: makes one object of the class and calls it for each request.

    The module that holds the class has to be imported by the application. Under Gunicorn
    ``call`` gets Gunicorn's request, response and environ; elsewhere Django's.
    """
    instrumenters[cls.__name__] = cls()
    return cls
