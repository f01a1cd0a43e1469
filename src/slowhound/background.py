"""Background work: ``slowhound.task``, the decorator that gives each call of a function an event.

Management commands and what ``django.tasks`` runs are recorded when the setting ``TASKS`` names
them; ``slowhound.celery`` is for Celery. Nothing is read, and Django not imported, before the first
task begins.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from functools import partial
from typing import Any, TypeVar, overload

from slowhound.lifecycle.task_records import end, new, run_recorded, start

F = TypeVar("F", bound=Callable[..., Any])


@overload
def task(function: F, /) -> F: ...
@overload
def task(*, name: str | None = None, slow_after: float | None = None) -> Callable[[F], F]: ...


def task(
    function: Any = None, /, *, name: str | None = None, slow_after: float | None = None
) -> Any:
    """Decorator: each call of the function, sync or async, gets its own event.

    Args:
        function: what is decorated; the decorator can also be used without options.
        name: ``task_name``; by default the function's dotted path.
        slow_after: seconds after which a call is reported as slow; by default it never is.

    Raises:
        TypeError: it is no function, or a generator, whose call does nothing yet.
    """
    if function is None:
        return partial(_decorate, name=name, slow_after=slow_after)
    return _decorate(function, name, slow_after)


def _decorate(function: Any, name: str | None, slow_after: float | None) -> Any:
    if isinstance(function, staticmethod | classmethod):
        return type(function)(_decorate(function.__func__, name, slow_after))
    if not callable(function):
        raise TypeError(f"slowhound.task decorates a function; {function!r} is none")
    if inspect.isgeneratorfunction(function) or inspect.isasyncgenfunction(function):
        raise TypeError(f"slowhound.task cannot decorate the generator {function!r}")
    make = partial(new, "function", name or _name(function), slow_after=slow_after)
    if _is_async(function):

        @functools.wraps(function)
        async def async_wrapper(*args: Any, **kwargs: Any) -> Any:
            record = make()
            # No ``with``: an exception raised into this from outside (a signal handler, a greenlet
            # that is killed) may strike between the end of the block and ``__exit__``.
            try:
                start(record)
                result = await function(*args, **kwargs)
                end(record)
            except BaseException as exc:
                end(record, exc)
                raise
            return result

        return async_wrapper

    @functools.wraps(function)
    def wrapper(*args: Any, **kwargs: Any) -> Any:
        return run_recorded(make(), None, partial(function, *args, **kwargs))

    return wrapper


def _is_async(function: Any) -> bool:
    # For an object that can be called, its method counts.
    return inspect.iscoroutinefunction(function) or (
        not inspect.isroutine(function) and inspect.iscoroutinefunction(type(function).__call__)
    )


def _name(function: Any) -> str:
    while isinstance(function, partial):
        function = function.func
    if not hasattr(function, "__qualname__"):
        function = type(function)
    return f"{function.__module__}.{function.__qualname__}"
