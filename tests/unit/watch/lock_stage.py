"""Threads that hold locks and wait for them."""

from __future__ import annotations

import contextlib
import sys
import threading
from collections.abc import Callable
from typing import Any

from slowhound.system.thread_state import waiting_for
from slowhound.watch.deadlocks import Wait, waits


class Stage:
    """Threads that hold locks and wait for them until the test is over."""

    def __init__(self) -> None:
        self.over = threading.Event()
        self.threads: list[threading.Thread] = []
        self.started: dict[int, int] = {}

    def start(self, target: Callable[..., Any], *args: Any) -> int:
        """Starts a thread and returns its ident."""

        def run() -> None:
            # A deadlock ends when the test releases a lock that a with block will release, too.
            with contextlib.suppress(RuntimeError):
                target(*args)

        thread = threading.Thread(target=run, daemon=True)
        self.threads.append(thread)
        thread.start()
        assert thread.ident is not None
        self.started[thread.ident] = thread.native_id or 0
        return thread.ident

    def hold(self, lock: Any) -> int:
        """A thread that holds ``lock`` by a with block."""
        held = threading.Event()

        def holder() -> None:
            with lock:
                held.set()
                self.over.wait()

        ident = self.start(holder)
        held.wait()
        return ident

    def join(self) -> None:
        """Waits for the end of all threads."""
        for thread in self.threads:
            thread.join()

    def waits_of(self, *idents: int) -> dict[int, Wait]:
        """What is seen once these threads wait."""
        until(lambda: all(str(waiting_for(self.started[each])) == "a lock" for each in idents))
        return waits(sys._current_frames())


def until(true: Callable[[], Any]) -> None:
    """Returns when it is true; the test's own time limit ends a wait that never succeeds."""
    pause = threading.Event()
    while not true():
        pause.wait(0.002)


def enter(lock: Any) -> None:
    with lock:
        pass


def acquire(lock: Any) -> None:
    lock.acquire()
    lock.release()


def enter_second(first: Any, lock: Any) -> None:
    with first, lock:
        pass
