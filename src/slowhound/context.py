"""The application's own fields of an event (``Context``), and ``on_error`` for handled failures."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager
from typing import Any

from slowhound.core.in_flight import current
from slowhound.core.record import Record
from slowhound.event.fields import NAMES
from slowhound.event.formats import logfmt
from slowhound.redaction.plain_data import as_text
from slowhound.runtime.clocks import clock
from slowhound.runtime.own_log import warn
from slowhound.system.guard import guarded, shown

# An application that adds a field for each row of a table must not fill the log.
FIELDS_LIMIT = 200


class CurrentFields:
    """The application's own fields of the current request's or task's event.

    A field is called ``<namespace>_<key>``; the namespace is ``app`` unless given. Outside a
    request nothing is kept. Slowhound's own fields cannot be overwritten: a value under such a name
    is kept as ``app_<name>``.
    """

    def get(self, key: str, *, namespace: str = "app") -> Any:
        """The value set before in this request, or None.

        The namespace ``req`` also has slowhound's own ``id``, ``method`` and ``path``.
        """
        record = current()
        if record is None:
            return None
        name, space = as_text(key), as_text(namespace)
        if space == "req" and name in ("id", "method", "path"):
            return getattr(record, name)
        return (record.extras or {}).get(_name(name, space))

    def set(self, key: str, val: Any, *, namespace: str = "app") -> None:
        """Sets one field."""
        record = current()
        if record is not None:
            _set(record, _name(key, namespace), val)

    def update(self, *, context: Mapping[str, Any], namespace: str = "app") -> None:
        """Sets several fields."""
        record = current()
        if record is not None:
            for key, value in context.items():
                _set(record, _name(key, namespace), value)

    @contextmanager
    def time(self, key: str, *, namespace: str = "app") -> Generator[None]:
        """Adds the wall time of the block, in seconds, to the field ``<namespace>_<key>_time``."""
        record = current()
        start = clock.monotonic()
        try:
            yield
        finally:
            if record is not None:
                name = _name(f"{as_text(key)}_time", namespace)
                before = (record.extras or {}).get(name)
                total = before if type(before) is float else 0.0
                _set(record, name, total + clock.monotonic() - start)


def _name(key: str, namespace: str) -> str:
    name = f"{as_text(namespace)}_{as_text(key)}"
    return f"app_{name}" if name in NAMES else name


def _set(record: Record, name: str, value: Any) -> None:
    if record.extras is None:
        record.extras = {}
    if name in record.extras or len(record.extras) < FIELDS_LIMIT:
        record.extras[name] = value


Context = CurrentFields()


def on_error(
    *, return_value: Any, logger_func: Callable[[str], object] | None = None
) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Decorator: if the function fails, it returns ``return_value``, and an event is written.

    The ``partial_failure`` event has the ``req_id`` of the request and the ``exc_*`` fields. With
    ``settings.DEBUG`` the exception is raised instead, so that it is seen in development.

    Args:
        return_value: what the function returns when it fails.
        logger_func: takes the event as a line; by default it goes where canonical lines go.
    """

    def decorate(function: Callable[..., Any]) -> Callable[..., Any]:
        if inspect.iscoroutinefunction(function):

            @functools.wraps(function)
            async def async_wrapper(*args: Any, **kwargs: Any) -> Any:
                try:
                    return await function(*args, **kwargs)
                except Exception as exc:
                    if not _survive(exc, logger_func):
                        raise
                    return return_value

            return async_wrapper

        @functools.wraps(function)
        def wrapper(*args: Any, **kwargs: Any) -> Any:
            try:
                return function(*args, **kwargs)
            except Exception as exc:
                if not _survive(exc, logger_func):
                    raise
                return return_value

        return wrapper

    return decorate


def _survive(exc: Exception, logger_func: Callable[[str], object] | None) -> bool:
    """Emits the event; False when the exception should be raised."""
    from django.conf import settings

    if settings.DEBUG:
        return False
    _emit(exc, logger_func)
    return True


@guarded("on_error", runs_others=True)
def _emit(exc: Exception, logger_func: Callable[[str], object] | None) -> None:
    """Writes the ``partial_failure`` event of a failure that the request has survived."""
    # Imported here: these import Django, and Gunicorn's arbiter imports this module.
    from slowhound.instrument.exception import fields_of
    from slowhound.recorder import process

    record = current()
    event: dict[str, Any] = {
        "event_type": "partial_failure",
        "req_id": record.id if record is not None else None,
        **fields_of(exc),
    }
    if logger_func is not None:
        logger_func(logfmt(event))
        return
    active = process.get()
    if active is not None:
        active.emit(event, trace=record.trace if record is not None else None)
    else:  # a management command, say: there is no recorder, so the failure is logged
        warn("slowhound: a failure was survived outside a request\n%s", shown(exc))
