"""Registers an application's functions as callbacks of the hooks whose names they have."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator, MutableSet
from enum import Enum
from typing import Any

Callback = Callable[..., Any]


class InvalidHookError(Exception):
    """The function does not have the name of a hook."""

    def __init__(self, hook_name: str) -> None:
        super().__init__(f"{hook_name} is not a valid hook")


class Hook(Enum):
    """Gunicorn's server hooks."""

    ON_STARTING = "on_starting"
    ON_RELOAD = "on_reload"
    WHEN_READY = "when_ready"
    PRE_FORK = "pre_fork"
    POST_FORK = "post_fork"
    POST_WORKER_INIT = "post_worker_init"
    WORKER_INT = "worker_int"
    WORKER_ABORT = "worker_abort"
    WOKER_ABORT = "worker_abort"  # noqa: PIE796  the predecessor's spelling, an alias
    PRE_EXEC = "pre_exec"
    PRE_REQUEST = "pre_request"
    POST_REQUEST = "post_request"
    CHILD_EXIT = "child_exit"
    WORKER_EXIT = "worker_exit"
    NWORKERS_CHANGED = "nworkers_changed"
    ON_EXIT = "on_exit"
    SSL_CONTEXT = "ssl_context"

    @classmethod
    def values(cls) -> set[str]:
        """All names."""
        return {member.value for member in cls}


class Callbacks(MutableSet[Callback]):
    """A set of callbacks that iterates in the order in which they were added."""

    def __init__(self) -> None:
        self._found: dict[Callback, None] = {}

    def __contains__(self, callback: object) -> bool:
        return callback in self._found

    def __iter__(self) -> Iterator[Callback]:
        return iter(list(self._found))  # a copy: a callback may register another

    def __len__(self) -> int:
        return len(self._found)

    def __repr__(self) -> str:
        return repr(set(self))

    def add(self, value: Callback) -> None:
        """Adds a callback, once."""
        self._found[value] = None

    def discard(self, value: Callback) -> None:
        """Removes a callback that is there."""
        self._found.pop(value, None)


class HookRegistry:
    """Callbacks by hook, each once, in the order of registration."""

    def __init__(self) -> None:
        self._registered_hooks: dict[str, Callbacks] = {}

    def __getitem__(self, key: str) -> Callbacks:
        return self._registered_hooks.setdefault(key, Callbacks())

    def register(self, *, hook: str, callback: Callback) -> None:
        """Adds a callback."""
        self[hook].add(_registered.get(callback, callback))

    def reset(self) -> None:
        """Forgets all."""
        self._registered_hooks.clear()


hook_registry = HookRegistry()
# The functions that ``register_hook`` has returned, each with the one that it was given: they count
# as the same callback.
_registered: dict[Callback, Callback] = {}


def register_hook(func: Callback | None = None, *, registry: HookRegistry = hook_registry) -> Any:
    """Decorator: the function is called for the hook of its name.

    Raises:
        InvalidHookError: there is no such hook.
    """

    def decorator(function: Callback) -> Callback:
        if function.__name__ not in Hook.values():
            raise InvalidHookError(function.__name__)
        registry.register(hook=function.__name__, callback=function)

        @functools.wraps(function)
        def wrapper(*args: Any, **kwargs: Any) -> Any:
            return function(*args, **kwargs)

        _registered[wrapper] = _registered.get(function, function)
        return wrapper

    return decorator if func is None else decorator(func)
