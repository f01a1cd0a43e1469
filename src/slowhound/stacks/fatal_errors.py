"""Has faulthandler write the stacks of a fatal error beside the box, and reads them.

When a process dies of a segmentation fault or similar, faulthandler writes the stacks of its
threads to ``DIR/boxes/<pid>-<ns>.stacks``, from C, as the last thing that happens in it. Until then
nothing is written, and no other signal is handled.
"""

from __future__ import annotations

import contextlib
import faulthandler
import os
import signal
import threading
import weakref

from slowhound.blackbox.reader import STACKS_SUFFIX, beside
from slowhound.frames.frames import TakenStack, from_faulthandler
from slowhound.runtime.signal_handlers import caught_signals
from slowhound.system.files import create, open_own, opened

# faulthandler writes at most 100 threads of 100 frames, some 80 bytes each.
LARGEST_STACKS = 4 * 1024**2
FATAL_SIGNALS = ("SIGSEGV", "SIGBUS", "SIGFPE", "SIGILL")


# In the process itself


class _Target:
    """What faulthandler writes to.

    It keeps this object for as long as it is enabled with it: a weak reference to it tells whether
    faulthandler is still ours, or was enabled again by the application.
    """

    def __init__(self, fd: int) -> None:
        self.fd = fd

    def __del__(self) -> None:
        with contextlib.suppress(OSError):
            os.close(self.fd)

    def fileno(self) -> int:
        return self.fd

    def flush(self) -> None:
        pass


_target: weakref.ref[_Target] | None = None
_path = ""  # of this process's file; also where faulthandler is the application's


def is_ours() -> bool:
    """True while faulthandler is enabled, and by slowhound."""
    return _target is not None and _target() is not None


def write_to(path: str) -> None:
    """Makes the file at ``path``, and has fatal errors written to it if nothing else handles them.

    The application's own handlers come first: an enabled faulthandler, a library's handler of
    SIGSEGV and similar signals (a Java machine needs them), a handler of SIGABRT that could not be
    given back.

    Raises:
        OSError: the file cannot be made.
    """
    global _path
    os.close(create(path))
    forget(remove=True)
    _path = path
    if _target is not None and _target() is None:
        return  # the application has enabled its own since, or disabled it
    if is_ours():
        _enable(_target_at(path))  # only the descriptor changes, no handler is installed again
        return
    abort = signal.getsignal(signal.SIGABRT)
    given_back = callable(abort) or abort == signal.SIG_IGN
    in_main = threading.current_thread() is threading.main_thread()
    # Only the main thread can give the handler of SIGABRT back.
    if faulthandler.is_enabled() or _caught(abort) or (given_back and not in_main):
        return
    _enable(_target_at(path))
    if given_back:
        # For example Gunicorn's, which ends a worker that timed out from Python.
        signal.signal(signal.SIGABRT, abort)


def forget(*, remove: bool) -> None:
    """The box beside the file is gone; with ``remove`` the file goes, too.

    The handlers stay until the process ends.
    """
    global _path
    if remove and _path:
        with contextlib.suppress(OSError):
            os.unlink(_path)
    _path = ""


def _target_at(path: str) -> _Target:
    return _Target(open_own(path, os.O_WRONLY | os.O_APPEND))


def _enable(target: _Target) -> None:
    global _target
    before = _target() if _target is not None else None  # stays open until it is replaced
    faulthandler.enable(file=target, all_threads=True)
    _target = weakref.ref(target)
    del before


def _caught(abort: object) -> bool:
    """True when one of the signals has a handler already, of Python or of a library."""
    numbers = [getattr(signal, name) for name in FATAL_SIGNALS]
    if any(signal.getsignal(number) != signal.SIG_DFL for number in numbers) or abort is None:
        return True
    if abort == signal.SIG_DFL:
        numbers.append(signal.SIGABRT)
    return not (caught_signals() or frozenset()).isdisjoint(numbers)


def _forget_after_fork() -> None:
    """A forked child must not write into its parent's file; its handlers are left alone.

    What the application has enabled since stays enabled.
    """
    global _path, _target
    _path = ""
    if is_ours():
        try:
            _enable(_Target(os.open(os.devnull, os.O_WRONLY | os.O_CLOEXEC)))
        except OSError:
            faulthandler.disable()
            _target = None


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget_after_fork)


# In a process that reads it afterwards


class FatalStacks:
    """The stacks in the file of an ended process; it may hold any bytes.

    Raises:
        OSError: the file cannot be read.
    """

    def __init__(self, path: str) -> None:
        with opened(path) as fd:
            self.taken = os.fstat(fd).st_mtime
            text = os.pread(fd, LARGEST_STACKS, 0).decode("utf-8", "replace")
        self._stacks = {
            dumped.ident: TakenStack(
                dumped.stack, self.taken, "fault" if dumped.current else "bystander"
            )
            for dumped in from_faulthandler(text)
        }

    def of(self, ident: int) -> TakenStack | None:
        """The stack of the thread that Python calls ``ident``, or None."""
        return self._stacks.get(ident)


def of_box(path: str) -> FatalStacks | None:
    """The stacks beside the box at ``path``; None when they cannot be read."""
    with contextlib.suppress(OSError):
        return FatalStacks(beside(path, STACKS_SUFFIX))
    return None
