"""The watch over slow requests, also when very many are due at once."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from slowhound import asgi
from slowhound.core import record as records
from slowhound.core.in_flight import in_flight
from slowhound.core.record import Record
from slowhound.core.slow import Slow
from slowhound.lifecycle.streamed import Body
from slowhound.recorder.process import Recorder, Server
from slowhound.system import guard
from slowhound.watch import slow_requests as module
from tests.harness.resting import resting_recorder


@pytest.fixture
def active(tmp_path: Path) -> Iterator[Recorder]:
    """A recorder whose hound does not run: the test calls its scans."""
    with resting_recorder(tmp_path / "dir", Server(), SLOW_AFTER=5) as found:
        yield found


def test_later_samples_of_very_many_are_taken_in_turns(
    active: Recorder, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A thousand that began together are all due together: one scan would take 0.15 seconds."""
    sampled: Counter[int] = Counter()

    def sample_again(record: Record, slow: Slow, age: float) -> None:
        sampled[record.number] += 1
        slow.next_age = age * 2

    monkeypatch.setattr(active.watch, "_sample_again", sample_again)
    monkeypatch.setattr(active.watch, "_sample", lambda records, now: now)
    count = module.LATER_SAMPLES_PER_SCAN * 2 + 1
    for _ in range(count):
        record = Record("GET", "/", time.monotonic() - 10)
        record.slow = Slow(1.0, None, "group")
        in_flight[record.number] = record
    try:
        now = time.monotonic()
        assert active.watch.scan(now) <= now  # to be called again at once
        assert sampled.total() == module.LATER_SAMPLES_PER_SCAN
        active.watch.scan(now)
        active.watch.scan(now)
        assert set(sampled.values()) == {1}
        assert len(sampled) == count
    finally:
        in_flight.clear()


@pytest.fixture
def watch(active: Recorder, monkeypatch: pytest.MonkeyPatch) -> Any:
    """A watch whose scans the test calls, with what it has reported: numbers of records."""
    reported: list[int] = []

    def report(record: Record, threshold: float) -> None:
        reported.append(record.number)
        record.slow = Slow(threshold, None, "group")
        record.slow.next_age = float("inf")

    monkeypatch.setattr(active.watch, "_report", report)
    monkeypatch.setattr(active.watch, "_sample", lambda records, now: now)
    yield active.watch, reported
    in_flight.clear()


class Time:
    """The records' clock."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = 1000.0
        monkeypatch.setattr(
            records, "clock", SimpleNamespace(monotonic=lambda: self.now, thread_time=lambda: 0.0)
        )

    def passes(self, seconds: float) -> None:
        self.now += seconds


def test_healthy_stream_is_not_slow_however_long_it_is(
    watch: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Bytes sent are progress: the threshold is for the time between two parts."""
    scans, reported = watch
    record = Record("GET", "/feed/", 1000.0)
    time_ = Time(monkeypatch)
    in_flight[record.number] = record
    for _ in range(20):
        time_.passes(4.0)
        due = scans.scan(time_.now)
        assert due == pytest.approx(time_.now + 1.0)  # when the pause becomes too long
        record.part_sent()
    assert reported == []
    record.took = time_.now - record.started
    scans.ending(record, time_.now)
    assert record.slow is None
    time_.passes(5.5)
    scans.scan(time_.now)
    assert reported == [record.number]


def test_stream_that_paused_while_it_could_not_be_sampled_was_slow(
    watch: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The longest pause counts, wherever in it that was, and not the time as a whole."""
    scans, _ = watch
    ends = []
    for pauses in ([4.0, 4.0, 4.0], [1.0, 6.0, 1.0], [6.0], [1.0, 1.0, 6.0]):
        record = Record("GET", "/feed/", 1000.0)
        time_ = Time(monkeypatch)
        for pause in pauses[:-1]:
            time_.passes(pause)
            record.part_sent()
        time_.passes(pauses[-1])
        record.took = time_.now - record.started
        scans.ending(record, time_.now)
        ends.append(record.slow is not None)
    assert ends == [False, True, True, True]


def test_parts_are_seen_by_the_middleware_and_by_asgi(monkeypatch: pytest.MonkeyPatch) -> None:
    """An empty part does not count."""
    time_ = Time(monkeypatch)
    record = Record("GET", "/feed/", 1000.0)
    time_.passes(1.0)
    body = Body(record, None)
    for part in (b"a", b"", b"b"):
        body.part(part)
    assert (record.parts, record.pause, record.last_part) == (2, 1.0, 1001.0)
    exchange = asgi._Exchange(None, None)  # type: ignore[arg-type]
    exchange._record_sent(record, {"type": "http.response.start", "status": 200}, dropped=False)
    time_.passes(3.0)
    for part in (b"", b"c"):
        message = {"type": "http.response.body", "body": part, "more_body": True}
        exchange._record_sent(record, message, dropped=False)
    assert (record.parts, record.pause, record.last_part) == (3, 3.0, 1004.0)


def test_record_that_cannot_be_sampled_does_not_hide_those_behind_it(
    active: Recorder, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever is wrong with one request, the others are sampled in the same scan."""
    sampled: list[int] = []

    def sample_again(record: Record, slow: Slow, age: float) -> None:
        sampled.append(record.number)
        slow.next_age = age * 2
        if len(sampled) == 1:
            raise ValueError("this one")

    monkeypatch.setattr(guard, "loud", False)
    monkeypatch.setattr(active.watch, "_sample_again", sample_again)
    monkeypatch.setattr(active.watch, "_sample", lambda records, now: now)
    for _ in range(3):
        record = Record("GET", "/", time.monotonic() - 10)
        record.slow = Slow(1.0, None, "group")
        in_flight[record.number] = record
    try:
        active.watch.scan(time.monotonic())
        assert sorted(sampled) == sorted(in_flight)
    finally:
        in_flight.clear()
