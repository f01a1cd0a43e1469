"""``EventContext``, and ``Context`` for the current request."""

from __future__ import annotations

from collections.abc import Generator, ItemsView, Mapping
from contextlib import contextmanager
from typing import Any

from slowhound import context
from slowhound.core.in_flight import current
from slowhound.runtime.clocks import clock


class EventContext:
    """Fields by namespace, in the order in which namespaces were first used."""

    DEFAULT_NAMESPACE = "app"

    def __init__(self) -> None:
        self._context: dict[str, dict[str, Any]] = {}

    def get(self, key: str, *, namespace: str = DEFAULT_NAMESPACE) -> Any:
        """The value, or None."""
        return self._context.get(namespace, {}).get(key)

    def set(self, key: str, val: Any, *, namespace: str = DEFAULT_NAMESPACE) -> None:
        """Sets one field."""
        self._context.setdefault(namespace, {})[key] = val

    @contextmanager
    def time(self, key: str, *, namespace: str = DEFAULT_NAMESPACE) -> Generator[None]:
        """Adds the wall time of the block to ``<key>_time``, as text with three decimals."""
        name = f"{key}_time"
        try:
            total = float(self.get(name, namespace=namespace))
        except (TypeError, ValueError):
            total = 0.0
        start = clock.monotonic()
        try:
            yield
        finally:
            total += clock.monotonic() - start
            self.set(name, f"{total:.3f}", namespace=namespace)

    def update(
        self,
        *,
        context: Mapping[str, Any],
        namespace: str = DEFAULT_NAMESPACE,
        beginning: bool = False,
    ) -> None:
        """Sets several fields; ``beginning`` moves the namespace before the others."""
        self._context.setdefault(namespace, {}).update(context)
        if beginning:
            self._context = {namespace: self._context.pop(namespace), **self._context}

    def raw_items(self) -> ItemsView[str, dict[str, Any]]:
        """Namespaces and their fields."""
        return self._context.items()

    def reset(self) -> None:
        """Forgets everything."""
        self._context = {}


class RequestContext(EventContext):
    """The application's own fields of the current request; they end with it."""

    def get(self, key: str, *, namespace: str = EventContext.DEFAULT_NAMESPACE) -> Any:
        """The value set before in this request, or None."""
        return context.Context.get(key, namespace=namespace)

    def set(self, key: str, val: Any, *, namespace: str = EventContext.DEFAULT_NAMESPACE) -> None:
        """Sets one field of the request's event."""
        context.Context.set(key, val, namespace=namespace)

    @contextmanager
    def time(self, key: str, *, namespace: str = EventContext.DEFAULT_NAMESPACE) -> Generator[None]:
        """Adds the wall time of the block to ``<key>_time``."""
        with context.Context.time(key, namespace=namespace):
            yield

    def update(
        self,
        *,
        context: Mapping[str, Any],
        namespace: str = EventContext.DEFAULT_NAMESPACE,
        beginning: bool = False,
    ) -> None:
        """Sets several fields of the request's event."""
        for key, value in context.items():
            self.set(key, value, namespace=namespace)

    def raw_items(self) -> ItemsView[str, dict[str, Any]]:
        """The application's own fields so far, by namespace."""
        record = current()
        found: dict[str, dict[str, Any]] = {}
        for name, value in ((record.extras if record else None) or {}).copy().items():
            namespace, _, key = name.partition("_")
            found.setdefault(namespace, {})[key] = value
        return found.items()

    def reset(self) -> None:
        """Forgets the application's fields of this request; its end does so as well."""
        record = current()
        if record is not None:
            record.extras = None


Context = RequestContext()
