"""Writes the profiles of sampled requests: a first file while they run, the whole at their end."""

from __future__ import annotations

from collections import deque
from typing import Any, NamedTuple

import msgspec

from slowhound.core.record import Record, in_flight
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
# Seconds for the files that are not yet written when the process ends: 0.2 for the largest.
STOPS_WITHIN = 2.0
# Files that are begun in one scan, some 0.5 ms each; files that may wait to be written.
MOST_BEGUN, MOST_WAITING = 32, 200


class Ended(NamedTuple):
    """A request that has ended, and the seconds since 1970 when it began."""

    record: Record
    samples: Samples
    started: float


class ProfileWriter:
    """The files of sampled requests; runs on the hound's thread but for ``put``.

    Args:
        files: where they are written.
        interval: seconds from one sample to the next, as aimed at.
        sampled: the requests being sampled, by number; None: not to be sampled.
    """

    def __init__(
        self, files: FlameFiles, interval: float, sampled: dict[int, Samples | None]
    ) -> None:
        self.files = files
        self.interval = interval
        self._samples = sampled
        self._guard, self._begins = guard("sampler"), guard("files of flame graphs")
        self._budget = Budget(FILES_SHARE, clock.monotonic())
        # Filled by the threads of ended requests, emptied by the hound.
        self._ended: deque[tuple[Ended, dict[str, Any]]] = deque()

    def announce(self, record: Record) -> None:
        """From now on events may name the record's file, for it is there."""
        samples = self._samples.get(record.number)
        if samples is None or not _is_to_begin(samples) or record.flame is not None:
            return
        started = clock.time() - record.age()
        first = profile_of(record, samples, self.interval, {"req_id": record.id}, started)
        if not self.files.write(samples.name, first):
            self._samples[record.number] = None  # nor could the whole of it be written
            return
        if self._samples.get(record.number) is samples:
            samples.there = True
            record.flame = samples.name
        else:  # it has ended meanwhile
            self.files.remove(samples.name)

    def write(self, now: float) -> float:
        """Writes files of ended requests as far as the budget goes; when to go on (monotonic)."""
        with self._begins:
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
            number for number, samples in list(self._samples.items()) if _is_to_begin(samples)
        ]
        for number in waiting[:MOST_BEGUN]:
            record = in_flight.get(number)
            if record is not None:
                self.announce(record)

    def stop(self) -> None:
        """Writes what is left, for a while; the process ends."""
        until = clock.monotonic() + STOPS_WITHIN
        while self._ended and clock.monotonic() < until:
            self._write_one()
        if self._ended:
            lost("flame graphs", "the process ended", len(self._ended))

    @property
    def is_full(self) -> bool:
        """True while so many files wait to be written that one more would be lost."""
        return len(self._ended) >= MOST_WAITING

    def _write_one(self) -> None:
        try:
            (record, samples, started), event = self._ended.popleft()
        except IndexError:  # a hound that is slow to stop writes as well
            return
        with self._guard:
            profile = profile_of(record, samples, self.interval, plain(event), started)
            self.files.rewrite(samples.name, profile)

    def put(self, ended: Ended, event: dict[str, Any]) -> None:
        """The same once its event is known: the hound writes the file."""
        self._ended.append((ended, event))


def _is_to_begin(samples: Samples | None) -> bool:
    return samples is not None and not samples.there and bool(samples.entries)


def plain(event: dict[str, Any]) -> dict[str, Any]:
    """The event as JSON holds it: what an application put into it may be anything."""
    found: dict[str, Any] = msgspec.json.decode(json_line(event))
    return found
