"""faulthandler as the handler of signals: what makes a thread write its stack from C.

Handlers stay until the process ends: without one, a signal that is still on its way would kill it.
"""

from __future__ import annotations

import contextlib
import faulthandler
import os
import signal
import threading

from slowhound.selfdumps import FATAL, SIGNALS, region_at
from slowhound.watch.timers import works

# Signals that faulthandler handles for us, with the descriptors it writes to.
_registered: dict[int, int] = {}


def spare_signals(most: int) -> list[int]:
    """Real-time signals that nobody handles, the last of them first to go."""
    last = min(signal.SIGRTMAX, SIGNALS - 1)
    numbers = range(signal.SIGRTMIN, last + 1)
    spare = [n for n in numbers if n in _registered or signal.getsignal(n) == signal.SIG_DFL]
    return spare[-most:]


def register(number: int, path: str) -> None:
    """Has the thread that a signal is sent to write into its region of the file; raises OSError."""
    fd = _open_at(number, path)
    faulthandler.register(number, file=fd, all_threads=False, chain=False)
    _replace(number, fd)


def catch_fatal_errors(path: str) -> None:
    """The stack of a segmentation fault goes into the file, unless somebody else wants it."""
    if FATAL in _registered:
        # Already ours: only the descriptor changes, no handler is installed anew.
        fd = _open_at(FATAL, path)
        faulthandler.enable(file=fd, all_threads=True)
        _replace(FATAL, fd)
        return
    abort = signal.getsignal(signal.SIGABRT)
    to_restore = callable(abort) or abort == signal.SIG_IGN
    in_main = threading.current_thread() is threading.main_thread()
    # Only the main thread can give the handler of SIGABRT back.
    if faulthandler.is_enabled() or (to_restore and not in_main):
        return
    _registered[FATAL] = fd = _open_at(FATAL, path)
    faulthandler.enable(file=fd, all_threads=True)
    if to_restore:
        # Gunicorn's, for one: its SIGABRT ends a worker that timed out, in Python.
        signal.signal(signal.SIGABRT, abort)


def _open_at(number: int, path: str) -> int:
    # A descriptor of its own, and not a dup(): each has its own position.
    fd = os.open(path, os.O_WRONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
    os.lseek(fd, region_at(number), os.SEEK_SET)
    return fd


def _replace(number: int, fd: int) -> None:
    before = _registered.get(number)
    _registered[number] = fd
    if before is not None:
        os.close(before)


def wrote(number: int) -> bool:
    """True when something was written for this signal since the last ``clear``."""
    fd = _registered.get(number)
    return fd is not None and os.lseek(fd, 0, os.SEEK_CUR) > region_at(number)


def clear(number: int) -> None:
    """Empties the region of a signal."""
    fd = _registered.get(number)
    if fd is None:
        return
    start = region_at(number)
    end = os.lseek(fd, 0, os.SEEK_CUR)
    if end > start:
        os.lseek(fd, start, os.SEEK_SET)
        os.pwrite(fd, bytes(end - start), start)


def _disable_faulthandler() -> None:
    """Gives the signals of fatal errors back, also to handlers that came after ours."""
    faulthandler.disable()
    for fatal in ("SIGSEGV", "SIGFPE", "SIGABRT", "SIGBUS", "SIGILL"):
        handler = signal.getsignal(getattr(signal, fatal))
        if callable(handler):
            with contextlib.suppress(ValueError):  # not the main thread
                signal.signal(getattr(signal, fatal), handler)


def _forget_after_fork() -> None:
    """A forked child has none of its parent's timers; it must not write into its parent's file."""
    for number, fd in _registered.items():
        if number == FATAL:
            _disable_faulthandler()
        else:
            faulthandler.unregister(number)
        os.close(fd)
    _registered.clear()


if hasattr(os, "register_at_fork") and works:
    os.register_at_fork(after_in_child=_forget_after_fork)
