"""Writes the profiles of sampled requests: a first file while they run, all of it at their end.

The first file is there before an event of its request names it: a worker may be killed, and a disk
may be full.
"""

from __future__ import annotations

from collections import deque
from typing import Any, NamedTuple

import msgspec

from slowhound.core.in_flight import in_flight
from slowhound.core.record import Record
from slowhound.event.formats import json_line
from slowhound.flames.files import FlameFiles
from slowhound.flames.sampling.attribution import Samples
from slowhound.flames.sampling.schedule import Budget
from slowhound.flames.sampling.symbolize import profile_of
from slowhound.runtime.clocks import clock
from slowhound.system.guard import guard
from slowhound.system.losses import lost

# Of the wall's time.
FILES_SHARE = 0.02
# Seconds for files that are not written yet when the process ends; the largest takes 0.2.
PROFILES_WRITTEN_WITHIN = 2.0
# First files in one scan, some 0.5 ms each; ended requests whose files may wait to be written.
MOST_FIRST_FILES, MOST_WAITING_PROFILES = 32, 200


class Ended(NamedTuple):
    """A request that has ended, and the seconds since 1970 when it began."""

    record: Record
    samples: Samples
    started: float


class ProfileWriter:
    """The files of sampled requests; runs on the hound's thread but for ``put``.

    Args:
        files: where they are written.
        interval: seconds from one sample to the next, on average, as planned.
        sampled: the requests being sampled, by number; None: not to be sampled.
    """

    def __init__(
        self, files: FlameFiles, interval: float, sampled: dict[int, Samples | None]
    ) -> None:
        self.files = files
        self.interval = interval
        self._samples = sampled
        self._guard, self._announce_guard = guard("sampler"), guard("files of flame graphs")
        self._budget = Budget(FILES_SHARE, clock.monotonic())
        # Filled by the threads of ended requests, emptied by the hound.
        self._ended: deque[tuple[Ended, dict[str, Any]]] = deque()

    def announce(self, record: Record) -> None:
        """Writes the first file of the record, which events may name from now on."""
        samples = self._samples.get(record.number)
        if samples is None or not _needs_file(samples) or record.flame is not None:
            return
        started = clock.time() - record.age()
        first = profile_of(record, samples, self.interval, {"req_id": record.id}, started)
        if not self.files.write(samples.file_name, first):
            self._samples[record.number] = None  # the next file would fail as well
            return
        if self._samples.get(record.number) is samples:
            samples.has_file = True
            record.flame = samples.file_name
        else:  # the request has ended meanwhile
            self.files.remove(samples.file_name)

    def write(self, now: float) -> float:
        """Writes files of ended requests within the budget; returns when to go on (monotonic)."""
        with self._announce_guard:
            self._announce_some()
        while self._ended:
            if not self._budget.left(now):
                return now + self.interval
            before = clock.thread_time()
            self._write_one()
            self._budget.spend(clock.thread_time() - before)
            now = clock.monotonic()
        return float("inf")

    def _announce_some(self) -> None:
        waiting = [
            number for number, samples in list(self._samples.items()) if _needs_file(samples)
        ]
        for number in waiting[:MOST_FIRST_FILES]:
            record = in_flight.get(number)
            if record is not None:
                self.announce(record)

    def stop(self) -> None:
        """The process ends: writes what is left, for a limited time."""
        until = clock.monotonic() + PROFILES_WRITTEN_WITHIN
        while self._ended and clock.monotonic() < until:
            self._write_one()
        if self._ended:
            lost("flame graphs", "the process ended", len(self._ended))

    @property
    def is_full(self) -> bool:
        """True while so many files wait to be written that one more would be lost."""
        return len(self._ended) >= MOST_WAITING_PROFILES

    def _write_one(self) -> None:
        try:
            (record, samples, started), event = self._ended.popleft()
        except IndexError:  # a hound that is slow to stop also writes
            return
        with self._guard:
            profile = profile_of(record, samples, self.interval, plain(event), started)
            self.files.rewrite(samples.file_name, profile)

    def put(self, ended: Ended, event: dict[str, Any]) -> None:
        """Has the hound write the file of a request that has ended, and whose event is known."""
        self._ended.append((ended, event))


def _needs_file(samples: Samples | None) -> bool:
    return samples is not None and not samples.has_file and bool(samples.entries)


def plain(event: dict[str, Any]) -> dict[str, Any]:
    """The event as it is in JSON: an application may have put any object into it."""
    found: dict[str, Any] = msgspec.json.decode(json_line(event))
    return found
