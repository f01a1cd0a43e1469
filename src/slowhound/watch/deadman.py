"""The dead man's switch: a thread that holds the GIL writes its own stack.

While C code holds the GIL no Python thread runs, the hound included. What still works is a signal
to that one thread, whose handler, faulthandler's, writes the thread's stack from C. The kernel
sends it: each thread has a timer on its own CPU clock, which the hound sets before it sleeps and
stops when it wakes. It fires only in a thread that burned ``HOLD`` seconds of CPU while the hound
wanted to run and could not, and so sits in a call into C. While the hound looks at stacks it wants
to run as well: the timers go on, and are set anew in between.

That is the rule of safety. A dump that interrupts running bytecode crashes CPython up to 3.13
(within 10 to 1,000 dumps): so no clock of the wall, which goes on while a process is stopped; no
clock of the process, which counts innocent threads; never while the hound reads or writes files of
a disk, which may be slow: that is no held GIL.
"""

from __future__ import annotations

import contextlib
import errno
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from mmap import mmap
from typing import NamedTuple

from slowhound.blackbox import let_go, take
from slowhound.losses import lost
from slowhound.selfdumps import LENGTH, PAGE, SIGNALS, SelfDump, SelfDumps
from slowhound.watch import handlers
from slowhound.watch.timers import HOLD, CpuTimer, works

# Seconds after which timers that run are set anew: 3 µs each, and a look takes 70.
REARM = 0.01
# A process has 30 signals to spare and an application may want some. Threads beyond this many are
# not watched; that is counted.
MOST_THREADS = 16


class _Switch(NamedTuple):
    """What one thread has: the signal that makes it write, and the timer that sends that."""

    ident: int
    thread: int
    signal: int
    timer: CpuTimer
    name: str


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
        self._armed_at = 0.0
        self._ran_out: set[int] = set()  # threads whose timer fired in the hound's last sleep
        self._switches: dict[int, _Switch] = {}
        self._free = handlers.spare_signals(MOST_THREADS) if works else []

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
            handlers.register(switch.signal, path)
            self._name(switch)
        handlers.catch_fatal_errors(path)

    def _close(self) -> None:
        if self._cells is not None and self._page is not None:
            self._cells.release()
            self._page.close()
            os.close(self._fd)
            self._cells = self._page = None

    # The threads

    def watch(self, ident: int, thread: int, name: str = "") -> None:
        """Gives a thread its switch; ``thread`` is the system's id of the calling or any thread."""
        if self._cells is None or thread in self._switches:
            return
        if not self._free:
            lost("the stacks of threads that hold the GIL", "too many threads", 0)
            return
        number = self._free.pop()
        try:
            handlers.register(number, self.path)
            switch = _Switch(ident, thread, number, CpuTimer(thread, number), name)
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
            handlers.clear(switch.signal)
            self._free.append(switch.signal)

    def arm(self) -> None:
        """The hound is about to sleep: from now on whoever keeps it from waking is caught."""
        self._armed = True
        self._armed_at = time.monotonic()
        for switch in tuple(self._switches.values()):
            switch.timer.arm()

    def disarm(self) -> None:
        """The hound is awake."""
        self._armed = False
        switches = tuple(self._switches.values())
        if self._armed_at and time.monotonic() - self._armed_at >= HOLD * 0.9:
            self._ran_out = {switch.thread for switch in switches if switch.timer.has_fired()}
        for switch in switches:
            switch.timer.stop()

    def still_wanted(self) -> None:
        """The hound is awake and has run just now: whoever keeps it from going on is caught."""
        if not self._armed or time.monotonic() - self._armed_at >= REARM:
            if self._armed:
                self.disarm()
            self.arm()

    # What they wrote

    def read(self, thread: int) -> SelfDump | None:
        """What the thread has written of itself since the last ``clear_all``.

        ``by`` is ``asked`` when another one may have held the GIL, see ``read_all``.
        """
        return self.read_all().get(thread) if self._wrote(thread) else None

    def read_all(self) -> dict[int, SelfDump]:
        """What all of them have written, by their system's ids.

        ``by`` is ``thread`` for those that held the GIL: whose own timer made them write, and one
        that a neighbour asked, because it slept while the GIL was held, when it is the only one.
        Of several that were asked one at most held it.
        """
        wrote = [thread for thread in tuple(self._switches) if self._wrote(thread)]
        if not wrote:
            return {}
        dumps = SelfDumps(self.path)
        found = {thread: dump for thread in wrote if (dump := dumps.of(thread)) is not None}
        return {
            thread: dump if len(found) == 1 or self._fired(thread) else dump._replace(by="asked")
            for thread, dump in found.items()
        }

    def _fired(self, thread: int) -> bool:
        """True when the thread's timer has run out in the hound's last sleep."""
        switch = self._switches.get(thread)
        awake = thread in self._ran_out
        return awake or (self._armed and switch is not None and switch.timer.has_fired())

    def name_of(self, thread: int) -> str:
        """The thread's name, also of one that has just ended."""
        switch = self._switches.get(thread)
        return switch.name if switch is not None and switch.name else str(thread)

    @contextmanager
    def alone(self) -> Iterator[bool]:
        """Keeps neighbours from reporting meanwhile; False when one is at it."""
        locked = True
        if self._fd >= 0:
            try:
                take(self._fd)
            except OSError:
                locked = False
        try:
            yield locked
        finally:
            if locked and self._fd >= 0:
                let_go(self._fd)

    def _wrote(self, thread: int) -> bool:
        switch = self._switches.get(thread)
        return switch is not None and handlers.wrote(switch.signal)

    def clear_all(self) -> None:
        """Makes room for the next dumps."""
        self._ran_out = set()
        for switch in tuple(self._switches.values()):
            handlers.clear(switch.signal)

    def stop(self, *, remove: bool) -> None:
        """No more signals; their handlers stay, see ``handlers``."""
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
