"""Many requests in flight, without a hound: the test makes the passes of the sampler."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from slowhound.core.in_flight import in_flight
from slowhound.core.record import Record
from slowhound.flames.files import FlameFiles
from slowhound.flames.sampling import annotate, switch_interval
from slowhound.flames.sampling import sampler as module
from slowhound.flames.sampling.sampler import Sampler


@pytest.fixture(autouse=True)
def _middleware_is_found_again() -> Iterator[None]:
    """The next test may be the first to import it."""
    yield
    annotate._configured.cache_clear()


@pytest.fixture
def many(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[int], Sampler]]:
    """A sampler, and so many requests in flight that one waiting thread carries."""
    # Each pass has time for all of them, also without a CPU.
    monkeypatch.setattr(module, "LONGEST_PASS", 3600.0)
    end = threading.Event()
    thread = threading.Thread(target=end.wait)
    thread.start()

    def make(count: int) -> Sampler:
        files = FlameFiles(str(tmp_path / "dir"), 10**9)
        made = Sampler(files, 1.0, 20, lambda _: True)
        for _ in range(count):
            record = Record("GET", "/", time.monotonic() - 10)
            record.thread_id, record.native_id = thread.ident, thread.native_id
            in_flight[record.number] = record
        return made

    yield make
    in_flight.clear()
    switch_interval.restore(module.HOUND_SHORTENS)
    end.set()
    thread.join()


def passes(sampler: Sampler, count: int) -> None:
    for _ in range(count):
        sampler._due = 0.0
        sampler.awake()
        sampler.scan(time.monotonic())
        for record in list(in_flight.values()):
            sampler.writer.announce(record)
