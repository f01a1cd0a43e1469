"""Hooks that an application registers by defining a function of the hook's name."""

from __future__ import annotations

from collections.abc import Callable
from enum import Enum
from typing import Any, TypeVar

F = TypeVar("F", bound=Callable[..., Any])


class InvalidHookError(Exception):
    """The function has no hook's name."""

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


class HookRegistry:
    """Callbacks by hook, each once, in the order of registration."""

    def __init__(self) -> None:
        self._registered_hooks: dict[str, dict[Callable[..., Any], None]] = {}

    def __getitem__(self, key: str) -> list[Callable[..., Any]]:
        return list(self._registered_hooks.get(key, ()))

    def register(self, *, hook: str, callback: Callable[..., Any]) -> None:
        """Adds a callback."""
        self._registered_hooks.setdefault(hook, {})[callback] = None

    def reset(self) -> None:
        """Forgets all."""
        self._registered_hooks.clear()


hook_registry = HookRegistry()


def register_hook(func: F | None = None, *, registry: HookRegistry = hook_registry) -> Any:
    """Decorator: the function is called for the hook of its name.

    Raises:
        InvalidHookError: there is no such hook.
    """

    def decorator(function: F) -> F:
        if function.__name__ not in Hook.values():
            raise InvalidHookError(function.__name__)
        registry.register(hook=function.__name__, callback=function)
        return function

    return decorator if func is None else decorator(func)
