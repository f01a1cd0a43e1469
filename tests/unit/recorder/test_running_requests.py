"""A request that goes on while its event and report are written harms neither."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any

import pytest

import slowhound
from slowhound import Context
from slowhound.config.from_django import get_config
from slowhound.core.box_payloads import stack_payload, who_payload
from slowhound.core.in_flight import current_record
from slowhound.core.observations import QueryStats, Snapshot
from slowhound.core.record import Record
from slowhound.frames.frames import from_frame
from slowhound.instrument import events
from slowhound.instrument.cache_counts import NO_COUNTS
from slowhound.on_demand.responses import timings
from slowhound.recorder import process
from slowhound.recorder.recorder import Recorder
from slowhound.runtime.clocks import clock
from slowhound.testing import capture_events
from slowhound.watch.reporter import begin
from slowhound.watch.samples import judge

OURS = str(Path(slowhound.__file__).parent)


def goes_on(record: Record) -> None:
    """Does what the request's own thread may do between two steps of the hound."""
    assert record.extras is not None
    assert record.queries is not None
    assert record.cache is not None
    if "app_last" in record.extras:
        del record.extras["app_last"]
        del record.queries["default", "SELECT 0"]
        record.cache = NO_COUNTS._asdict()
    else:
        record.extras["app_last"] = 1
        record.queries["default", "SELECT 0"] = QueryStats()
        record.cache.pop("cache_sets", None)
    record.note(clock.monotonic(), 0.1, "sql", "SELECT 1")


@contextmanager
def beside(record: Record) -> Iterator[None]:
    """Calls this at each line of slowhound's code."""

    def step(frame: FrameType, event: str, arg: Any) -> Any:
        if not frame.f_code.co_filename.startswith(OURS):
            return None
        sys.settrace(None)
        goes_on(record)
        sys.settrace(step)
        return step

    before = sys.gettrace()
    sys.settrace(step)
    try:
        yield
    finally:
        sys.settrace(before)


@pytest.fixture
def active(configure: Any) -> Iterator[Recorder]:
    configure()
    found = process.start(get_config())
    assert found is not None
    yield found
    process.stop()


@pytest.fixture
def captured(active: Recorder) -> Iterator[list[dict[str, Any]]]:
    with capture_events() as events_so_far:
        yield events_so_far


@pytest.fixture
def record(active: Recorder, captured: list[dict[str, Any]]) -> Iterator[Record]:
    """The record of a request that has done something of each kind."""
    record = Record("GET", "/slow/", clock.monotonic() - 5.0)
    active.begin(record)
    for number in range(20):
        Context.set(f"field_{number}", {"a": [number]})
    statements = (("default", f"SELECT {number}, %s") for number in range(1, 20))
    record.queries = {statement: QueryStats() for statement in statements}
    for stats in record.queries.values():
        stats.count = 7
    record.cache = NO_COUNTS._asdict()
    record.note(record.started, 0.1, "sql", "SELECT 1")
    yield record
    current_record.set(None)
    active.finish(record)


def writes_event(active: Recorder, record: Record) -> None:
    active.emit(active.describe_slow(record, 5.0), record)


def writes_report(active: Recorder, record: Record) -> None:
    snapshot = Snapshot(5.0, from_frame(sys._getframe()))
    slow = begin(record, 1.0, snapshot)
    assert record.claim_slow(slow)
    active.watch.reporter.name(record, slow)
    active.watch.reporter.write(record, slow, snapshot)
    active.watch.reporter.again(record, slow, snapshot, judge(record).text)


def writes_payloads(active: Recorder, record: Record) -> None:
    who_payload(record)
    stack_payload(record, from_frame(sys._getframe()), 1.0)


def draws_graph(active: Recorder, record: Record) -> None:
    events.terminal(record, 1.0)
    timings(record, whole=True)


@pytest.mark.parametrize("does", [writes_event, writes_report, writes_payloads, draws_graph])
def test_request_that_goes_on_harms_neither_event_nor_report(
    does: Callable[[Recorder, Record], None],
    active: Recorder,
    record: Record,
    captured: list[dict[str, Any]],
) -> None:
    """Fields and queries may be added and removed at each step of slowhound's code."""
    with beside(record):
        does(active, record)
    if does in (writes_event, writes_report):
        (event,) = captured
        assert event["event_type"] == "slow"
        assert event["app_field_19"] == {"a": [19]}
        assert event["db_dup_queries"] == 19 * 7
