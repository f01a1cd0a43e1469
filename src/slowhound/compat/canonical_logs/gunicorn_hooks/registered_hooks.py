"""Defines Gunicorn's hooks, which call the registered callbacks.

Gunicorn counts a hook's parameters, so each signature is written out.
"""

from __future__ import annotations

from typing import Any

from slowhound.compat.canonical_logs.gunicorn_hooks.registry import hook_registry

__all__ = [
    "child_exit",
    "nworkers_changed",
    "on_exit",
    "on_reload",
    "on_starting",
    "post_fork",
    "post_request",
    "post_worker_init",
    "pre_exec",
    "pre_fork",
    "pre_request",
    "ssl_context",
    "when_ready",
    "worker_abort",
    "worker_exit",
    "worker_int",
]


def _run(hook: str, *args: Any) -> None:
    for callback in hook_registry[hook]:
        callback(*args)


def on_starting(server: Any) -> None:
    _run("on_starting", server)


def on_reload(server: Any) -> None:
    _run("on_reload", server)


def when_ready(server: Any) -> None:
    _run("when_ready", server)


def pre_fork(server: Any, worker: Any) -> None:
    _run("pre_fork", server, worker)


def post_fork(server: Any, worker: Any) -> None:
    _run("post_fork", server, worker)


def post_worker_init(worker: Any) -> None:
    _run("post_worker_init", worker)


def worker_int(worker: Any) -> None:
    _run("worker_int", worker)


def worker_abort(worker: Any) -> None:
    _run("worker_abort", worker)


def pre_exec(server: Any) -> None:
    _run("pre_exec", server)


def pre_request(worker: Any, req: Any) -> None:
    _run("pre_request", worker, req)


def post_request(worker: Any, req: Any, environ: Any, resp: Any) -> None:
    _run("post_request", worker, req, environ, resp)


def child_exit(server: Any, worker: Any) -> None:
    _run("child_exit", server, worker)


def worker_exit(server: Any, worker: Any) -> None:
    _run("worker_exit", server, worker)


def nworkers_changed(server: Any, new_value: Any, old_value: Any) -> None:
    _run("nworkers_changed", server, new_value, old_value)


def on_exit(server: Any) -> None:
    _run("on_exit", server)


def ssl_context(config: Any, default_ssl_context_factory: Any) -> Any:
    """The context of a callback; without one the default, for Gunicorn uses what this returns."""
    result = None
    for callback in hook_registry["ssl_context"]:
        result = callback(config, default_ssl_context_factory) or result
    return result if result is not None else default_ssl_context_factory()
