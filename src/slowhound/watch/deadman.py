"""The dead man's switch: a thread that holds the GIL writes its own stack.

While C code holds the GIL no Python thread runs, the hound included. What still works is a signal
to that one thread, whose handler, faulthandler's, writes the thread's stack from C. The kernel
sends it: each thread has a timer on its own CPU clock, which the hound sets before it sleeps and
stops when it wakes. It fires only in a thread that burned ``HOLD`` seconds of CPU while the hound
wanted to run and could not, and so sits in a call into C.

That is the rule of safety. A dump that interrupts running bytecode crashes CPython up to 3.13
(within 10 to 1,000 dumps): so no clock of the wall, which goes on while a process is stopped; no
clock of the process, which counts innocent threads; never while the hound does anything but wait,
so that a slow disk is not taken for a held GIL.
"""

from __future__ import annotations

import contextlib
import errno
import faulthandler
import os
import signal
import threading
from mmap import mmap
from typing import NamedTuple

from slowhound.losses import lost
from slowhound.selfdumps import FATAL, LENGTH, PAGE, SIGNALS, SelfDump, SelfDumps, region_at
from slowhound.watch.timers import CpuTimer, works

# A process has 30 signals to spare and an application may want some. Threads beyond this many are
# not watched; that is counted.
MOST_THREADS = 16
# Signals of this process that faulthandler handles, with their descriptors. They stay until the
# process ends: without a handler, one that is still on its way would kill it.
_registered: dict[int, int] = {}


class _Switch(NamedTuple):
    """What one thread has: the signal that makes it write, and the timer that sends that."""

    ident: int
    thread: int
    signal: int
    timer: CpuTimer


class DeadMan:
    """The switches of all threads of this process.

    ``watch`` is called by each thread that carries requests, the rest by the hound.
    """

    def __init__(self) -> None:
        self.path = ""
        self._fd = -1
        self._page: mmap | None = None
        self._cells: memoryview[int] | None = None
        self._armed = False
        self._switches: dict[int, _Switch] = {}
        self._free = _spare_signals() if works else []

    # The file

    def open(self, path: str) -> None:
        """Begins a new file of stacks at ``path``; raises OSError."""
        if not works:
            return
        flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | os.O_NOFOLLOW
        fd = os.open(path, flags, 0o600)
        os.truncate(fd, LENGTH)
        os.posix_fallocate(fd, 0, PAGE)  # real blocks: this page is stored into
        if self.path:
            self._close()
            self._remove()
        self._fd, self.path = fd, path
        self._page = mmap(fd, PAGE)
        self._cells = memoryview(self._page).cast("q")
        for switch in list(self._switches.values()):
            self._register(switch.signal)
            self._name(switch)
        self._catch_fatal_errors()

    def _close(self) -> None:
        if self._cells is not None and self._page is not None:
            self._cells.release()
            self._page.close()
            os.close(self._fd)
            self._cells = self._page = None

    def _register(self, number: int) -> None:
        """Has faulthandler write to the region of the signal in the present file."""
        fd = self._open_at(number)
        faulthandler.register(number, file=fd, all_threads=False, chain=False)
        before = _registered.get(number)
        _registered[number] = fd
        if before is not None:
            os.close(before)

    def _open_at(self, number: int) -> int:
        # A descriptor of its own, and not a dup(): each has its own position.
        fd = os.open(self.path, os.O_WRONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
        os.lseek(fd, region_at(number), os.SEEK_SET)
        return fd

    def _catch_fatal_errors(self) -> None:
        """The stack of a segmentation fault goes into the file, unless somebody else wants it."""
        if FATAL in _registered:
            # Already ours: only the descriptor changes, no handler is installed anew.
            before = _registered[FATAL]
            _registered[FATAL] = fd = self._open_at(FATAL)
            faulthandler.enable(file=fd, all_threads=True)
            os.close(before)
        elif not faulthandler.is_enabled():
            self._install_fatal()

    def _install_fatal(self) -> None:
        abort = signal.getsignal(signal.SIGABRT)
        to_restore = callable(abort) or abort == signal.SIG_IGN
        if to_restore and threading.current_thread() is not threading.main_thread():
            return  # only the main thread can give the handler back
        _registered[FATAL] = fd = self._open_at(FATAL)
        faulthandler.enable(file=fd, all_threads=True)
        if to_restore:
            # Gunicorn's, for one: its SIGABRT ends a worker that timed out, in Python.
            signal.signal(signal.SIGABRT, abort)

    # The threads

    def watch(self, ident: int, thread: int) -> None:
        """Gives a thread its switch; ``thread`` is the system's id of the calling or any thread."""
        if self._cells is None or thread in self._switches:
            return
        if not self._free:
            lost("the stacks of threads that hold the GIL", "too many threads", 0)
            return
        number = self._free.pop()
        try:
            self._register(number)
            switch = _Switch(ident, thread, number, CpuTimer(thread, number))
        except OSError as exc:
            self._free.append(number)
            if exc.errno != errno.EINVAL:  # else the thread has ended meanwhile
                raise
            return
        self._name(switch)
        self._switches[thread] = switch
        if self._armed:
            switch.timer.arm()
            if not self._armed:  # the hound woke meanwhile, and may not have seen this one
                switch.timer.stop()  # type: ignore[unreachable]  # mypy knows of no other thread

    def _name(self, switch: _Switch) -> None:
        """Says in the file whose signal it is."""
        if self._cells is not None:
            self._cells[SIGNALS + switch.signal] = switch.ident
            self._cells[switch.signal] = switch.thread

    def forget_but(self, alive: set[int]) -> None:
        """Takes the switches of threads that have ended."""
        for thread in self._switches.keys() - alive:
            switch = self._switches.pop(thread)
            switch.timer.delete()
            if self._cells is not None:
                self._cells[switch.signal] = 0
            _clear(switch.signal)
            self._free.append(switch.signal)

    def arm(self) -> None:
        """The hound is about to sleep: from now on whoever keeps it from waking is caught."""
        self._armed = True
        for switch in tuple(self._switches.values()):
            switch.timer.arm()

    def disarm(self) -> None:
        """The hound is awake."""
        self._armed = False
        for switch in tuple(self._switches.values()):
            switch.timer.stop()

    # What they wrote

    def read(self, thread: int) -> SelfDump | None:
        """What the thread has written of itself since the last ``clear_all``."""
        return SelfDumps(self.path).of(thread) if self._wrote(thread) else None

    def read_all(self) -> dict[int, SelfDump]:
        """The same for all threads, by their system's ids."""
        wrote = [thread for thread in tuple(self._switches) if self._wrote(thread)]
        if not wrote:
            return {}
        dumps = SelfDumps(self.path)
        return {thread: dump for thread in wrote if (dump := dumps.of(thread)) is not None}

    def _wrote(self, thread: int) -> bool:
        switch = self._switches.get(thread)
        fd = _registered.get(switch.signal) if switch is not None else None
        if switch is None or fd is None:
            return False
        return os.lseek(fd, 0, os.SEEK_CUR) > region_at(switch.signal)

    def clear_all(self) -> None:
        """Makes room for the next dumps."""
        for switch in tuple(self._switches.values()):
            _clear(switch.signal)

    def stop(self, *, remove: bool) -> None:
        """No more signals; their handlers stay, see ``_registered``."""
        self.disarm()
        if self._cells is not None:
            for switch in self._switches.values():
                self._cells[switch.signal] = 0  # nor from a sibling
        while self._switches:
            self._switches.popitem()[1].timer.delete()
        self._close()
        if remove:
            self._remove()

    def _remove(self) -> None:
        with contextlib.suppress(OSError):
            os.unlink(self.path)


def _clear(number: int) -> None:
    """Empties the region of a signal."""
    fd = _registered.get(number)
    if fd is None:
        return
    start = region_at(number)
    end = os.lseek(fd, 0, os.SEEK_CUR)
    if end > start:
        os.lseek(fd, start, os.SEEK_SET)
        os.pwrite(fd, bytes(end - start), start)


def _spare_signals() -> list[int]:
    """Real-time signals that nobody handles, the last of them first to go."""
    last = min(signal.SIGRTMAX, SIGNALS - 1)
    numbers = range(signal.SIGRTMIN, last + 1)
    spare = [n for n in numbers if n in _registered or signal.getsignal(n) == signal.SIG_DFL]
    return spare[-MOST_THREADS:]


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
