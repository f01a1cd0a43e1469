"""Samples every request that lasts, for free: by the hound, a few times a second, within a budget.

Runs on the hound's thread but for ``ending`` and ``put``. A request that is older than
``SAMPLE_AFTER`` has its stack remembered at each round (``samples``); when it has ended, the hound
makes it into a profile and writes its file. A file with what has been seen so far is there before
any event of its request names it: a worker may be killed, and a disk be full.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Any, NamedTuple

import msgspec

from slowhound.core.record import Record, in_flight
from slowhound.event.formats import json_line
from slowhound.flames.files import FlameFiles
from slowhound.flames.sampling import switch_interval
from slowhound.flames.sampling.attribution import Round, Samples
from slowhound.flames.sampling.schedule import Budget, Rounds, pause
from slowhound.flames.sampling.stack_keys import Key, Seen, look
from slowhound.flames.sampling.symbolize import profile_of
from slowhound.runtime.clocks import clock
from slowhound.system.guard import guard
from slowhound.system.losses import lost
from slowhound.system.thread_state import cpu_seconds, run_queue_wait, waiting_for, warm_up

# Of the wall's time: for all looks together, and for the files of ended requests.
LOOKS_SHARE, FILES_SHARE = 0.01, 0.02
WHO = "hound"
# CPU time of the process in a second of the wall's: with more, several of its threads run.
ONE_THREAD = 1.1
# Seconds that the hound sleeps at least.
SHORTEST = 0.001
# Seconds: less than the 5 ms after which another thread may have the GIL.
LONGEST_ROUND = 0.003
# Seconds for the files that are not yet written when the process ends: 0.2 for the largest.
STOPS_WITHIN = 2.0
# Files that are begun in one scan, some 0.5 ms each.
MOST_BEGUN = 32
# Requests that are sampled at once; entries of all of them, 0.5 KB each at worst; different stacks
# that are known as such; files that may wait to be written.
MOST_REQUESTS, MOST_ENTRIES, MOST_STACKS, MOST_WAITING = 2_000, 100_000, 20_000, 200


class Ended(NamedTuple):
    """A request that has ended, and the seconds since 1970 when it began."""

    record: Record
    samples: Samples
    started: float


class Sampler:
    """The profiles of one process's requests.

    Args:
        files: where they are written.
        after: seconds until a request is sampled.
        hz: looks a second.
        wanted: False for a request that is not watched.
    """

    def __init__(
        self,
        files: FlameFiles,
        after: float,
        hz: float,
        wanted: Callable[[Record], bool],
    ) -> None:
        self.files = files
        self.after = after
        self.interval = 1.0 / hz
        self._wanted = wanted
        self._guard, self._begins = guard("sampler"), guard("files of flame graphs")
        warm_up()
        now = clock.monotonic()
        self._looks, self._writes = Budget(LOOKS_SHARE, now), Budget(FILES_SHARE, now)
        # By the records' numbers; None: not to be sampled.
        self._samples: dict[int, Samples | None] = {}
        self._at_rest = False  # the last round found nothing in flight: there is nothing to undo
        self._keys: dict[Key, Key] = {}
        self._due = 0.0
        self._turn = 0
        self._tuned_at = 0.0
        self._awake_at = now
        self._rounds = Rounds()
        # Filled by the threads of ended requests, emptied by the hound.
        self._ended: deque[tuple[Ended, dict[str, Any]]] = deque()

    # On the hound's thread

    def awake(self) -> None:
        """The hound has the GIL again."""
        self._awake_at = clock.monotonic()

    def scan(self, now: float) -> float:
        """A round of looks, when one is due; returns when the next is (monotonic), or infinity.

        To be called before anything that lets go of the GIL: who kept it is still there.
        """
        due = float("inf")
        if self._at_rest and not in_flight:
            return due
        if not self._guard.off:
            with self._guard:
                due = self._round(now) if now >= self._due else self._due
        else:
            switch_interval.restore(WHO)
        return due

    def _round(self, now: float) -> float:
        lasting, young = self._lasting(now)
        # What is done after the last byte of the response is none of its time.
        sending = [each for each in lasting if not each.complete]
        sampled = [(each, found) for each in sending if (found := self._of(each, now)) is not None]
        if sampled:
            looked = self._look_at(sampled, self._due, self._awake_at)
            # From the look, not from now: the GIL may have been lost since.
            self._due = looked + max(pause(self.interval), SHORTEST)
        else:
            switch_interval.restore(WHO)
            # When the next one becomes old enough; the hound looks now and then anyway.
            self._due = 0.0 if young is None else young.started + self.after
        self._forget(lasting)
        self._at_rest = not lasting and young is None
        return self._due or float("inf")

    def _tune(self, this: Round, now: float) -> None:
        """Asks for the GIL sooner where no two threads fight for it: then it costs nobody."""
        passed, self._tuned_at = now - self._tuned_at, now
        if this.others > passed * ONE_THREAD:
            switch_interval.restore(WHO)
        else:
            switch_interval.shorten(WHO)

    def _lasting(self, now: float) -> tuple[list[Record], Record | None]:
        """Those that are older than ``after``, and the first that is younger."""
        found: list[Record] = []
        # In the order in which they began: most are younger and need not be looked at.
        for record in list(in_flight.values()):
            if record.age(now) < self.after:
                return found, record
            found.append(record)
        return found, None

    def _of(self, record: Record, now: float) -> Samples | None:
        """What is known of the record so far; None when it is not to be sampled."""
        number = record.number
        if number in self._samples:
            return self._samples.get(number)  # its own thread may take it, see `ending`
        if record.flame is not None or not self._wanted(record):  # somebody else does it
            self._samples[number] = None
            return None
        if len(self._samples) >= MOST_REQUESTS and self._sampled() >= MOST_REQUESTS:
            return None  # perhaps later
        samples = self._samples[number] = self._begin(record, now)
        if record.done and self._samples.pop(number, None) is not None:
            return None  # it has ended meanwhile
        return samples

    def _sampled(self) -> int:
        """How many are sampled; websockets, and what is ignored, are not."""
        return sum(samples is not None for samples in list(self._samples.values()))

    def _begin(self, record: Record, now: float) -> Samples:
        samples = begun(record, now, self.interval)
        samples.name = self.files.name(record.number)
        return samples

    def _forget(self, lasting: list[Record]) -> None:
        """Those that have ended; their threads have taken what they need."""
        if len(self._samples) > len(lasting):
            alive = {record.number for record in lasting}
            for number in [each for each in self._samples if each not in alive]:
                del self._samples[number]
        if not self._samples or len(self._keys) > MOST_STACKS:
            self._keys.clear()

    def _look_at(self, sampled: list[tuple[Record, Samples]], due: float, awake: float) -> float:
        """Looks at each of them, or at as many as the budget allows, in turns; when it began."""
        start = self._turn % len(sampled)
        sampled = sampled[start:] + sampled[:start]
        first = look(sampled[0][0])
        now = began = clock.monotonic()
        this = self._rounds.over(due, awake, now)
        self._tune(this, now)
        room = sum(len(samples.entries) for _, samples in sampled) < MOST_ENTRIES
        until, done = now + LONGEST_ROUND, 0
        for record, samples in sampled:
            if not room or now > until or not self._looks.left(now):
                samples.skip()
                continue
            before = clock.thread_time()
            if samples.wanted():
                seen = look(record) if done else first
                now = clock.monotonic() if done else now
                if seen is not None and not record.done:
                    key = self._keys.setdefault(seen.key, seen.key)  # most are seen again
                    samples.add(this._replace(now=now, took=now - awake), Seen(key, seen.thread))
            self._looks.spend(clock.thread_time() - before)
            done += 1
        self._turn += done
        return began

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

    def rest(self) -> None:
        """Once a second: an application may have saved our switch interval, and set it again now.

        To be called also when there is nothing to look at, and no round comes that would see it.
        """
        if self._at_rest:
            switch_interval.restore(WHO)

    def write(self, now: float) -> float:
        """Writes files of ended requests as far as the budget goes; when to go on (monotonic)."""
        with self._begins:
            self._announce_some()
        while self._ended:
            if not self._writes.left(now):
                return now + self.interval
            before = clock.thread_time()
            self._write_one()
            self._writes.spend(clock.thread_time() - before)
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
        switch_interval.restore(WHO)
        until = clock.monotonic() + STOPS_WITHIN
        while self._ended and clock.monotonic() < until:
            self._write_one()
        if self._ended:
            lost("flame graphs", "the process ended", len(self._ended))

    def _write_one(self) -> None:
        try:
            (record, samples, started), event = self._ended.popleft()
        except IndexError:  # a hound that is slow to stop writes as well
            return
        with self._guard:
            profile = profile_of(record, samples, self.interval, plain(event), started)
            self.files.rewrite(samples.name, profile)

    # On the request's own thread

    def ending(self, record: Record, now: float) -> Ended | None:
        """The request is over: what is to be given to ``put``; None, and no name, when nothing."""
        samples = self._samples.pop(record.number, None)
        if record.flame is not None and (samples is None or samples.name != record.flame):
            return None  # somebody else does it, perhaps since this has begun
        with self._guard:
            if samples is not None:
                samples.end(min(now, record.started + record.took), self.interval)
                samples = samples if samples.entries and samples.there else None
            if samples is not None and len(self._ended) < MOST_WAITING:
                record.flame = samples.name
                return Ended(record, samples, clock.time() - (now - record.started))
            if samples is not None:
                lost("flame graphs", "too many slow requests end at once")
        record.flame = None
        return None

    def put(self, ended: Ended, event: dict[str, Any]) -> None:
        """The same once its event is known: the hound writes the file."""
        self._ended.append((ended, event))


def _is_to_begin(samples: Samples | None) -> bool:
    return samples is not None and not samples.there and bool(samples.entries)


def begun(record: Record, now: float, interval: float) -> Samples:
    """The samples of a record, with what the hound has seen of it so far."""
    looks = list(record.samples or ())
    begin = record.started if looks else max(now - interval, record.started)
    samples = Samples(record.started, begin, cpu_seconds, waiting_for, run_queue_wait)
    samples.seed(looks)
    return samples


def plain(event: dict[str, Any]) -> dict[str, Any]:
    """The event as JSON holds it: what an application put into it may be anything."""
    found: dict[str, Any] = msgspec.json.decode(json_line(event))
    return found
