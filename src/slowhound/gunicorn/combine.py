"""Two hooks of one name: slowhound's and the one that ``gunicorn.conf.py`` defines both run.

A config file that defines ``post_request`` below the star import would replace slowhound's.
Gunicorn reads the file anew on HUP, and version 23 tells the logger nothing of that, so the one
reliable moment is the arbiter's own ``setup``, which follows each reading.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from gunicorn.arbiter import Arbiter

from slowhound.guard import guard
from slowhound.gunicorn import arbiter, children, hooks, silent_workers

# Before the application's own hook: the record exists when it runs.
FIRST = ("pre_fork", "post_worker_init", "pre_request")
# After it: what it adds to the context is in the event.
LAST = ("post_request", "worker_exit", "child_exit", "on_exit")


def combine_always() -> None:
    """Makes the arbiter combine the hooks each time it has read its configuration."""
    original = Arbiter.setup
    if getattr(original, "slowhound", False):
        return

    def setup(self: Arbiter, app: Any) -> None:
        original(self, app)
        with guard("hooks"):
            combine(self.cfg)

    setup.slowhound = True  # type: ignore[attr-defined]
    Arbiter.setup = setup  # type: ignore[method-assign]
    _watch_arbiter()


def _watch_arbiter() -> None:
    """What no hook tells: a call each second, and which signals the arbiter sends to its workers.

    It looks for workers to kill at least once a second.
    """
    murder_workers, kill_worker = Arbiter.murder_workers, Arbiter.kill_worker
    watch = guard("gunicorn arbiter")
    last = 0.0

    def look_after(self: Arbiter) -> None:
        nonlocal last
        early = False
        if not watch.off:
            with watch:
                early = children.has_woken_it(last)
                silent_workers.look_after(self)
        if not early:
            last = time.monotonic()
            murder_workers(self)

    def note_signal(self: Arbiter, pid: int, sig: int) -> None:
        with watch:
            arbiter.told_to_stop(self, pid, sig)
        kill_worker(self, pid, sig)

    Arbiter.murder_workers = look_after  # type: ignore[method-assign]
    Arbiter.kill_worker = note_signal  # type: ignore[method-assign]


def combine(cfg: Any) -> None:
    """Puts slowhound's hooks beside those of the configuration."""
    for name in FIRST + LAST:
        ours = getattr(hooks, name)
        theirs = cfg.settings[name].get()
        if theirs is ours or getattr(theirs, "slowhound", False):
            continue
        pair = (ours, theirs) if name in FIRST else (theirs, ours)
        combined = _ARITY[name](*pair)
        combined.slowhound = True  # type: ignore[attr-defined]
        cfg.set(name, combined)


# Gunicorn counts the parameters of a hook, so *args will not do.
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
