"""Samples each request that lasts, on the hound's thread: a few times a second, within a budget.

A request that is older than ``SAMPLE_AFTER`` is sampled at each pass (``attribution``); the file of
its profile is made by ``profile_writer``. Only ``ending`` runs on the request's own thread.
"""

from __future__ import annotations

from collections.abc import Callable

from slowhound.core.in_flight import in_flight
from slowhound.core.record import Record
from slowhound.flames.files import FlameFiles
from slowhound.flames.sampling import switch_interval
from slowhound.flames.sampling.attribution import Samples, Timing
from slowhound.flames.sampling.profile_writer import Ended, ProfileWriter
from slowhound.flames.sampling.schedule import Budget, Schedule, pause
from slowhound.flames.sampling.stack_keys import Key, StackSample, sample_stack
from slowhound.runtime.clocks import clock
from slowhound.system.guard import guard
from slowhound.system.losses import lost
from slowhound.system.thread_state import cpu_seconds, run_queue_wait, waiting_for, warm_up

# Of the wall's time, for all samples together.
SAMPLES_SHARE = 0.01
# Who shortens the switch interval.
HOUND_SHORTENS = "hound"
# CPU seconds of the process in a second of the wall's: with more, several of its threads run.
ONE_THREAD = 1.1
# Seconds that the hound sleeps at least.
SHORTEST_SLEEP = 0.001
# Seconds: less than the 5 ms after which another thread may have the GIL.
LONGEST_PASS = 0.003
# Requests that are sampled at once; entries of all of them, 0.5 KB each at worst; different stacks
# that are kept to be shared.
MOST_REQUESTS, MOST_ENTRIES_OF_ALL, MOST_STACKS = 2_000, 100_000, 20_000


class Sampler:
    """Samples the requests of one process.

    Args:
        files: where profiles are written.
        after: seconds until a request is sampled.
        hz: samples a second.
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
        self._budget = Budget(SAMPLES_SHARE, now)
        # By the records' numbers; None: not to be sampled.
        self._samples: dict[int, Samples | None] = {}
        self.writer = ProfileWriter(files, self.interval, self._samples)
        self._at_rest = False  # the last pass found nothing in flight: there is nothing to undo
        self._keys: dict[Key, Key] = {}
        self._due = 0.0
        self._turn = 0
        self._tuned_at = 0.0
        self._awake_at = now
        self._schedule = Schedule()

    # On the hound's thread

    def awake(self) -> None:
        """The hound has the GIL again."""
        self._awake_at = clock.monotonic()

    def scan(self, now: float) -> float:
        """Samples, when that is due; returns when it is due next (monotonic), or infinity.

        Call it before anything that releases the GIL: the thread that held it has not moved on.
        """
        due = float("inf")
        if self._at_rest and not in_flight:
            return due
        if not self._guard.off:
            with self._guard:
                due = self._pass(now) if now >= self._due else self._due
        else:
            switch_interval.restore(HOUND_SHORTENS)
        return due

    def _pass(self, now: float) -> float:
        lasting, young = self._lasting(now)
        # Work after the last byte of the response does not count as its time.
        sending = [each for each in lasting if not each.complete]
        of = self._samples_of
        sampled = [(each, found) for each in sending if (found := of(each, now)) is not None]
        if sampled:
            began = self._sample(sampled, self._due, self._awake_at)
            # From the first sample, not from now: the GIL may have been lost since.
            self._due = began + max(pause(self.interval), SHORTEST_SLEEP)
        else:
            switch_interval.restore(HOUND_SHORTENS)
            # When the next request becomes old enough; the hound wakes now and then anyway.
            self._due = 0.0 if young is None else young.started + self.after
        self._forget(lasting)
        self._at_rest = not lasting and young is None
        return self._due or float("inf")

    def _tune(self, timing: Timing, now: float) -> None:
        """Shortens the switch interval where no two threads compete for the GIL: no thread pays."""
        passed, self._tuned_at = now - self._tuned_at, now
        if timing.others > passed * ONE_THREAD:
            switch_interval.restore(HOUND_SHORTENS)
        else:
            switch_interval.shorten(HOUND_SHORTENS)

    def _lasting(self, now: float) -> tuple[list[Record], Record | None]:
        """The requests older than ``after``, and the first one that is younger."""
        found: list[Record] = []
        # In the order in which they began: most are younger, and need not be checked.
        for record in list(in_flight.values()):
            if record.age(now) < self.after:
                return found, record
            found.append(record)
        return found, None

    def _samples_of(self, record: Record, now: float) -> Samples | None:
        """The samples of the record so far; None when it is not to be sampled."""
        number = record.number
        if number in self._samples:
            return self._samples.get(number)  # its own thread may remove them, see `ending`
        if record.flame is not None or not self._wanted(record):  # or it is profiled on demand
            self._samples[number] = None
            return None
        if len(self._samples) >= MOST_REQUESTS and self._sampled() >= MOST_REQUESTS:
            return None  # perhaps later
        samples = self._samples[number] = self._begin(record, now)
        if record.done and self._samples.pop(number, None) is not None:
            return None  # it has ended meanwhile
        return samples

    def _sampled(self) -> int:
        """How many are sampled; websockets and ignored requests are not."""
        return sum(samples is not None for samples in list(self._samples.values()))

    def _begin(self, record: Record, now: float) -> Samples:
        samples = begin_samples(record, now, self.interval)
        samples.file_name = self.writer.files.name(record.number)
        return samples

    def _forget(self, lasting: list[Record]) -> None:
        """Forgets requests that have ended; their threads have taken what they need."""
        if len(self._samples) > len(lasting):
            alive = {record.number for record in lasting}
            for number in [each for each in self._samples if each not in alive]:
                del self._samples[number]
        if not self._samples or len(self._keys) > MOST_STACKS:
            self._keys.clear()

    def _sample(self, sampled: list[tuple[Record, Samples]], due: float, awake: float) -> float:
        """Samples all of them, or as many as the budget allows, in turns; returns when it began."""
        start = self._turn % len(sampled)
        sampled = sampled[start:] + sampled[:start]
        first = sample_stack(sampled[0][0])
        now = began = clock.monotonic()
        timing = self._schedule.timing(due, awake, now)
        self._tune(timing, now)
        room = sum(len(samples.entries) for _, samples in sampled) < MOST_ENTRIES_OF_ALL
        until, done = now + LONGEST_PASS, 0
        for record, samples in sampled:
            if not room or now > until or not self._budget.left(now):
                samples.skip()
                continue
            before = clock.thread_time()
            if samples.wanted():
                taken = sample_stack(record) if done else first
                now = clock.monotonic() if done else now
                if taken is not None and not record.done:
                    # Most stacks were sampled before; one copy of each is kept.
                    key = self._keys.setdefault(taken.key, taken.key)
                    samples.add(
                        timing._replace(now=now, took=now - awake), StackSample(key, taken.thread)
                    )
            self._budget.spend(clock.thread_time() - before)
            done += 1
        self._turn += done
        return began

    def rest(self) -> None:
        """Undoes our switch interval where an application saved it, and sets it again.

        Call it once a second, also while there is nothing to sample: no pass would notice.
        """
        if self._at_rest:
            switch_interval.restore(HOUND_SHORTENS)

    def stop(self) -> None:
        """The process ends: gives the switch interval back, and writes what is left."""
        switch_interval.restore(HOUND_SHORTENS)
        self.writer.stop()

    # On the request's own thread

    def ending(self, record: Record, now: float) -> Ended | None:
        """The request is over: what to give to the writer; None, and no file name, for no file."""
        samples = self._samples.pop(record.number, None)
        if record.flame is not None and (samples is None or samples.file_name != record.flame):
            return None  # it is profiled on demand, perhaps since this began
        with self._guard:
            if samples is not None:
                samples.end(min(now, record.started + record.took), self.interval)
                samples = samples if samples.entries and samples.has_file else None
            if samples is not None and not self.writer.is_full:
                record.flame = samples.file_name
                return Ended(record, samples, clock.time() - (now - record.started))
            if samples is not None:
                lost("flame graphs", "too many slow requests end at once")
        record.flame = None
        return None


def begin_samples(record: Record, now: float, interval: float) -> Samples:
    """The samples of a record, with those that the hound has taken for its verdict so far."""
    observed = list(record.samples or ())
    begin = record.started if observed else max(now - interval, record.started)
    samples = Samples(record.started, begin, cpu_seconds, waiting_for, run_queue_wait)
    samples.seed(observed)
    return samples
