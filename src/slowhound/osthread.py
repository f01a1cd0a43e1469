"""Real threads of the operating system, also where gevent has replaced Python's.

Under monkey patching ``threading.Thread`` is a greenlet: it would not run while another greenlet
blocks, which is just when the hound has to look.
"""

from __future__ import annotations

import importlib
import signal
import sys
from collections.abc import Callable
from typing import Any


def original(module: str, name: str) -> Any:
    """The standard library's own ``module.name``, patched by gevent or not."""
    monkey = sys.modules.get("gevent.monkey")
    if monkey is not None and monkey.is_module_patched(module):
        return monkey.get_original(module, name)
    return getattr(importlib.import_module(module), name)


def is_patched() -> bool:
    """True when gevent has replaced Python's threads: each request is a greenlet then."""
    monkey = sys.modules.get("gevent.monkey")
    return monkey is not None and bool(monkey.is_module_patched("threading"))


def get_ident() -> int:
    """The ident of the OS thread that calls, which all its greenlets share."""
    ident: int = original("_thread", "get_ident")()
    return ident


class OsThread:
    """A daemon thread that runs ``function(wait)`` until it returns.

    ``wait(seconds)`` sleeps and returns True when the thread shall end.
    """

    def __init__(self, function: Callable[[Callable[[float], bool]], None]) -> None:
        self._function = function
        self._allocate = original("_thread", "allocate_lock")
        # Held until somebody says stop; held until the thread has ended.
        self._go_on = self._allocate()
        self._running = self._allocate()
        self._go_on.acquire()
        self.ident: int | None = None

    def start(self) -> None:
        """Starts it; raises RuntimeError when no thread can be had."""
        self._running.acquire()
        try:
            original("_thread", "start_new_thread")(self._run, ())
        except BaseException:
            self._running.release()
            raise

    def alive(self) -> bool:
        """True while it runs."""
        return bool(self._running.locked())

    def stop(self, timeout: float) -> None:
        """Asks it to end, and waits for that, ``timeout`` seconds at most."""
        if self._go_on.locked():
            self._go_on.release()
        if self.ident != get_ident() and self._running.acquire(timeout=timeout):
            self._running.release()

    def _wait(self, seconds: float) -> bool:
        if self._go_on.acquire(timeout=max(seconds, 0.0)):
            self._go_on.release()
            return True
        return False

    def _run(self) -> None:
        try:
            self.ident = get_ident()
            if hasattr(signal, "pthread_sigmask"):
                # Signals are the main thread's; here they would only interrupt a write.
                signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
            self._function(self._wait)
        finally:
            self._running.release()
