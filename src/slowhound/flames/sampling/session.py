"""Samples one request for a profile on demand: often, and for a short time.

A process has one session at a time. Its thread lives as long as it samples, and so does the process
that reads the stacks from outside (``external``).
"""

from __future__ import annotations

import os
from collections.abc import Callable

from slowhound.core.record import Record
from slowhound.flames.profile import Profile
from slowhound.flames.sampling import external, switch_interval
from slowhound.flames.sampling.attribution import Samples
from slowhound.flames.sampling.merge_external import merge_into
from slowhound.flames.sampling.schedule import Schedule, pause
from slowhound.flames.sampling.stack_keys import Key, StackSample, sample_stack
from slowhound.flames.sampling.symbolize import profile_of
from slowhound.runtime.clocks import clock
from slowhound.runtime.unpatched import original
from slowhound.system.guard import guard
from slowhound.system.os_thread import OsThread
from slowhound.system.thread_state import cpu_seconds, run_queue_wait, waiting_for, warm_up

# Seconds from one sample to the next, on average.
INTERVAL = 0.002
# The first of these limits ends it: seconds, samples, or entries, 0.5 KB each at worst.
LONGEST_SESSION, MOST_SESSION_SAMPLES, MOST_SESSION_ENTRIES = 120.0, 40_000, 20_000
SESSION_ENDS_WITHIN = 1.0
# Who shortens the switch interval.
SESSION_SHORTENS = "session"


class Session:
    """The sampling of one record, by a thread of its own."""

    def __init__(self, record: Record, seconds: float) -> None:
        now = clock.monotonic()
        self.record = record
        self.samples = Samples(record.started, now, cpu_seconds, waiting_for, run_queue_wait)
        # From now on, not from when its thread first has the GIL: that may be after a long call.
        warm_up()
        self.samples.prime(record.native_id)
        self._schedule = Schedule()
        self._guard = guard("flames on demand")
        self._keys: dict[Key, Key] = {}
        self._ends = now + min(seconds, LONGEST_SESSION)
        self._pid = os.getpid()
        self._thread = OsThread(self._run)
        self.external = external.ExternalSampler()
        if external.possible(record):
            self.external.prepare()

    def start(self) -> None:
        """Begins; raises RuntimeError when no thread can be started."""
        switch_interval.shorten(SESSION_SHORTENS)
        try:
            self._thread.start()
        except BaseException:
            switch_interval.restore(SESSION_SHORTENS)
            raise

    def stop(self) -> None:
        """Ends it and waits for that."""
        self._thread.stop(SESSION_ENDS_WITHIN)
        switch_interval.restore(SESSION_SHORTENS)

    def alive(self) -> bool:
        """True while it samples, in this process."""
        return self._pid == os.getpid() and not self.record.done and self._thread.alive()

    def _run(self, wait: Callable[[float], bool]) -> None:
        with self._guard:
            try:
                self._sample(wait)
            finally:
                switch_interval.restore(SESSION_SHORTENS)
                self.external.end()

    def _sample(self, wait: Callable[[float], bool]) -> None:
        sampled, external_began = self.samples.begun, False
        while not self._is_enough():
            # From the last sample, not from now: the GIL may have been lost since.
            due = sampled + pause(INTERVAL)
            if wait(due - clock.monotonic()):
                return
            awake = clock.monotonic()
            taken = sample_stack(self.record)
            sampled = clock.monotonic()
            timing = self._schedule.timing(due, awake, sampled)
            if taken is not None:
                key = self._keys.setdefault(taken.key, taken.key)
                self.samples.add(timing, StackSample(key, taken.thread))
            if external_began:
                self.external.tend()
            else:
                # Not before the first sample: a thread that has held the GIL until now is still
                # where it held it.
                self.external.start(self.record.native_id, self._ends - sampled)
                external_began = True

    def _is_enough(self) -> bool:
        samples = self.samples
        return (
            self.record.done
            or samples.taken >= MOST_SESSION_SAMPLES
            or len(samples.entries) >= MOST_SESSION_ENTRIES
            or clock.monotonic() > self._ends
        )


_session: Session | None = None
_claim = original("_thread", "allocate_lock")()


def start(record: Record, seconds: float = LONGEST_SESSION) -> bool:
    """Begins to sample for so long; False while another request of this process is being sampled.

    Raises:
        RuntimeError: no thread can be started.
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
    """Ends it and returns the profile; None for a request that is not being sampled.

    ``event`` is empty: the request may still run, and the caller knows its event.
    """
    global _session
    session = _session
    if session is None or session.record is not record:
        return None
    _session = None
    now = clock.monotonic()  # stopping takes some milliseconds, which do not count
    session.stop()
    samples = session.samples
    samples.end(now, INTERVAL)
    merge_into(samples, session.external.take())
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
