"""Estimates which thread held the GIL while the hound could not run, from the threads' CPU clocks.

The hound reads the CPU time of each Python thread before it sleeps. While it waits for the GIL it
wakes once in a switch interval, finds the GIL held, and sleeps again; the kernel counts how often.
When there are enough such wakes, the thread that has used the most CPU meanwhile is taken for the
one that held it. A thread that held it and slept used none, and is not found; one that computes
without the GIL at the same time is taken for it. Nothing is done to any thread.
"""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable
from typing import NamedTuple

from slowhound.runtime.clocks import clock
from slowhound.system.python_threads import native_id_of, python_threads
from slowhound.system.thread_state import cpu_seconds, turns_on_cpu

# Seconds that the hound must be late before a holder is searched for: fifty switch intervals.
LEAST_HOLD = 0.25
# Times on a CPU that prove a wait for the GIL; a sleep and a wait for something else have two.
ENOUGH_TURNS, LEAST_TURNS = 10, 3
# The part of that time that the holder of the GIL has spent on the CPU at least: it gets no more
# on a machine where five threads want one CPU.
HOLDER_CPU_SHARE = 0.1
# Threads that used at least half of what the busiest did may have held it, too. Where there are
# more than so many, they took turns, and none is named.
MOST_SUSPECTS = 2
# Seconds between two readings of all clocks, 1 µs for each thread: not at each of a hundred
# samples.
CLOCKS_EVERY = 0.1


class EndedHold(NamedTuple):
    """A time for which the hound waited for the GIL, and the threads that may have held it.

    ``used`` has the CPU seconds of these threads meanwhile, by the kernel's ids.
    """

    seconds: float
    used: dict[int, float]


class Holders:
    """The CPU clocks of one process's threads; only the hound calls it, except ``held_by``."""

    def __init__(self) -> None:
        self._cpu: dict[int, float] = {}
        self._read_at = 0.0
        self._hound = self._turns = 0
        self._interval = sys.getswitchinterval()
        # When the hound wanted to run, monotonic; None while it is busy or waits for a disk.
        self.wanted: float | None = None

    def asleep(self, wakes_at: float, carrying: Callable[[], set[int]] = set) -> None:
        """The hound sleeps until then (monotonic).

        ``carrying`` returns the threads of requests in flight, which Python may not know.
        """
        now = clock.monotonic()
        if now - self._read_at >= CLOCKS_EVERY:
            self._read_at = now
            self._hound = threading.get_native_id()
            self._turns = turns_on_cpu(self._hound)
            self._interval = sys.getswitchinterval()
            clocks = ((thread, cpu_seconds(thread)) for thread in {*_threads(), *carrying()})
            self._cpu = {thread: cpu for thread, cpu in clocks if cpu is not None}
        self.wanted = wakes_at

    def since(self, wanted: float, now: float, begun: dict[int, float]) -> EndedHold | None:
        """The hold that has just ended, when the hound has wanted to run since ``wanted``.

        ``begun`` has the CPU time at which each request in flight began, by its thread. None when
        it was not the GIL that the hound waited for.
        """
        late = now - wanted
        if not self._waited(late):
            return None
        used = {}
        for thread in {*_threads(), *begun} - {self._hound}:
            cpu = cpu_seconds(thread)
            # A thread that was not there at the last reading has used all of its time since.
            before = max(self._cpu.get(thread, 0.0), begun.get(thread, 0.0))
            if cpu is not None and cpu - before >= late * HOLDER_CPU_SHARE:
                used[thread] = cpu - before
        most = max(used.values(), default=0.0)
        used = {thread: each for thread, each in used.items() if each >= most / 2}
        return EndedHold(late, used if len(used) <= MOST_SUSPECTS else {})

    def held_by(self, thread: int, cpu: float, begun: float) -> float:
        """Seconds for which the calling ``thread`` has probably just held the GIL; or 0.

        Called by the thread of a request that ends: the hound still waits. ``cpu`` is what the
        thread has used by now, ``begun`` what it had when the request began.
        """
        wanted = self.wanted
        late = 0.0 if wanted is None else clock.monotonic() - wanted
        used = cpu - max(self._cpu.get(thread, 0.0), begun)
        return late if self._waited(late) and used >= late * HOLDER_CPU_SHARE else 0.0

    def _waited(self, late: float) -> bool:
        """True when it was the GIL that the hound waited for.

        It woke for that again and again, less often where all CPUs are busy. A process that
        was stopped, and a hound that waited for a CPU or a disk, did not.
        """
        if late < LEAST_HOLD:
            return False
        turns = turns_on_cpu(self._hound) - self._turns
        # A sampler may have shortened the interval in between; the hold was longer than one.
        expected = late / max(self._interval, sys.getswitchinterval())
        return turns >= max(min(expected / 4, ENOUGH_TURNS), LEAST_TURNS)


def _threads() -> list[int]:
    """Python's threads in this process, by the kernel's ids."""
    ids = map(native_id_of, python_threads().values())
    return [each for each in ids if each is not None]
