"""A profile of one request because somebody asked for it: many samples, for a short time.

One at a time in each process. Its thread lives as long as it samples, and so does the process that
reads the stacks from outside (``outside``).
"""

from __future__ import annotations

import os
from collections.abc import Callable

from slowhound.core.record import Record
from slowhound.flames.profile import Profile
from slowhound.flames.sampling import external, switch_interval
from slowhound.flames.sampling.attribution import Samples
from slowhound.flames.sampling.merge_external import splice
from slowhound.flames.sampling.schedule import Rounds, pause
from slowhound.flames.sampling.stack_keys import Key, Seen, look
from slowhound.flames.sampling.symbolize import profile_of
from slowhound.runtime.clocks import clock
from slowhound.runtime.unpatched import original
from slowhound.system.guard import guard
from slowhound.system.os_thread import OsThread
from slowhound.system.thread_state import cpu_seconds, run_queue_wait, waiting_for, warm_up

# Seconds from one look to the next, on average.
INTERVAL = 0.002
# Whatever comes first ends it: seconds, looks, or entries, 0.5 KB each at worst.
LONGEST, MOST_LOOKS, MOST_ENTRIES = 120.0, 40_000, 20_000
ENDS_WITHIN = 1.0
WHO = "demand"


class Session:
    """The sampling of one record, by a thread of its own."""

    def __init__(self, record: Record, seconds: float) -> None:
        now = clock.monotonic()
        self.record = record
        self.samples = Samples(record.started, now, cpu_seconds, waiting_for, run_queue_wait)
        # From now on, not from its thread's first turn: that may come after a long call.
        warm_up()
        self.samples.prime(record.native_id)
        self._rounds = Rounds()
        self._guard = guard("flames on demand")
        self._keys: dict[Key, Key] = {}
        self._ends = now + min(seconds, LONGEST)
        self._pid = os.getpid()
        self._thread = OsThread(self._run)
        self.reader = external.Reader()
        if external.possible(record):
            self.reader.prepare()

    def start(self) -> None:
        """Begins; raises RuntimeError when no thread can be had."""
        switch_interval.shorten(WHO)
        try:
            self._thread.start()
        except BaseException:
            switch_interval.restore(WHO)
            raise

    def stop(self) -> None:
        """Ends it and waits for that."""
        self._thread.stop(ENDS_WITHIN)
        switch_interval.restore(WHO)

    def alive(self) -> bool:
        """True while it samples, in this process."""
        return self._pid == os.getpid() and not self.record.done and self._thread.alive()

    def _run(self, wait: Callable[[float], bool]) -> None:
        with self._guard:
            try:
                self._sample(wait)
            finally:
                switch_interval.restore(WHO)
                self.reader.end()

    def _sample(self, wait: Callable[[float], bool]) -> None:
        rounds, looked, reading = self._rounds, self.samples.begun, False
        while not self._is_enough():
            # From the last look, not from now: the GIL may have been lost since.
            due = looked + pause(INTERVAL)
            if wait(due - clock.monotonic()):
                return
            awake = clock.monotonic()
            seen = look(self.record)
            looked = clock.monotonic()
            this = rounds.over(due, awake, looked)
            if seen is not None:
                key = self._keys.setdefault(seen.key, seen.key)
                self.samples.add(this, Seen(key, seen.thread))
            if reading:
                self.reader.tend()
            else:
                # Not before the first look, which falls on who has kept the GIL until now.
                self.reader.start(self.record.native_id, self._ends - looked)
                reading = True

    def _is_enough(self) -> bool:
        samples = self.samples
        return (
            self.record.done
            or samples.taken >= MOST_LOOKS
            or len(samples.entries) >= MOST_ENTRIES
            or clock.monotonic() > self._ends
        )


_session: Session | None = None
_claim = original("_thread", "allocate_lock")()


def start(record: Record, seconds: float = LONGEST) -> bool:
    """Begins to sample, for so long; False when another request of this process is being sampled.

    Raises:
        RuntimeError: no thread can be had.
    """
    global _session
    if not _claim.acquire(blocking=False):
        return False
    try:
        if _session is not None and _session.alive():
            return False
        _session = Session(record, seconds)
        _session.start()
        return True
    finally:
        _claim.release()


def stop(record: Record) -> Profile | None:
    """Ends it and gives what was found; None for a request that is not being sampled.

    ``event`` is empty: the request may still run, and whoever asked knows it.
    """
    global _session
    session = _session
    if session is None or session.record is not record:
        return None
    _session = None
    now = clock.monotonic()  # to stop takes some milliseconds, which are not the request's
    session.stop()
    samples = session.samples
    samples.end(now, INTERVAL)
    splice(samples, session.reader.take())
    if not samples.entries:
        return None
    started = clock.time() - record.age()
    return profile_of(record, samples, INTERVAL, {}, started)


def _forget_after_fork() -> None:
    """A forked child has no such thread."""
    global _session, _claim
    _session = None
    _claim = original("_thread", "allocate_lock")()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget_after_fork)
