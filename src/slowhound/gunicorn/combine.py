"""Runs slowhound's hooks beside those of the same names that ``gunicorn.conf.py`` defines.

A config file that defines ``post_request`` below the star import would replace slowhound's.
Gunicorn reads the file again on HUP, of which version 23 does not inform the logger, so the one
reliable moment is the arbiter's own ``setup``, which follows each reading.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from slowhound.gunicorn import arbiter, children, hooks, silent_workers
from slowhound.runtime.clocks import clock
from slowhound.runtime.library_names import find, patch
from slowhound.system.guard import guard

# Before the application's own hook, so that the record exists when that runs.
OURS_FIRST = ("pre_fork", "post_worker_init", "pre_request")
# After it, so that what it adds to the context is in the event.
OURS_LAST = ("post_request", "worker_exit", "child_exit", "on_exit")
SETUP = "gunicorn.arbiter.Arbiter.setup"
MURDER = "gunicorn.arbiter.Arbiter.murder_workers"
KILL = "gunicorn.arbiter.Arbiter.kill_worker"
# What follows where the arbiter lacks these methods.
SILENT = "unresponsive workers are reported by their peers only"
SHUTDOWN = "a worker that is stopped counts as killed by a signal"


def combine_always() -> None:
    """Has the arbiter combine the hooks each time it has read its configuration."""
    original = find(SETUP, "hooks of your own may replace slowhound's")
    if getattr(original, "slowhound", False):
        return

    def setup(self: Any, *args: Any, **kwargs: Any) -> None:
        original(self, *args, **kwargs)
        with guard("hooks"):
            combine(self.cfg)

    setup.slowhound = True  # type: ignore[attr-defined]
    if original is not None:
        patch(SETUP, setup)
    _watch_silent_workers()
    _watch_signals()


def _watch_silent_workers() -> None:
    """Adds a call each second, for which there is no hook.

    The arbiter checks for workers to kill at least once a second.
    """
    murder_workers = find(MURDER, SILENT)
    if murder_workers is None:
        return
    watch = guard("gunicorn arbiter")
    last = 0.0

    def check_first(self: Any, *args: Any, **kwargs: Any) -> None:
        nonlocal last
        early = False
        if not watch.off:
            with watch:
                early = children.has_woken_arbiter(last)
                silent_workers.check(self)
        if not early:
            last = clock.monotonic()
            murder_workers(self, *args, **kwargs)

    patch(MURDER, check_first)


def _watch_signals() -> None:
    """Sees which signals the arbiter sends to its workers, for which there is no hook."""
    kill_worker = find(KILL, SHUTDOWN)
    if kill_worker is None:
        return
    watch = guard("gunicorn arbiter")

    def see_signal(self: Any, *args: Any, **kwargs: Any) -> None:
        with watch:
            pid, sig, *_ = args
            arbiter.on_signal(self, pid, sig)
        kill_worker(self, *args, **kwargs)

    patch(KILL, see_signal)


def combine(cfg: Any) -> None:
    """Combines slowhound's hooks with those of the configuration."""
    for name in OURS_FIRST + OURS_LAST:
        ours = getattr(hooks, name)
        theirs = getattr(cfg, name)
        if theirs is ours or getattr(theirs, "slowhound", False):
            continue
        pair = (ours, theirs) if name in OURS_FIRST else (theirs, ours)
        combined = _ARITY[name](*pair)
        combined.slowhound = True  # type: ignore[attr-defined]
        cfg.set(name, combined)


# Gunicorn counts the parameters of a hook, so none of these can take *args.
def _one(first: Callable[..., Any], second: Callable[..., Any]) -> Callable[..., Any]:
    def hook(worker: Any) -> None:
        try:
            first(worker)
        finally:
            second(worker)

    return hook


def _two(first: Callable[..., Any], second: Callable[..., Any]) -> Callable[..., Any]:
    def hook(worker: Any, req: Any) -> None:
        try:
            first(worker, req)
        finally:
            second(worker, req)

    return hook


def _four(first: Callable[..., Any], second: Callable[..., Any]) -> Callable[..., Any]:
    def hook(worker: Any, req: Any, environ: Any, resp: Any) -> None:
        try:
            first(worker, req, environ, resp)
        finally:
            second(worker, req, environ, resp)

    return hook


_ARITY = {
    "pre_fork": _two,
    "child_exit": _two,
    "post_worker_init": _one,
    "on_exit": _one,
    "pre_request": _two,
    "worker_exit": _two,
    "post_request": _four,
}
