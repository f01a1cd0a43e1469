"""Tests of ``register_hook`` and the hooks of ``compat.canonical_logs``."""

from __future__ import annotations

import inspect
from typing import Any

import gunicorn.config
import pytest

from slowhound.compat.canonical_logs import gunicorn_hooks
from slowhound.compat.canonical_logs.gunicorn_hooks import register_hook
from slowhound.compat.canonical_logs.gunicorn_hooks.registry import (
    Hook,
    HookRegistry,
    InvalidHookError,
    hook_registry,
)

HOOKS = sorted(Hook.values())


@pytest.mark.parametrize("name", HOOKS)
def test_registered_callback_runs_with_the_hooks_arguments(name: str) -> None:
    """Each of Gunicorn's hooks calls the callbacks registered for it, once."""
    hook = getattr(gunicorn_hooks, name)
    arguments = [object() for _ in inspect.signature(hook).parameters]
    seen: list[Any] = []

    def callback(*given: Any) -> str:
        seen.append(list(given))
        return "context"

    callback.__name__ = name
    register_hook(callback)
    try:
        result = hook(*arguments)
    finally:
        hook_registry.reset()
    assert seen == [arguments]
    assert result == ("context" if name == "ssl_context" else None)


@pytest.mark.parametrize("name", HOOKS)
def test_hook_is_one_that_gunicorn_takes(name: str) -> None:
    """Gunicorn counts parameters, and accepts each hook."""
    gunicorn.config.Config().set(name, getattr(gunicorn_hooks, name))


def test_every_hook_of_gunicorn_is_there() -> None:
    """The star import brings all hooks of Gunicorn."""
    settings = gunicorn.config.make_settings()
    theirs = {name for name, each in settings.items() if each.section == "Server Hooks"}
    assert set(HOOKS) <= theirs | {"ssl_context"}
    assert set(gunicorn_hooks.__all__) == set(HOOKS)


def test_default_tls_context_is_used_without_a_callback() -> None:
    """Without a callback, the hook returns Gunicorn's default TLS context."""
    assert gunicorn_hooks.ssl_context(None, lambda: "default") == "default"


def test_function_of_another_name_is_refused() -> None:
    """A function without a hook's name is refused, for it would never run."""
    with pytest.raises(InvalidHookError, match="post_frok"):

        @register_hook
        def post_frok(server: Any, worker: Any) -> None: ...


def test_registered_function_is_wrapped_and_its_hook_compares_as_a_set() -> None:
    """The registered function is ``__wrapped__``, and a hook's callbacks compare as a set."""
    registry = HookRegistry()

    @register_hook(registry=registry)
    def when_ready() -> str:
        return "called"

    assert when_ready() == "called"
    assert registry["when_ready"] == {when_ready.__wrapped__} == registry["when_ready"]
    registry["when_ready"].discard(when_ready.__wrapped__)
    assert registry["when_ready"] == registry["on_exit"] == set()


def test_same_callback_registers_once_in_the_order_in_which_they_came() -> None:
    """A callback registers once, also by its wrapper; and a callback may register another."""
    registry, called = HookRegistry(), []

    def callback(name: str) -> Any:
        def when_ready() -> None:
            called.append(name)
            registry.register(hook="when_ready", callback=when_ready)

        return when_ready

    given = [callback(name) for name in "cab"]
    returned = [register_hook(each, registry=registry) for each in given]
    for each in [*given, *returned, register_hook(returned[0], registry=registry)]:
        register_hook(each, registry=registry)
        registry.register(hook="when_ready", callback=each)
    assert registry["when_ready"] == set(given)
    for each in registry["when_ready"]:
        each()
    assert called == ["c", "a", "b"]
