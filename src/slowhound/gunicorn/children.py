"""Children of the arbiter that do something of ours; Gunicorn's ``waitpid(-1)`` reaps them."""

from __future__ import annotations

import contextlib
import os
import pwd
import signal
from collections.abc import Callable
from typing import Any

from slowhound.runtime.clocks import clock

STOPPING = (signal.SIGTERM, signal.SIGQUIT, signal.SIGINT)
# Seconds after which a child is no longer waited for.
TAKES = 60.0
# Gunicorn's main loop takes a second where nothing wakes it.
EARLY = 0.9


class _Children:
    """Those that this arbiter has started for us."""

    def __init__(self) -> None:
        self._left: dict[int, float] = {}  # since when
        self.last_end = 0.0

    def add(self, pid: int) -> None:
        """A new one."""
        self._left[pid] = clock.monotonic()

    def any_left(self) -> bool:
        """True while one runs, for so long as it may take."""
        now = clock.monotonic()
        for pid, since in list(self._left.items()):
            if now - since > TAKES or not os.path.exists(f"/proc/{pid}"):
                del self._left[pid]
                self.last_end = now
        return bool(self._left)


_children = _Children()


def any_left() -> bool:
    """True while a child of ours runs."""
    return _children.any_left()


def as_the_worker(cfg: Any, task: Callable[[], object]) -> None:
    """Runs ``task`` with no more rights than the workers have.

    The mailbox and the box are a worker's word: whatever they name is opened with the worker's own
    rights. An arbiter that is root does this in a child.
    """
    if os.geteuid() == cfg.user:
        task()
    else:
        in_child(cfg, task)


def in_child(cfg: Any, task: Callable[[], object]) -> None:
    """Runs ``task`` in a child with the workers' rights, and does not wait for it.

    It exits with 0, so that Gunicorn's waitpid(-1), which reaps it, says nothing: a 3 would stop
    the whole server.
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
    """As Gunicorn does it for a worker, with the settings `user`, `group` and `initgroups`."""
    if groups:
        with contextlib.suppress(KeyError):  # a number without a name has no groups
            os.initgroups(pwd.getpwuid(user).pw_name, group)
    os.setgid(group)
    os.setuid(user)


def _restore_signals() -> None:
    """In a child: Gunicorn's handlers would have it wait for workers that are not its own."""
    for number in (signal.SIGCHLD, *STOPPING):
        signal.signal(number, signal.SIG_DFL)


def has_woken_it(since: float) -> bool:
    """True when a child of ours may have woken the arbiter early, since this time (monotonic).

    Each time it wakes it kills the workers that it asked to end the time before: with a child that
    ended meanwhile 0.4 s after that instead of 1 s.
    """
    waited = clock.monotonic() - since
    return waited < EARLY and (_children.any_left() or _children.last_end > since)
