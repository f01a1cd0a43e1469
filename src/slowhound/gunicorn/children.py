"""Runs work of slowhound's in children of the arbiter; Gunicorn's ``waitpid(-1)`` reaps them."""

from __future__ import annotations

import contextlib
import os
import pwd
import signal
from collections.abc import Callable
from typing import Any

from slowhound.runtime.clocks import clock

STOPPING = (signal.SIGTERM, signal.SIGQUIT, signal.SIGINT)
# Seconds after which a child counts as ended.
LONGEST_CHILD = 60.0
# Gunicorn's main loop sleeps for a second where nothing wakes it; less than this was cut short.
WHOLE_PASS = 0.9


class _Children:
    """The children that slowhound has started in this arbiter."""

    def __init__(self) -> None:
        self._started: dict[int, float] = {}  # when each began, by its process id
        self.last_end = 0.0

    def add(self, pid: int) -> None:
        """Adds a new child."""
        self._started[pid] = clock.monotonic()

    def any_running(self) -> bool:
        """True while one runs, for at most ``LONGEST_CHILD`` seconds."""
        now = clock.monotonic()
        for pid, since in list(self._started.items()):
            if now - since > LONGEST_CHILD or not os.path.exists(f"/proc/{pid}"):
                del self._started[pid]
                self.last_end = now
        return bool(self._started)


_children = _Children()


def any_running() -> bool:
    """True while a child of slowhound's runs."""
    return _children.any_running()


def as_the_worker(cfg: Any, task: Callable[[], object]) -> None:
    """Runs ``task`` with no more rights than the workers have.

    The mailbox and the box contain what a worker has written: whatever path they name is opened
    with the worker's own rights. An arbiter that is root does this in a child.
    """
    if os.geteuid() == cfg.user:
        task()
    else:
        in_child(cfg, task)


def in_child(cfg: Any, task: Callable[[], object]) -> None:
    """Runs ``task`` in a child with the workers' rights, and does not wait for it.

    The child exits with 0, so that Gunicorn, whose ``waitpid(-1)`` reaps it, ignores it: a 3 would
    stop the whole server.
    """
    pid = os.fork()
    if pid:
        _children.add(pid)
        return
    try:
        _restore_signals()
        if os.geteuid() != cfg.user:
            _become(cfg.user, cfg.group, groups=cfg.initgroups)
        task()
    finally:
        os._exit(0)


def _become(user: int, group: int, *, groups: bool) -> None:
    """Changes user and group as Gunicorn does for a worker (its `user`, `group`, `initgroups`)."""
    if groups:
        with contextlib.suppress(KeyError):  # a number without a name has no groups
            os.initgroups(pwd.getpwuid(user).pw_name, group)
    os.setgid(group)
    os.setuid(user)


def _restore_signals() -> None:
    """In a child: with Gunicorn's handlers it would wait for workers that are not its own."""
    for number in (signal.SIGCHLD, *STOPPING):
        signal.signal(number, signal.SIG_DFL)


def has_woken_arbiter(since: float) -> bool:
    """True when a child of slowhound's may have woken the arbiter early, since a monotonic time.

    Whenever the arbiter wakes, it kills the workers that it told to stop the time before. Woken by
    a child that has ended meanwhile, it would do so after 0.4 s instead of 1 s.
    """
    waited = clock.monotonic() - since
    return waited < WHOLE_PASS and (_children.any_running() or _children.last_end > since)
