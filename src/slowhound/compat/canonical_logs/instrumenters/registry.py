"""``instrumenter_registry`` and ``register_instrumenter``, which use slowhound's own registry."""

from __future__ import annotations

from collections import UserDict
from collections.abc import ValuesView
from typing import Any, TypeVar

from slowhound.instrument import registry as slowhound_registry
from slowhound.instrument.registry import Instrumenter

C = TypeVar("C", bound=type)


class InstrumenterRegistry(UserDict[str, Instrumenter]):
    """Instrumenters by their class's name."""

    def register(self, *, instrumenter: type) -> None:
        """Makes an instance of the class and keeps it."""
        self.data[instrumenter.__name__] = instrumenter()

    def values(self) -> ValuesView[Instrumenter]:
        """All instrumenters."""
        return self.data.values()


instrumenter_registry = InstrumenterRegistry()
# The same dict as slowhound's, so that instrumenters registered with either are called.
instrumenter_registry.data = slowhound_registry.instrumenters


def register_instrumenter(
    cls: C | None = None, *, registry: InstrumenterRegistry = instrumenter_registry
) -> Any:
    """Class decorator, with or without parentheses."""

    def decorator(each: C) -> C:
        if registry is instrumenter_registry:
            return slowhound_registry.register_instrumenter(each)
        registry.register(instrumenter=each)
        return each

    return decorator if cls is None else decorator(cls)
