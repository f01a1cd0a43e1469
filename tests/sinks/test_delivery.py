"""The delivery thread: what is sent to sinks, what is tried again, what survives a restart."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar

import pytest

from slowhound.config.config import Limit
from slowhound.core.report import Report
from slowhound.delivery import backoff, event_queue, memory_spool, sender
from slowhound.delivery import queue as queue_module
from slowhound.delivery import worker as delivery
from slowhound.delivery.backoff import pause_after
from slowhound.delivery.queue import QUEUED_REPORTS_LIMIT, ReportQueue
from slowhound.delivery.spool import Spool, spool_new
from slowhound.delivery.worker import Delivery
from slowhound.runtime.clocks import clock
from slowhound.system import guard, losses
from slowhound.system.os_thread import OsThread
from tests.harness.launch import ROOT
from tests.harness.reports import dead_report, finished, slow_report
from tests.harness.waiting import eventually


class Keeps:
    """A sink that waits for ``go``, and keeps what it gets."""

    got: ClassVar[list[Report]] = []
    ends: ClassVar[list[Report]] = []
    go: threading.Event
    entered: threading.Event
    closed = 0

    def deliver(self, report: Report) -> None:
        Keeps.entered.set()
        Keeps.go.wait()
        Keeps.got.append(report)

    def follow_up(self, report: Report) -> None:
        Keeps.ends.append(report)

    def close(self) -> None:
        Keeps.closed += 1


class Fails:
    """Fails while ``failing`` is set."""

    failing = True
    tried: ClassVar[list[str]] = []

    def deliver(self, report: Report) -> None:
        Fails.tried.append(report.id)
        if Fails.failing:
            raise ConnectionRefusedError("no server")
        Keeps.got.append(report)

    def close(self) -> None:
        raise RuntimeError("closing fails too")


class Picky(Fails):
    """Takes all but one."""

    def deliver(self, report: Report) -> None:
        Fails.tried.append(report.id)
        if "request-0." in report.id:
            raise ValueError("not this one")
        Keeps.got.append(report)


class Counts:
    """Wants every event."""

    events: ClassVar[list[dict[str, Any]]] = []

    def deliver(self, report: Report) -> None:
        Keeps.got.append(report)

    def take_event(self, event: dict[str, Any]) -> None:
        Counts.events.append(event)
        if event.get("bad"):
            raise ValueError("bad event")

    def close(self) -> None:
        pass


class Unmakeable:
    """Cannot be made the first two times."""

    made = 0

    def __init__(self) -> None:
        Unmakeable.made += 1
        if Unmakeable.made < 3:
            raise RuntimeError("no such service yet")

    def deliver(self, report: Report) -> None:
        Keeps.got.append(report)

    def close(self) -> None:
        pass


Make = Callable[..., Delivery]


@pytest.fixture(autouse=True)
def _fresh(monkeypatch: pytest.MonkeyPatch) -> None:
    guard.reset()
    losses.reset()
    for kept in (Keeps.got, Keeps.ends, Fails.tried, Counts.events):
        kept.clear()
    Keeps.go, Keeps.entered, Keeps.closed = threading.Event(), threading.Event(), 0
    Fails.failing, Unmakeable.made = True, 0
    monkeypatch.setattr(delivery, "SPOOL_CHECK_EVERY", 0.05)
    for module in (backoff, sender):
        monkeypatch.setattr(module, "pause_after", lambda _failures: 0.02)


@pytest.fixture
def deliver(tmp_path: Path) -> Iterator[Make]:
    """Makes deliveries to sinks of this module, all with one DIR."""
    made: list[Delivery] = []

    def make(*sinks: str, limit: Limit | None = None) -> Delivery:
        specs = tuple(f"{__name__}.{sink}" for sink in sinks or ("Keeps",))
        made.append(Delivery(specs, str(tmp_path / "dir"), limit))
        return made[-1]

    yield make
    Keeps.go.set()
    for each in made:
        each.stop(5)


def got() -> list[str]:
    return [report.id.removeprefix("request-").removesuffix(".slow") for report in Keeps.got]


def waiting(tmp_path: Path) -> list[str]:
    return Spool(str(tmp_path / "dir")).names()


# The thread


def test_nothing_starts_without_a_report_or_a_sink(deliver: Make) -> None:
    """The thread starts with the first report, and never without sinks."""
    made = deliver()
    assert not made._thread.alive()
    made.put(slow_report())
    assert made._thread.alive()
    none = Delivery((), "/nowhere")
    none.put(slow_report())
    none.start()
    assert not none._thread.alive()
    assert none.feed is None


def test_reports_come_in_order_and_the_stop_flushes(deliver: Make, tmp_path: Path) -> None:
    """What waits when the worker stops is delivered, then the sink is closed."""
    made = deliver()
    for number in range(10):
        made.put(slow_report(number))
    Keeps.go.set()
    made.stop(5)
    assert got() == [str(number) for number in range(10)]
    assert Keeps.closed == 1
    assert waiting(tmp_path) == []


def test_full_queue_drops_its_oldest_and_counts_it(deliver: Make) -> None:
    """While the sink hangs the newest reports are kept; each other one is counted."""
    made = deliver()
    made.put(slow_report(0))
    assert Keeps.entered.wait(5)
    for number in range(1, QUEUED_REPORTS_LIMIT + 8):
        made.put(slow_report(number))
    assert losses.dropped == 7
    Keeps.go.set()
    made.stop(5)
    assert got() == ["0", *(str(number) for number in range(8, QUEUED_REPORTS_LIMIT + 8))]


def test_stop_does_not_wait_for_a_sink_that_hangs(deliver: Make, tmp_path: Path) -> None:
    """It returns after its timeout; the thread still runs and the report is still spooled."""
    made = deliver()
    made.put(slow_report())
    assert Keeps.entered.wait(5)
    made.stop(0.01)
    assert made._thread.alive()
    assert Keeps.got == []
    assert len(waiting(tmp_path)) == 1


def test_forked_child_delivers_its_own_only(deliver: Make) -> None:
    """It starts its own thread, and leaves its parent's reports to the parent."""
    made = deliver()
    made.put(slow_report(0))
    assert Keeps.entered.wait(5)
    made.put(slow_report(1))
    pid = os.fork()
    if pid == 0:
        Keeps.go = threading.Event()
        Keeps.go.set()
        made.put(slow_report(2))
        made.stop(5)
        os._exit(0 if got() == ["2"] else 1)
    assert os.waitpid(pid, 0)[1] == 0
    Keeps.go.set()
    made.stop(5)
    assert got() == ["0", "1"]


def test_thread_that_cannot_start_is_tried_again(
    deliver: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without a thread the report waits for the next one."""

    def fails(_self: OsThread) -> None:
        raise RuntimeError("can't start new thread")

    made = deliver()
    with monkeypatch.context() as patched:
        patched.setattr(delivery.OsThread, "start", fails)
        made.put(slow_report(1))
    Keeps.go.set()
    made.put(slow_report(2))
    made.stop(5)
    assert got() == ["1", "2"]


# Sinks that fail


def test_failed_report_is_tried_again_with_the_same_id(deliver: Make) -> None:
    """Until the sink takes it."""
    made = deliver("Fails")
    made.put(slow_report(1))
    eventually(lambda: len(Fails.tried) >= 3, "three tries")
    assert Keeps.got == []
    Fails.failing = False
    eventually(lambda: got() == ["1"], "the delivery")
    assert set(Fails.tried) == {"request-1.slow"}
    assert losses.dropped == 0


def test_failing_sink_is_logged_once(deliver: Make, caplog: pytest.LogCaptureFixture) -> None:
    """Not with each try."""
    deliver("Fails").put(slow_report(1))
    eventually(lambda: len(Fails.tried) >= 3, "three tries")
    assert sum("Fails failed" in each for each in caplog.messages) == 1


def test_failing_sink_does_not_stop_the_others(deliver: Make, tmp_path: Path) -> None:
    """The good one gets each report once; the reports wait only for the failing one."""
    Keeps.go.set()
    made = deliver("Fails", "Keeps")
    for number in range(5):
        made.put(slow_report(number))
    eventually(lambda: len(got()) == 5 and len(Fails.tried) > 10, "the good one has all")
    made.stop(5)
    assert got() == ["0", "1", "2", "3", "4"]
    assert len(waiting(tmp_path)) == 5
    Keeps.got.clear()
    Fails.failing = False
    again = deliver("Fails", "Keeps")
    again.start()
    eventually(lambda: len(got()) == 5, "the other one has all")
    again.stop(5)
    assert sorted(got()) == ["0", "1", "2", "3", "4"]
    assert waiting(tmp_path) == []


def test_failing_sink_is_not_called_for_a_while(
    deliver: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One try for all that waits, not one for each; the good one gets everything."""
    for module in (backoff, sender):
        monkeypatch.setattr(module, "pause_after", lambda _failures: 3600.0)
    Keeps.go.set()
    made = deliver("Fails", "Keeps")
    for number in range(5):
        made.put(slow_report(number))
    eventually(lambda: len(got()) == 5, "the good one has all")
    made.stop(5)
    assert Fails.tried == ["request-0.slow"]


def test_report_that_no_sink_takes_does_not_stop_the_others(deliver: Make) -> None:
    """The others are sent, and it is tried now and then."""
    made = deliver("Picky")
    for number in range(10):
        made.put(slow_report(number))
    eventually(lambda: len(got()) == 9, "the good ones")
    assert "0" not in got()
    tried = Fails.tried.count("request-0.slow")
    eventually(lambda: Fails.tried.count("request-0.slow") > tried, "one more try")


def test_sink_that_cannot_be_made_is_tried_again(deliver: Make) -> None:
    """It gets the report once it can."""
    made = deliver("Unmakeable")
    made.put(slow_report(1))
    eventually(lambda: got() == ["1"], "the delivery")


def test_pauses_double_up_to_a_limit_and_are_never_the_same() -> None:
    """Workers whose server was away do not all come back at once."""
    for failures, longest in ((1, 2), (3, 8), (10, 300), (10_000, 300)):
        pauses = {pause_after(failures) for _ in range(100)}
        assert len(pauses) > 50
        assert all(longest / 2 <= pause <= longest for pause in pauses)


def test_what_no_sink_takes_for_a_day_is_given_up(
    deliver: Make, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """After several tries, so that a clock put forward loses nothing; it is counted."""
    monkeypatch.setattr(sender, "ITEM_MAX_AGE", -1.0)
    made = deliver("Fails")
    made.put(slow_report(1))
    eventually(lambda: losses.dropped == 1, "that it is counted")
    assert len(Fails.tried) == sender.TRIES_AT_LEAST
    eventually(lambda: not waiting(tmp_path), "that it is removed")


# Rate limit


def test_flood_gives_a_handful_of_messages_and_exact_counts(
    deliver: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    """10,000 reports of one group and one of another: sent and held back add up to all of them."""
    Keeps.go.set()
    now = [1_800_000_000.0]
    monkeypatch.setattr(clock, "time", lambda: now[0])
    made = deliver(limit=Limit(3, 600.0))
    for number in range(10_000):
        made.put(slow_report(number))
        if number == 5000:
            made.put(slow_report(77_777, "ba9876543210"))
    eventually(lambda: len(Keeps.got) == 4, "three of the flood and the other one")
    eventually(lambda: not made._queue, "that all are taken")
    now[0] += 600.0
    eventually(lambda: len(Keeps.got) == 5, "what was held back")
    flood = [report for report in Keeps.got if report.fingerprint != "ba9876543210"]
    assert sum(1 + report.held_back for report in flood) == 10_000
    assert [report.first_seen for report in flood] == [True, False, False, False]
    assert flood[-1].id == "request-9999.slow"
    assert losses.dropped == 0
    made.stop(5)
    assert len(Keeps.got) == 5


def test_limit_outlives_the_worker_and_is_shared(deliver: Make) -> None:
    """Workers that run one after another share it."""
    Keeps.go.set()
    for number in range(4):
        made = deliver(limit=Limit(2, 600.0))
        made.put(slow_report(number))
        made.stop(5)
    assert got() == ["0", "1"]


def test_end_of_a_request_follows_its_report(deliver: Make) -> None:
    """After the report the sink gets how the request ended."""
    Keeps.go.set()
    made = deliver(limit=Limit(2, 600.0))
    made.put(slow_report(1))
    eventually(lambda: got() == ["1"], "the report")
    made.put_end(slow_report(1, finished=finished()))
    eventually(lambda: Keeps.ends, "the end")
    (end,) = Keeps.ends
    assert end.id == Keeps.got[0].id
    assert end.finished == finished()
    assert got() == ["1"]


def test_request_that_ended_before_its_report_was_sent_is_one_message(deliver: Make) -> None:
    """It has the report and how the request ended."""
    made = deliver(limit=Limit(9, 600.0))
    made.put(slow_report(0))
    assert Keeps.entered.wait(5)
    made.put(slow_report(1))
    made.put_end(slow_report(1, finished=finished()))
    Keeps.go.set()
    made.stop(5)
    assert got() == ["0", "1"]
    assert Keeps.got[1].finished == finished()
    assert Keeps.ends == []


def test_end_of_what_was_held_back_is_not_sent(deliver: Make) -> None:
    """No sink has its report."""
    Keeps.go.set()
    made = deliver(limit=Limit(1, 600.0))
    for number in range(20):
        made.put(slow_report(number))
    eventually(lambda: not made._queue, "that all are taken")
    made.put(slow_report(20))  # one that was not counted in the queue
    eventually(lambda: not made._queue, "that it is taken")
    for number in range(1, 21):
        made.put_end(slow_report(number, finished=finished()))
    made.put(slow_report(21, "ba9876543210"))
    made.stop(5)
    assert got() == ["0", "21"]
    assert Keeps.ends == []


@pytest.mark.parametrize("put", [ReportQueue.put, ReportQueue.put_end])
def test_thread_that_holds_the_queues_lock_does_not_wait_for_itself(
    put: Callable[[ReportQueue, Report], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A signal handler, or a finalizer, may end a request while its thread holds the lock."""
    monkeypatch.setattr(queue_module, "LOCK_TIMEOUT", 0.01)
    queue = ReportQueue(1)
    with queue._lock:
        thread = threading.Thread(target=put, args=(queue, slow_report()), daemon=True)
        thread.start()
        thread.join(20)
        assert not thread.is_alive()
    assert losses.dropped == 1


def test_queue_keeps_no_end_of_what_it_did_not_take() -> None:
    """So that a flood of ends is limited too; and no more of them than its limit."""
    queue = ReportQueue(1)
    for number in range(3):
        queue.put(slow_report(number))
    queue.take()
    for number in range(3):
        queue.put_end(slow_report(number, finished=finished()))
    assert [report.id for report in queue.take().ends] == ["request-0.slow"]
    for _ in range(QUEUED_REPORTS_LIMIT + 5):
        queue.put_end(slow_report(0, finished=finished()))
    assert len(queue.take().ends) == QUEUED_REPORTS_LIMIT
    assert losses.dropped == 5


def test_report_that_a_peer_has_sent_is_not_sent_again(deliver: Make) -> None:
    """A worker whose GIL was held was reported by its sibling, maybe in another group."""
    Keeps.go.set()
    sibling, worker = deliver(limit=Limit(3, 600.0)), deliver(limit=Limit(3, 600.0))
    sibling.put(slow_report(1))
    eventually(lambda: got() == ["1"], "the sibling's")
    worker.put(slow_report(1, "ba9876543210"))
    worker.put(slow_report(2))
    eventually(lambda: got() == ["1", "2"], "the worker's own")
    assert Keeps.ends == []
    # It ended before it was sampled.
    worker.put(slow_report(1, "ba9876543210", finished=finished()))
    worker.stop(5)
    assert got() == ["1", "2"]
    assert [report.id for report in Keeps.ends] == ["request-1.slow"]


# Deaths, and events


def test_report_of_an_arbiter_is_sent_by_a_worker(deliver: Make, tmp_path: Path) -> None:
    """Reports that a process without a thread has left are limited too; sinks get their events."""
    for number in range(5):
        spool_new(str(tmp_path / "dir"), dead_report(number))
    made = deliver("Counts", limit=Limit(2, 600.0))
    made.start()
    eventually(lambda: len(Counts.events) == 5 and len(Keeps.got) == 2, "the deaths")
    assert [report.kind for report in Keeps.got] == ["crash", "crash"]
    assert [event["req_id"] for event in Counts.events] == [f"request-{n}" for n in range(5)]
    held = [name for name in waiting(tmp_path) if name.endswith(".held")]
    assert len(held) == 1


def test_sink_that_wants_them_gets_each_event(deliver: Make) -> None:
    """In order, also those before it was made; one that it fails on is not tried again."""
    made = deliver("Counts")
    assert made.feed is not None
    for number in range(5):
        made.feed({"number": number, "bad": number == 1})
    made.start()
    eventually(lambda: len(Counts.events) == 5, "the events")
    made.feed({"number": 5})
    made.stop(5)
    assert [event["number"] for event in Counts.events] == list(range(6))


def test_events_are_not_kept_when_no_sink_wants_them(deliver: Make) -> None:
    """As soon as this is known."""
    made = deliver("Keeps")
    assert made.feed is not None
    made.feed({})
    made.start()
    eventually(lambda: made.feed is None, "that no sink wants them")
    assert not made.events


def test_oldest_events_go_when_no_thread_takes_them(
    deliver: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They are counted."""
    monkeypatch.setattr(event_queue, "QUEUED_EVENTS_LIMIT", 10)
    made = deliver("Counts")
    assert made.feed is not None
    for number in range(25):
        made.feed({"number": number})
    assert losses.dropped == 15
    made.start()
    eventually(lambda: len(Counts.events) == 10, "the events")
    assert Counts.events[0]["number"] == 15


class Emptied(deque[dict[str, Any]]):
    """A queue that the other thread has emptied since its length was read."""

    def __len__(self) -> int:
        return 10

    def popleft(self) -> dict[str, Any]:
        raise IndexError


def test_two_threads_can_take_from_the_events_at_once(
    deliver: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The request's thread, which drops the oldest, and the delivery thread."""
    monkeypatch.setattr(event_queue, "QUEUED_EVENTS_LIMIT", 10)
    made = deliver("Counts")
    made.events._waiting = Emptied()
    assert made.feed is not None
    made.feed({"number": 1})
    made.events.hand_over()
    assert losses.dropped == 0


# What goes wrong with the folder


def test_reports_wait_in_memory_where_the_disk_takes_none(
    deliver: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They are sent, tried again and limited as always; above a limit the oldest go."""

    def full(*_args: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Spool, "_write", full)
    monkeypatch.setattr(memory_spool, "MEMORY_LIMIT", 5)
    made = deliver("Fails")
    for number in range(8):
        made.put(slow_report(number))
    eventually(lambda: len(Fails.tried) > 8, "the tries")
    assert losses.dropped == 3
    Fails.failing = False
    eventually(lambda: len(got()) == 5, "the delivery")
    assert sorted(got()) == ["3", "4", "5", "6", "7"]
    now = [1_800_000_000.0]
    monkeypatch.setattr(clock, "time", lambda: now[0])
    limited = deliver("Fails", limit=Limit(1, 600.0))
    for number in range(20, 30):
        limited.put(slow_report(number, "ba9876543210"))
    eventually(lambda: len(got()) == 6 and not limited._queue, "the first of them")
    now[0] += 600.0
    eventually(lambda: len(got()) == 7, "what was held back")
    assert Keeps.got[-1].id == "request-29.slow"
    assert Keeps.got[-1].held_back == 8


@pytest.mark.parametrize("kind", ["a file", "a link", "writable by all"])
def test_folder_that_cannot_be_used_loses_no_report(
    deliver: Make, tmp_path: Path, kind: str
) -> None:
    """Nothing is written to it, no link is followed, and each report is sent."""
    folder = tmp_path / "dir" / "delivery"
    folder.parent.mkdir(mode=0o700)
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    if kind == "a file":
        folder.touch()
    elif kind == "a link":
        folder.symlink_to(elsewhere)
    else:
        folder.mkdir()
        folder.chmod(0o777)
    Keeps.go.set()
    made = deliver(limit=Limit(3, 600.0))
    for number in range(5):
        made.put(slow_report(number))
    made.stop(5)
    assert got() == ["0", "1", "2"]
    assert list(elsewhere.iterdir()) == []


def test_broken_items_do_not_stop_the_good_ones(deliver: Make, tmp_path: Path) -> None:
    """Files that are no items are removed, or left alone when they are not ours to remove."""
    folder = tmp_path / "dir" / "delivery"
    folder.mkdir(parents=True, mode=0o700)
    for number, ending in enumerate(("due", "new")):
        (folder / f"{number:019}-1-0000000{number}.{ending}").write_bytes(b"\xff{")
        (folder / f"{number:019}-2-0000000{number}.{ending}").symlink_to("/etc/passwd")
    (folder / "ba9876543210.held").write_text("[]")
    (folder / "groups.json").write_text("{")
    Keeps.go.set()
    made = deliver(limit=Limit(3, 600.0))
    made.put(slow_report(1))
    eventually(lambda: got() == ["1"], "the good one")
    eventually(lambda: losses.dropped == 3, "that the others are counted")
    links = {
        f"{number:019}-2-0000000{number}.{ending}" for number, ending in enumerate(("due", "new"))
    }
    eventually(
        lambda: {path.name for path in folder.iterdir() if "-" in path.name} == links,
        "that nothing else is left",
    )


# A process that is killed, at the worst moments

KILLED = """
import json, os, signal, sys, time
from slowhound.delivery.worker import Delivery
from tests.harness.reports import slow_report

moment, directory, out = sys.argv[1:]

class Sink:
    def deliver(self, report):
        if moment == "before":
            os.kill(os.getpid(), signal.SIGKILL)
        with open(out, "a") as file:
            file.write(json.dumps([os.getpid(), report.id]) + "\\n")
        if moment == "after":
            os.kill(os.getpid(), signal.SIGKILL)
    def close(self):
        pass

sys.modules["killed"] = sys.modules["__main__"]
made = Delivery(("killed.Sink",), directory)
if moment == "restart":
    made.start()
else:
    made.put(slow_report(1))
    signal.pause()
deadline = time.monotonic() + 20
while any(each.endswith(".due") for each in os.listdir(directory + "/delivery")):
    time.sleep(0.01)
    assert time.monotonic() < deadline
made.stop()
"""


@pytest.mark.parametrize(("moment", "times"), [("before", 1), ("after", 2)])
def test_killed_process_loses_nothing(tmp_path: Path, moment: str, times: int) -> None:
    """Killed before sending, or before it was marked as sent: the next one sends, same id."""
    directory, out = tmp_path / "dir", tmp_path / "out"
    out.touch()

    def run(what: str) -> int:
        argv = [sys.executable, "-c", KILLED, what, str(directory), str(out)]
        return subprocess.run(argv, cwd=ROOT, timeout=40, check=False).returncode

    assert run(moment) == -signal.SIGKILL
    assert run("restart") == 0
    sent = [json.loads(line) for line in out.read_text().splitlines()]
    assert [key for _, key in sent] == ["request-1.slow"] * times
    assert len({pid for pid, _ in sent}) == times


def test_handing_over_neither_opens_nor_waits(deliver: Make) -> None:
    """Nothing that the hound calls touches the disk or a sink."""
    made = deliver()
    made.put(slow_report(0))
    assert Keeps.entered.wait(5)  # the thread hangs in its sink now
    opened: list[str] = []
    sys.addaudithook(lambda name, args: opened.append(name) if _watching else None)
    report = slow_report(1)
    _watching.append(True)
    try:
        made.put(report)
        made.put_end(replace(report, finished=finished()))
        made.start()
    finally:
        _watching.clear()
    assert not [name for name in opened if name.startswith(("open", "os.", "socket", "fcntl"))]


_watching: list[bool] = []
