"""Starts real threads of the operating system, also where gevent has replaced Python's.

Under monkey patching ``threading.Thread`` is a greenlet: it would not run while another greenlet
blocks, which is just when the hound has to take samples.
"""

from __future__ import annotations

import contextlib
import os
import signal
from collections.abc import Callable

from slowhound.runtime.unpatched import get_ident, original
from slowhound.system.guard import guard

# Signals caused by a thread's own instruction. Where one is blocked, the kernel kills the process
# at once, and no handler writes a stack.
FAULTS = {
    getattr(signal, name)
    for name in ("SIGSEGV", "SIGBUS", "SIGFPE", "SIGILL", "SIGTRAP", "SIGSYS", "SIGABRT")
    if hasattr(signal, name)
}


class OsThread:
    """A daemon thread that runs ``function(wait)`` until it returns.

    ``wait(seconds)`` sleeps, until ``wake`` at the longest, and returns True when the thread must
    end. A forked child has none of these threads, and ``alive`` is False there.
    """

    def __init__(self, function: Callable[[Callable[[float], bool]], None]) -> None:
        self._function = function
        allocate = original("_thread", "allocate_lock")
        # Released to wake it; held until the thread has ended.
        self._wakeup = allocate()
        self._running = allocate()
        self._wakeup.acquire()
        self._ending = False
        self._pid = 0
        self.ident: int | None = None

    def start(self) -> None:
        """Starts it; raises RuntimeError when no thread can be started."""
        self._running.acquire()
        self._pid = os.getpid()
        try:
            original("_thread", "start_new_thread")(self._run, ())
        except BaseException:
            self._running.release()
            raise

    def alive(self) -> bool:
        """True while it runs."""
        return bool(self._running.locked()) and self._pid == os.getpid()

    def wake(self) -> None:
        """Ends its present sleep, or its next one; never waits."""
        # Two threads may wake it at once; one time is enough.
        with contextlib.suppress(RuntimeError):
            self._wakeup.release()

    def stop(self, timeout: float) -> None:
        """Ends it, and waits for that, ``timeout`` seconds at most."""
        self._ending = True
        self.wake()
        if self.ident != get_ident() and self.alive() and self._running.acquire(timeout=timeout):
            self._running.release()

    def _wait(self, seconds: float) -> bool:
        if not self._ending:
            self._wakeup.acquire(timeout=max(seconds, 0.0))
        return self._ending

    def _run(self) -> None:
        try:
            self.ident = get_ident()
            if hasattr(signal, "pthread_sigmask"):
                # Signals are the main thread's; here they would only interrupt a write.
                signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals() - FAULTS)
            # Python prints what is not caught with `traceback`, which must not happen, see `guard`.
            with guard("thread"):
                self._function(self._wait)
        finally:
            self._running.release()
