"""Garbage collections are measured, and only C code of ours runs inside of them."""

from __future__ import annotations

import gc
import sys
import time
from collections.abc import Iterator
from types import FrameType
from typing import Any

import pytest

from slowhound.core.in_flight import current_record, in_flight
from slowhound.core.record import Record
from slowhound.instrument import gc as ours


@pytest.fixture
def record() -> Iterator[Record]:
    """The current record, while collections are watched."""
    ours.ended.clear()
    ours.install()
    made = Record("GET", "/", time.monotonic())
    token = current_record.set(made)
    yield made
    current_record.reset(token)
    ours.uninstall()
    ours.ended.clear()


def described(record: Record) -> dict[str, Any]:
    """A record's fields about collections."""
    event: dict[str, Any] = {}
    ours.describe(record, event)
    return event


def test_collections_of_a_request_are_its_time(record: Record) -> None:
    """They add up."""
    before = time.monotonic()
    gc.collect()
    gc.collect()
    most = time.monotonic() - before
    first = described(record)["gc_time"]
    assert 0 < first <= most
    assert described(record)["gc_time"] == first
    gc.collect()
    assert described(record)["gc_time"] > first


def test_collections_of_others_are_theirs(record: Record) -> None:
    """The first request that ends gives each request its own."""
    other = Record("GET", "/other/", time.monotonic())
    in_flight[other.number] = other
    token = current_record.set(other)
    gc.collect()
    current_record.set(None)
    gc.collect()
    current_record.reset(token)
    assert described(record) == {}
    del in_flight[other.number]
    assert other.gc_time > 0
    assert not ours.ended


def test_no_line_of_python_runs_inside_a_collection(record: Record) -> None:
    """Up to Python 3.11 the GIL could be lost there, in the middle of any C code."""
    called: list[str] = []

    def each(frame: FrameType, event: str, _: Any) -> None:
        # A library of tests may have a callback of its own.
        module = frame.f_globals.get("__name__", "")
        if event == "call" and module.partition(".")[0] == "slowhound":
            called.append(frame.f_code.co_qualname)

    before = sys.getprofile()
    sys.setprofile(each)
    try:
        gc.collect()
    finally:
        sys.setprofile(before)
    assert len(ours.ended) == 1
    assert called == []


def test_nothing_is_watched_any_more_after_uninstall(record: Record) -> None:
    """Other callbacks in `gc.callbacks` stay."""
    others: list[str] = []

    def callback(phase: str, _: object) -> None:
        others.append(phase)

    gc.callbacks.append(callback)
    try:
        ours.uninstall()
        gc.collect()
    finally:
        gc.callbacks.remove(callback)
    assert others == ["start", "stop"]
    assert described(record) == {}


def test_collections_without_a_request_take_no_memory(record: Record) -> None:
    """The oldest are dropped."""
    for _ in range(ours.MOST_COLLECTIONS + 10):
        ours.on_collection("start", {})
        ours.on_collection("stop", {})
    assert len(ours.ended) == ours.MOST_COLLECTIONS
