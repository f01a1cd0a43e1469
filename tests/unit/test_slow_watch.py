"""The watch over slow requests, when very many are due at once."""

from __future__ import annotations

import time
from collections import Counter
from typing import Any

import pytest
from django.test import Client

from slowhound import guard, recorder
from slowhound.record import Record, in_flight
from slowhound.watch import slow as module
from slowhound.watch.reporter import Slow


def test_later_looks_at_very_many_are_taken_in_turns(
    client: Client, configure: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A thousand that began together are all due together: one scan would take 0.15 seconds."""
    configure(SLOW_AFTER=3600)
    client.get("/")
    active = recorder.get()
    assert active is not None
    active.hound.stop()
    looked: Counter[int] = Counter()

    def look_again(record: Record, slow: Slow, age: float) -> None:
        looked[record.number] += 1
        slow.next_age = age * 2

    monkeypatch.setattr(active.watch, "_look_again", look_again)
    monkeypatch.setattr(active.watch, "_look", lambda records, now: now)
    count = module.LATER_LOOKS_PER_SCAN * 2 + 1
    for _ in range(count):
        record = Record("GET", "/", time.monotonic() - 10)
        record.slow = Slow(1.0, None, "group")
        in_flight[record.number] = record
    try:
        now = time.monotonic()
        assert active.watch.scan(now) <= now  # to be called again at once
        assert looked.total() == module.LATER_LOOKS_PER_SCAN
        active.watch.scan(now)
        active.watch.scan(now)
        assert set(looked.values()) == {1}
        assert len(looked) == count
    finally:
        in_flight.clear()


def test_record_that_cannot_be_looked_at_does_not_hide_those_behind_it(
    client: Client, configure: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever is wrong with one request, the others have their looks in the same scan."""
    configure(SLOW_AFTER=3600)
    client.get("/")
    active = recorder.get()
    assert active is not None
    active.hound.stop()
    looked: list[int] = []

    def look_again(record: Record, slow: Slow, age: float) -> None:
        looked.append(record.number)
        slow.next_age = age * 2
        if len(looked) == 1:
            raise ValueError("this one")

    monkeypatch.setattr(guard, "loud", False)
    monkeypatch.setattr(active.watch, "_look_again", look_again)
    monkeypatch.setattr(active.watch, "_look", lambda records, now: now)
    for _ in range(3):
        record = Record("GET", "/", time.monotonic() - 10)
        record.slow = Slow(1.0, None, "group")
        in_flight[record.number] = record
    try:
        active.watch.scan(time.monotonic())
        assert sorted(looked) == sorted(in_flight)
    finally:
        in_flight.clear()
