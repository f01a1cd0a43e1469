"""Runs the hound, the one background thread of a worker.

It wakes a few times a second, checks what is in flight, and does the worker's housekeeping once a
second. Nothing is scheduled, locked or woken per request.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from typing import NamedTuple, Protocol

from slowhound.runtime.clocks import clock
from slowhound.runtime.static_lookup import name_of
from slowhound.runtime.unpatched import original
from slowhound.system.guard import Guard, guard
from slowhound.system.os_thread import OsThread

TICK = 0.25
SHORTEST_TICK = 0.01
_SHORTEST_SLEEP = 0.001
TASKS_EVERY = 1.0
READY_WITHIN = 1.0


def tick_for(shortest_threshold: float) -> float:
    """Seconds between scans: short enough to see a request begin well before its threshold."""
    return min(TICK, max(shortest_threshold / 4, SHORTEST_TICK))


class Task(NamedTuple):
    """What the hound does besides watching; ``name`` is in the name of its guard, in the log."""

    name: str
    run: Callable[[], object]
    every: int = 1  # seconds; the first time at once


class Turn(Protocol):
    """What the hound does each time it wakes, and around its sleep."""

    tick: float  # the longest sleep, in seconds

    def scan(self, now: float) -> float:
        """Does what is due; returns when it is to be called again, on the monotonic clock."""

    def asleep(self, seconds: float) -> object:
        """Called right before each sleep, of so many seconds."""

    def awake(self) -> object:
        """Called right after each sleep."""


class Hound:
    """Does a turn each tick, and ``tasks`` each second, until it is stopped."""

    def __init__(self, turn: Turn, tasks: Sequence[Task]) -> None:
        self._turn = turn
        self._tasks = tuple((guard(f"hound: {task.name}"), task) for task in tasks)
        self._seconds = 0  # how often the tasks were run
        self._sleeps = guard("hound's sleep")
        self._next_tasks = 0.0
        self._thread = OsThread(self._run)
        self._ready = original("_thread", "allocate_lock")()
        self._ready.acquire()
        self._watches = False

    def start(self) -> None:
        """Starts the thread, and waits until it watches, which is when it first sleeps."""
        self._thread.start()
        self._ready.acquire(timeout=READY_WITHIN)

    def stop(self, timeout: float = 1.0) -> None:
        """Asks the thread to end and waits for it, for ``timeout`` seconds at most."""
        self._thread.stop(timeout)

    @property
    def ident(self) -> int | None:
        """The ident of its thread, once that has started."""
        return self._thread.ident

    def alive(self) -> bool:
        """True while the thread runs."""
        return self._thread.alive()

    def _run(self, wait: Callable[[float], bool]) -> None:
        watch = guard("hound")
        pause = self._turn.tick
        while not self._sleep(wait, pause):
            now = clock.monotonic()
            pause = self._turn.tick
            with _outlive(watch):
                # Not later than the next threshold, so that a report comes when it is due.
                pause = min(pause, max(self._turn.scan(now) - clock.monotonic(), _SHORTEST_SLEEP))
            if now >= self._next_tasks:
                self._next_tasks = now + TASKS_EVERY
                self._run_tasks(_outlive)

    def _sleep(self, wait: Callable[[float], bool], seconds: float) -> bool:
        with _outlive(self._sleeps):
            self._turn.asleep(seconds)
        if not self._watches:
            self._watches = True
            self._ready.release()
        try:
            return wait(seconds)
        finally:
            with _outlive(self._sleeps):
                self._turn.awake()

    def run_tasks(self) -> None:
        """Runs each task under a guard of its own, in the thread that calls this."""
        self._run_tasks(lambda watch: watch)

    def _run_tasks(self, within: Callable[[Guard], AbstractContextManager[object]]) -> None:
        for watch, task in self._tasks:
            if self._seconds % task.every == 0 and not watch.off:
                with within(watch):
                    task.run()
        self._seconds += 1


@contextlib.contextmanager
def _outlive(part: Guard) -> Iterator[None]:
    """What would end another thread is a failure like any other here: none waits for this one."""
    try:
        with part:
            yield
    except BaseException as exc:
        if part.failed(RuntimeError(f"{name_of(type(exc))} was raised in the hound")):
            raise
