"""Samples every request that lasts, for free: by the hound, a few times a second, within a budget.

Runs on the hound's thread but for ``ending``. A request that is older than ``SAMPLE_AFTER`` has its
stack remembered at each round (``attribution``); ``profile_writer`` makes that into its file.
"""

from __future__ import annotations

from collections.abc import Callable

from slowhound.core.record import Record, in_flight
from slowhound.flames.files import FlameFiles
from slowhound.flames.sampling import switch_interval
from slowhound.flames.sampling.attribution import Round, Samples
from slowhound.flames.sampling.profile_writer import Ended, ProfileWriter
from slowhound.flames.sampling.schedule import Budget, Rounds, pause
from slowhound.flames.sampling.stack_keys import Key, Seen, look
from slowhound.runtime.clocks import clock
from slowhound.system.guard import guard
from slowhound.system.losses import lost
from slowhound.system.thread_state import cpu_seconds, run_queue_wait, waiting_for, warm_up

# Of the wall's time, for all looks together.
LOOKS_SHARE = 0.01
WHO = "hound"
# CPU time of the process in a second of the wall's: with more, several of its threads run.
ONE_THREAD = 1.1
# Seconds that the hound sleeps at least.
SHORTEST = 0.001
# Seconds: less than the 5 ms after which another thread may have the GIL.
LONGEST_ROUND = 0.003
# Requests that are sampled at once; entries of all of them, 0.5 KB each at worst; different stacks
# that are known as such.
MOST_REQUESTS, MOST_ENTRIES, MOST_STACKS = 2_000, 100_000, 20_000


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
        self.after = after
        self.interval = 1.0 / hz
        self._wanted = wanted
        self._guard = guard("sampler")
        warm_up()
        now = clock.monotonic()
        self._looks = Budget(LOOKS_SHARE, now)
        # By the records' numbers; None: not to be sampled.
        self._samples: dict[int, Samples | None] = {}
        self.writer = ProfileWriter(files, self.interval, self._samples)
        self._at_rest = False  # the last round found nothing in flight: there is nothing to undo
        self._keys: dict[Key, Key] = {}
        self._due = 0.0
        self._turn = 0
        self._tuned_at = 0.0
        self._awake_at = now
        self._rounds = Rounds()

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
        samples.name = self.writer.files.name(record.number)
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

    def rest(self) -> None:
        """Once a second: an application may have saved our switch interval, and set it again now.

        To be called also when there is nothing to look at, and no round comes that would see it.
        """
        if self._at_rest:
            switch_interval.restore(WHO)

    def stop(self) -> None:
        """The process ends: gives the switch interval back, and writes what is left."""
        switch_interval.restore(WHO)
        self.writer.stop()

    # On the request's own thread

    def ending(self, record: Record, now: float) -> Ended | None:
        """The request is over: what the writer is to be given; None, and no name, when nothing."""
        samples = self._samples.pop(record.number, None)
        if record.flame is not None and (samples is None or samples.name != record.flame):
            return None  # somebody else does it, perhaps since this has begun
        with self._guard:
            if samples is not None:
                samples.end(min(now, record.started + record.took), self.interval)
                samples = samples if samples.entries and samples.there else None
            if samples is not None and not self.writer.is_full:
                record.flame = samples.name
                return Ended(record, samples, clock.time() - (now - record.started))
            if samples is not None:
                lost("flame graphs", "too many slow requests end at once")
        record.flame = None
        return None


def begun(record: Record, now: float, interval: float) -> Samples:
    """The samples of a record, with what the hound has seen of it so far."""
    looks = list(record.samples or ())
    begin = record.started if looks else max(now - interval, record.started)
    samples = Samples(record.started, begin, cpu_seconds, waiting_for, run_queue_wait)
    samples.seed(looks)
    return samples
