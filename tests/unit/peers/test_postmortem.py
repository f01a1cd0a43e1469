"""The events of an ended process, made from its box by a living one."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from slowhound.blackbox.box import Box
from slowhound.blackbox.layout import FIRST_SLOT, PARENT_BORN
from slowhound.blackbox.peer_reports import PeerReport, add_report, read_reports
from slowhound.blackbox.reader import read, survey
from slowhound.config.config import load
from slowhound.core.box_payloads import FRAMES, stack_payload, who_payload
from slowhound.core.record import Record
from slowhound.peers import reaper
from slowhound.peers.death import Death
from slowhound.peers.postmortem import ended_box, events
from slowhound.peers.reaper import Reaper
from slowhound.peers.written_events import written_by
from slowhound.recorder.own_box import settings_payload
from slowhound.runtime.clocks import clock
from slowhound.system import losses

VICTIM = """
import os, sys, time
from slowhound.blackbox.box import Box
from slowhound.config.config import load
from slowhound.core.box_payloads import stack_payload, who_payload
from slowhound.recorder.own_box import settings_payload
from slowhound.frames.frames import from_frame
from slowhound.core.record import Record
box = Box(sys.argv[1], 4)
box.settings.write(settings_payload(load({"DIR": sys.argv[1]}), "test"))
if "reaped by parent" in sys.argv:
    box.reaped_by_parent()
for number in range(2):
    record = Record("GET", f"/orders/{number}/", time.monotonic())
    slot = box.claim(record.number, who_payload(record), 7)
    slot.view_known("shop:order")
    slot.query_begins(f"SELECT * FROM t WHERE name = 'secret{number}'", time.monotonic())
    if number:
        slot.query_ends()
    stack = from_frame(sys._getframe())
    slot.write_stack(record.number, stack_payload(record, stack, time.monotonic()))
print("ready", flush=True)
sys.stdin.read()
"""


def die(directory: Path, *options: str) -> int:
    """A process with two requests in flight is killed; its pid."""
    child = subprocess.Popen(
        [sys.executable, "-c", VICTIM, str(directory), *options],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    with child:
        assert child.stdout is not None
        child.stdout.readline()
        child.send_signal(signal.SIGKILL)
        child.wait()
    return child.pid


def test_each_request_of_an_ended_process_has_its_event(tmp_path: Path) -> None:
    """Which request, where, for how long, and the running query without its literals."""
    pid = die(tmp_path)
    _, (path,) = survey(str(tmp_path))
    with ended_box(path) as state:
        assert state is not None
        began = json.loads(state.pending[0].who)["started"]
        death = Death("signal", "SIGKILL", began + 40)
        first, second = events(state, death, lambda req_id: False)
        query_began = state.pending[0].query_began / 1e9
    assert (first["event_type"], first["crash_cause"], first["crash_signal"]) == (
        "crash",
        "signal",
        "SIGKILL",
    )
    assert (first["req_path"], first["pid"], first["resp_outcome"]) == ("/orders/0/", pid, "killed")
    assert first["crash_sql"] == "SELECT * FROM t WHERE name = ?"
    assert first["resp_time"] == pytest.approx(40)
    assert first["crash_sql_time"] == pytest.approx(began + 40 - query_began)
    assert (first["resp_view"], second["resp_view"]) == ("shop:order", "shop:order")
    assert "crash_sql" not in second
    assert "<module>" in first["crash_stack"]
    assert not os.path.exists(path)


def test_what_a_peer_has_read_is_in_the_event(tmp_path: Path) -> None:
    """The stack while the GIL was held, the report, and for how long, up to the end."""
    die(tmp_path)
    _, (path,) = survey(str(tmp_path))
    stack = ["shop/urls.py:1:route", "re/__init__.py:185:sub"]
    with ended_box(path) as state:
        assert state is not None
        at = time.monotonic()
        seen = PeerReport(
            state.pending[0].number,
            "slow_request_1.log",
            "b243b292947b",
            state.heartbeat,
            at,
            loc=stack[0],
            by="py-spy",
            stack=stack,
            gil_hold=5.0,
        )
        add_report(path, seen)
        death = Death("timeout", "SIGKILL", at + 3)
        first, second = events(state, death, lambda req_id: False, None, read_reports(path))
        add_report(path, msgspec.structs.replace(seen, heartbeat=state.heartbeat - 1))
        later, _ = events(state, death, lambda req_id: False, None, read_reports(path))
    assert first["timeout_stack"] == " < ".join(reversed(stack))
    assert (first["timeout_loc"], first["timeout_cause_loc"]) == (stack[1], stack[0])
    assert (first["timeout_stack_by"], first["report"]) == ("py-spy", "slow_request_1.log")
    assert first["timeout_stack_age"] == pytest.approx(3)
    assert first["gil_hold_est"] == pytest.approx(8)
    assert later["gil_hold_est"] == 5  # the process has run since: it was held until then
    assert {"report", "gil_hold_est"}.isdisjoint(second)
    assert not list(Path(path).parent.iterdir())


def test_event_that_was_written_is_not_written_again(tmp_path: Path) -> None:
    """The process may die between its event and the release of the slot."""
    pid = die(tmp_path)
    _, (path,) = survey(str(tmp_path))
    state = read(Path(path).read_bytes())
    assert state is not None
    done = json.loads(state.pending[0].who)["id"]
    (tmp_path / "events").mkdir()
    (tmp_path / "events" / f"1-{pid}-0.jsonl").write_text(
        f'{{"event_type":"request","req_id":"{done}","req_method":"GET"}}\n'
        f'{{"event_type":"slow","req_id":"{json.loads(state.pending[1].who)["id"]}"}}\n'
    )
    found = events(state, Death("unknown"), written_by(str(tmp_path), pid))
    assert [event["req_path"] for event in found] == ["/orders/1/"]


def test_torn_event_was_not_written(tmp_path: Path) -> None:
    """SIGKILL can end a write between two pages: a line without its end is not an event."""
    pid = die(tmp_path)
    _, (path,) = survey(str(tmp_path))
    state = read(Path(path).read_bytes())
    assert state is not None
    ident = json.loads(state.pending[0].who)["id"]
    (tmp_path / "events").mkdir()
    segment = tmp_path / "events" / f"1-{pid}-0.jsonl"
    segment.write_text(f'{{"event_type":"request","req_id":"{ident}","req_met')
    found = events(state, Death("unknown"), written_by(str(tmp_path), pid))
    assert [event["req_path"] for event in found] == ["/orders/0/", "/orders/1/"]


def test_only_one_of_two_reapers_gets_a_box(tmp_path: Path) -> None:
    """The lock decides."""
    die(tmp_path)
    _, (path,) = survey(str(tmp_path))
    with ended_box(path) as first, ended_box(path) as second:
        assert first is not None
        assert second is None
    with ended_box(path) as third:
        assert third is None


def test_living_box_is_left_alone(tmp_path: Path) -> None:
    """A living process is not reaped."""
    box = Box(str(tmp_path), 1)
    with ended_box(box.path) as state:
        assert state is None
    assert os.path.exists(box.path)
    box.close()


def test_peer_waits_for_the_parent_and_then_writes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The parent knows the cause; a peer, which does not, waits before it writes."""
    die(tmp_path)
    now = [100.0]
    monkeypatch.setattr(clock, "monotonic", lambda: now[0])
    written: list[dict[str, Any]] = []
    each = Reaper(written.append)
    each.reap(survey(str(tmp_path))[1])
    assert not written
    now[0] += reaper.PARENT_PATIENCE
    each.reap(survey(str(tmp_path))[1])
    assert [event["crash_cause"] for event in written] == ["unknown", "unknown"]
    assert survey(str(tmp_path)) == ([], [])
    assert losses.dropped == 0


def test_peer_waits_longer_for_a_parent_that_lives_and_reaps(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It may be waiting for py-spy, or for a CPU; but not for ever."""
    die(tmp_path, "reaped by parent")
    now = [100.0]
    monkeypatch.setattr(clock, "monotonic", lambda: now[0])
    written: list[dict[str, Any]] = []
    each = Reaper(written.append)
    for then in (100.0, 100.0 + reaper.PARENT_PATIENCE, 99.9 + reaper.LIVING_PARENT_PATIENCE):
        now[0] = then
        each.reap(survey(str(tmp_path))[1])
        assert not written
    now[0] = 100.0 + reaper.LIVING_PARENT_PATIENCE
    each.reap(survey(str(tmp_path))[1])
    assert len(written) == 2


def test_ended_parent_reaps_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its pid may even belong to another process by now, which began at another time."""
    die(tmp_path, "reaped by parent")
    (path,) = survey(str(tmp_path))[1]
    with open(path, "r+b") as box:
        box.seek(PARENT_BORN * 8)
        box.write((1).to_bytes(8, sys.byteorder))
    now = [100.0]
    monkeypatch.setattr(clock, "monotonic", lambda: now[0])
    written: list[dict[str, Any]] = []
    each = Reaper(written.append)
    each.reap([path])
    now[0] += reaper.PARENT_PATIENCE
    each.reap([path])
    assert len(written) == 2


def test_causes_are_distinguished() -> None:
    """A cause that is not certain is not given."""
    assert Death.of_status(signal.SIGSEGV, timed_out=False).cause == "segfault"
    assert Death.of_status(signal.SIGKILL, timed_out=True).cause == "timeout"
    assert Death.of_status(3 << 8, timed_out=False).cause == "exit"
    assert Death.of_status(None, timed_out=False).cause == "unknown"
    assert Death.of_status(50, timed_out=False).signal == "signal 50"


@given(st.binary(max_size=FIRST_SLOT * 2))
def test_any_bytes_are_read_without_an_exception(data: bytes) -> None:
    """Noise is not a box."""
    assert read(data) is None


@settings(max_examples=150)
@given(st.data())
def test_damaged_box_gives_a_part_or_nothing(tmp_path_factory: Any, data: st.DataObject) -> None:
    """A box that is cut or overwritten anywhere gives events, never an exception."""
    folder = tmp_path_factory.mktemp("box")
    box = Box(str(folder), 2)
    box.settings.write(settings_payload(load({}), "test"))
    record = Record("GET", "/", 1.0)
    slot = box.claim(record.number, who_payload(record), 7)
    assert slot is not None
    slot.query_begins("SELECT 1", 2.0)
    slot.write_stack(record.number, stack_payload(record, (), 3.0))
    whole = bytearray(Path(box.path).read_bytes())
    box.close()
    whole = whole[: data.draw(st.integers(0, len(whole)))] if data.draw(st.booleans()) else whole
    for _ in range(data.draw(st.integers(0, 5))):
        if whole:
            at = data.draw(st.integers(0, len(whole) - 1))
            noise = data.draw(st.binary(max_size=40))
            whole[at : at + len(noise)] = noise
    state = read(bytes(whole))
    if state is not None:
        for event in events(state, Death("unknown"), lambda req_id: False):
            json.dumps(event)


def test_payloads_fit_whatever_they_hold() -> None:
    """Long and hostile texts are cut to what an area takes, and stay whole JSON."""
    from slowhound.blackbox.layout import HALF_STACK, HALF_WHO
    from slowhound.frames.frames import Frame

    record = Record("G" * 5000, "/\x00\u202e\U0001f600" * 5000, 1.0)
    record.environ = {"HTTP_REFERER": "\x1b" * 9000, "HTTP_USER_AGENT": '"' * 9000}
    payload = who_payload(record)
    assert len(payload) <= HALF_WHO - 16
    assert json.loads(payload)["id"] == record.id
    stack = tuple(Frame("\x00" * 3000, 1, "\x01" * 3000) for _ in range(FRAMES * 2))
    payload = stack_payload(record, stack, 1.0)
    assert len(payload) <= HALF_STACK - 16
    assert json.loads(payload)["taken"] == 1.0


def test_half_written_payload_leaves_the_one_before(tmp_path: Path) -> None:
    """A process that dies inside a write still has the older half."""
    box = Box(str(tmp_path), 1)
    slot = box.claim(1, b'{"id":"old"}', 7)
    assert slot is not None
    slot.who.write(b'{"id":"new"}', 1)
    data = bytearray(Path(box.path).read_bytes())
    at = data.index(b'{"id":"new"}')
    data[at : at + 3] = b"xxx"
    state = read(bytes(data))
    assert state is not None
    assert state.pending[0].who == b'{"id":"old"}'
    box.close()


def test_more_requests_than_slots_are_counted(tmp_path: Path) -> None:
    """Never an error."""
    box = Box(str(tmp_path), 1)
    assert box.claim(1, b"{}", 7) is not None
    assert box.claim(2, b"{}", 7) is None
    state = read(Path(box.path).read_bytes())
    assert state is not None
    assert (state.overflow, [each.number for each in state.pending]) == (1, [1])
    box.close()


def test_slot_keeps_nothing_of_an_earlier_request(tmp_path: Path) -> None:
    """A query and a stack belong to the request that they were written for."""
    box = Box(str(tmp_path), 1)
    slot = box.claim(1, b"{}", 7)
    assert slot is not None
    slot.query_begins("SELECT 1", 1.0)
    slot.write_stack(1, b"{}")
    slot.release()
    assert box.claim(2, b"{}", 7) is slot
    state = read(Path(box.path).read_bytes())
    assert state is not None
    (pending,) = state.pending
    assert (pending.number, pending.query_began, pending.sql, pending.stack) == (2, 0, b"", b"")
    box.close()
