"""A process that reports for a peer whose GIL is held: when, and what it leaves for the peer."""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import Any

import msgspec
import pytest

from slowhound.blackbox.peer_reports import PeerReport, add_report, read_reports
from slowhound.blackbox.reader import BoxState
from slowhound.frames.frames import Frame
from slowhound.gil.reading import Reading
from slowhound.gil.unresponsive import UNRESPONSIVE_AFTER
from slowhound.peers import stalled
from slowhound.peers.stalled import StalledPeer
from tests.harness.unresponsive import STUCK, Case, process

pytestmark = [
    pytest.mark.skipif(not sys.platform.startswith("linux"), reason="/proc of Linux tells"),
    pytest.mark.slow,
]

STACK = (Frame("/srv/shop/views.py", 3, "orders"),)


class Later:
    """The clock of a reporter; a test stops it, and sets it to the next time something is due."""

    def __init__(self) -> None:
        self.at: float | None = None

    def monotonic(self) -> float:
        return time.monotonic() if self.at is None else self.at

    def __getattr__(self, name: str) -> Any:
        return getattr(time, name)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Later:
    """All code that checks another process has this clock."""
    later = Later()
    for module in ("peers.stalled", "peers.stalled_reports", "gil.unresponsive"):
        monkeypatch.setattr(f"slowhound.{module}.clock", later)
    return later


def wait_for_report(case: Case, peer: StalledPeer, clock: Later) -> list[float]:
    """Checks whenever something is due; how old the request was each time."""
    state: BoxState = case.wait_unresponsive()
    ages: list[float] = []
    begun = state.heartbeat / 1e9
    clock.at = begun + UNRESPONSIVE_AFTER + 0.1  # however late it is
    while not peer.check(state):
        ages.append(clock.at - begun)
        assert ages[-1] < 200
        assert peer.next_check > clock.at
        clock.at = peer.next_check
    return [*ages, clock.at - begun]


@pytest.mark.parametrize("slow_after", [3.0, 25.0, 120.0])
def test_report_comes_when_it_is_due(tmp_path: Path, clock: Later, slow_after: float) -> None:
    """Also long after the GIL was taken: it must be there before the worker is killed."""
    events: list[dict[str, Any]] = []
    with process(tmp_path, STUCK, slow_after=slow_after) as case:
        ages = wait_for_report(case, StalledPeer(case.path, events.append), clock)
        assert ages[-1] - slow_after < 2 * stalled.SHORTEST_WAIT
        assert len(ages) < 20  # not each second for two minutes
        (event,) = events
        assert (event["event_type"], event["slow_after"]) == ("slow", slow_after)
        assert event["gil_hold_est"] >= slow_after - 1


def test_process_that_may_read_stacks_reports_first(tmp_path: Path, clock: Later) -> None:
    """One that may not waits from when the report is due, however long the GIL was held before."""
    with process(tmp_path, STUCK, slow_after=25.0) as case:
        ages = wait_for_report(case, StalledPeer(case.path, list, patience=6.0), clock)
        assert 25 + 6 <= ages[-1] < 25 + 6 + 2 * stalled.SHORTEST_WAIT


def test_process_can_learn_what_was_reported(tmp_path: Path, clock: Later) -> None:
    """The stack that was read, and the report's name, stand beside the box."""
    events: list[dict[str, Any]] = []
    with process(tmp_path, STUCK, slow_after=3.0) as case:
        pid = case.process.pid
        reader = lambda *_: Reading({pid: STACK}, "py-spy", pid)  # noqa: E731
        wait_for_report(case, StalledPeer(case.path, events.append, readers=[reader]), clock)
        (pending,) = case.state.pending
        left = read_reports(case.path)[pending.number]
        assert pending.reported
        assert (left.by, left.stack) == ("py-spy", [str(STACK[0])])
        assert left.report == events[0]["report"]
        assert left.fingerprint == events[0]["slow_fingerprint"]
        assert left.gil_hold == pytest.approx(events[0]["gil_hold_est"])


def test_report_is_written_once_also_where_it_cannot_be_added_beside_the_box(
    tmp_path: Path, clock: Later
) -> None:
    """The slot is marked as reported, whatever stands in the place of the file."""
    events: list[dict[str, Any]] = []
    with process(tmp_path, STUCK, slow_after=3.0) as case:
        Path(case.path).with_suffix(".reported").mkdir()
        peer = StalledPeer(case.path, events.append)
        wait_for_report(case, peer, clock)
        assert clock.at is not None
        clock.at += 2 * stalled.LONGEST_WAIT
        assert peer.check(case.state) == []
        assert len(events) == 1


REPORT = PeerReport(7, "slow_request_1.log", "b243b292947b", 1, 2.0, loc="café.py:1:crème")
RESTS = {
    "nothing": b"",
    "no report": b"{}\n",
    "no text": b"\xff\x00\n",
    "cut within a character": msgspec.json.encode(REPORT).partition(b"\xc3")[0] + b"\xc3",
    "deep": b"[" * 100_000,
    "a path": msgspec.json.encode(msgspec.structs.replace(REPORT, report="../x.log")),
}


@pytest.mark.parametrize("name", RESTS)
def test_any_bytes_may_stand_beside_a_box(tmp_path: Path, name: str) -> None:
    """What is not a report is left out, and the next report is found after it."""
    box = str(tmp_path / "1-2.box")
    (tmp_path / "1-2.reported").write_bytes(RESTS[name])
    assert read_reports(box) == {}
    add_report(box, REPORT)
    assert read_reports(box) == {7: REPORT}


def test_newest_reports_of_many_are_found(tmp_path: Path) -> None:
    """Of a worker that has reported thousands only the last ones are read."""
    box = str(tmp_path / "1-2.box")
    for number in range(3000):
        add_report(box, msgspec.structs.replace(REPORT, number=number))
    assert list(read_reports(box))[-1] == 2999
    assert 0 not in read_reports(box)


def test_process_that_goes_on_while_it_is_read_reports_itself(tmp_path: Path, clock: Later) -> None:
    """Else there would be two reports of one request, and the second one late."""
    events: list[dict[str, Any]] = []
    with process(tmp_path, STUCK, slow_after=1.0) as case:
        pid = case.process.pid

        def reader(*_: object) -> Reading:
            case.end()  # its request ends while its stack is read
            return Reading({pid: STACK}, "py-spy", pid)

        peer = StalledPeer(case.path, events.append, readers=[reader])
        assert peer.check(case.wait_unresponsive()) == []
        assert events == []
        assert not list(tmp_path.glob("reports/*"))
