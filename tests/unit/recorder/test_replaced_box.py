"""If a black box is removed or truncated, requests in flight get slots in the next one."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from slowhound.blackbox.box import Box
from slowhound.blackbox.reader import Pending, read
from slowhound.core.box_payloads import who_payload
from slowhound.core.record import Record
from slowhound.recorder import replaced_box
from slowhound.recorder.process import Recorder, Server
from slowhound.runtime.clocks import clock
from tests.harness.resting import resting_recorder

SLOTS = 4


@pytest.fixture
def active(tmp_path: Path) -> Iterator[Recorder]:
    """A recorder whose hound does not run."""
    with resting_recorder(tmp_path / "dir", Server("x", SLOTS)) as found:
        yield found


def begun(active: Recorder, path: str = "/a", *, websocket: bool = False) -> Record:
    record = Record("GET", path, clock.monotonic() - 1)
    record.long_lived = websocket
    active.begin(record)
    return record


def pending(active: Recorder) -> tuple[Pending, ...]:
    """What the reader of an ended process's box finds."""
    assert active.own_box.box is not None
    state = read(Path(active.own_box.box.path).read_bytes())
    assert state is not None
    return state.pending


def renew(active: Recorder, how: str = "removed") -> None:
    box = active.own_box.box
    assert box is not None
    if how == "cut":
        os.truncate(box.path, 0)
    else:
        os.unlink(box.path)
    active.own_box.tend()
    assert active.own_box.box is not box


def free(active: Recorder) -> int:
    assert active.own_box.box is not None
    return len(active.own_box.box.free)


@pytest.mark.parametrize("how", ["removed", "cut"])
def test_request_in_flight_is_in_the_next_box(active: Recorder, how: str) -> None:
    """A request in flight has all its data in the next box, and gives its slot back."""
    record = begun(active)
    renew(active, how)
    (found,) = pending(active)
    assert (found.number, found.thread, found.ident, found.who) == (
        record.number,
        record.native_id,
        record.thread_id,
        who_payload(record),
    )
    assert record.slot is not None
    record.slot.view_known("a-view")
    record.slot.query_begins("SELECT a FROM b", 2.0)
    record.slot.write_stack(record.number, b"{}")
    (found,) = pending(active)
    assert (found.view, found.query_began, found.stack) == (b"a-view", 2 * 10**9, b"{}")
    active.finish(record)
    assert pending(active) == ()
    assert free(active) == SLOTS


def test_query_that_runs_goes_on(active: Recorder) -> None:
    """A running query is in the next box, until it ends."""
    record = begun(active)
    assert record.slot is not None
    record.slot.query_begins("SELECT a FROM b", 2.0)
    old = record.slot
    renew(active)
    (found,) = pending(active)
    assert (found.query_began, found.sql) == (2 * 10**9, b"SELECT a FROM b")
    old.query_ends()  # by a request that had not seen its new slot yet
    active.own_box.tend()
    assert pending(active)[0].query_began == 0


def test_request_that_began_without_a_box(active: Recorder) -> None:
    """A request that began without a box, as on a full disk, is in the next one."""
    box, active.own_box.box = active.own_box.box, None
    assert box is not None
    box.close()
    record = begun(active)
    assert record.slot is None
    active.own_box.tend()
    assert [each.number for each in pending(active)] == [record.number]


def test_request_that_is_just_beginning_has_one_slot(active: Recorder) -> None:
    """A request that is just beginning gets one slot, in the old box or in the new one."""
    one, other = begun(active), begun(active)
    one.overhead = other.overhead = 0.0
    renew(active)
    assert pending(active) == ()
    assert active.own_box.box is not None
    one.taken = []
    one.slot = active.own_box.box.claim(one.number, who_payload(one), 1, 1, one.taken)
    active.own_box.tend()
    assert {each.number for each in pending(active)} == {one.number, other.number}
    assert free(active) == SLOTS - 2


def test_requests_come_before_websockets(active: Recorder) -> None:
    """If there are too few slots, requests get them before websockets."""
    sockets = [begun(active, websocket=True) for _ in range(SLOTS)]
    requests = [begun(active) for _ in range(SLOTS - 1)]
    renew(active)
    found = {each.number for each in pending(active)}
    assert found > {each.number for each in requests}
    for each in (*sockets, *requests):
        active.finish(each)
    assert free(active) == SLOTS


@pytest.mark.parametrize("when", ["who_payload", "claim", "_catch_up"])
def test_request_that_ends_meanwhile_leaves_no_slot_taken(
    active: Recorder, monkeypatch: pytest.MonkeyPatch, when: str
) -> None:
    """The slot of a request that ends is free at once, or a minute later, wherever the hound is."""
    record = begun(active)
    holder: Any = Box if when == "claim" else replaced_box
    as_it_was = getattr(holder, when)

    def ends(*given: Any) -> Any:
        active.finish(record)
        return as_it_was(*given)

    monkeypatch.setattr(holder, when, ends)
    renew(active)
    monkeypatch.undo()
    for _ in range(replaced_box.TURNS_TO_RELEASE + 1):
        active.own_box.tend()
    assert free(active) == SLOTS
    assert pending(active) == ()
    after = [begun(active) for _ in range(SLOTS)]
    assert {each.number for each in pending(active)} == {each.number for each in after}


def test_path_that_turns_out_to_be_secret_is_not_kept(
    active: Recorder, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A path that is masked while the hound copies it is not in the new box."""
    record = begun(active, "/reset/t0ken/")
    as_it_was = Box.claim

    def masks(*given: Any) -> Any:
        record.path = "/reset/***/"
        return as_it_was(*given)

    monkeypatch.setattr(Box, "claim", masks)
    renew(active)
    assert active.own_box.box is not None
    assert b"t0ken" not in Path(active.own_box.box.path).read_bytes()
