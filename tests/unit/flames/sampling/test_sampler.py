"""Requests that last have a profile, for free; within a budget, and whatever breaks."""

from __future__ import annotations

import os
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from django.db import connection, connections
from django.db.backends.base.base import BaseDatabaseWrapper
from django.http import HttpRequest, HttpResponse
from django.test import Client
from django.test.utils import override_settings
from django.urls import path

from slowhound.core.record import Record, in_flight
from slowhound.flames.files import FlameFiles
from slowhound.flames.profile import UNSAMPLED, Profile
from slowhound.flames.sampling import profile_writer, switch_interval
from slowhound.flames.sampling import sampler as module
from slowhound.flames.sampling.sampler import Sampler
from slowhound.flames.sampling.schedule import BURST, Budget
from slowhound.recorder import process
from slowhound.system import guard, losses
from slowhound.testing import capture_events
from tests.harness.waiting import eventually

# Set by a test's fixture: the view waits here until the test has seen enough.
gates: dict[str, threading.Event] = {}


def waits(request: HttpRequest) -> HttpResponse:
    gates["entered"].set()
    gates["open"].wait(20)
    return HttpResponse("done")


def queries(request: HttpRequest) -> HttpResponse:
    """One statement that lasts until the gate is open."""
    connection.ensure_connection()
    connection.connection.create_function("gate", 0, gates["open"].wait)
    gates["entered"].set()
    with connection.cursor() as cursor:
        cursor.execute("SELECT gate(), 'secret'")
    # Its thread ends with the request; Django itself leaves one that is in memory open.
    BaseDatabaseWrapper.close(connections["default"])
    return HttpResponse("done")


def quick(request: HttpRequest) -> HttpResponse:
    return HttpResponse("quick")


urlpatterns = [path("waits/", waits), path("queries/", queries), path("quick/", quick)]


@pytest.fixture(autouse=True)
def _site() -> Iterator[None]:
    gates.update(open=threading.Event(), entered=threading.Event())
    with override_settings(ROOT_URLCONF=__name__):
        yield
    gates["open"].set()
    in_flight.clear()


def sampler_of() -> Sampler:
    active = process.get()
    assert active is not None
    return active.sampler


def samples_taken() -> int:
    return sum(samples.taken for samples in list(sampler_of()._samples.values()) if samples)


def ask(url: str, samples: int = 3) -> dict[str, Any]:
    """The terminal event of a request that ends once it was looked at so often."""
    with capture_events() as events:
        answers: list[Any] = []
        thread = threading.Thread(target=lambda: answers.append(Client().get(url)))
        thread.start()
        assert gates["entered"].wait(20)
        before = samples_taken()
        eventually(lambda: samples_taken() >= before + samples, "looks at the view")
        gates["open"].set()
        thread.join()
        assert answers[0].status_code == 200
    return events[-1]


def profile_of(event: dict[str, Any], directory: Path) -> Profile:
    files = FlameFiles(str(directory), 10**9)

    def read() -> Profile | None:
        found = files.read(event["flame"])
        return found if "resp_time" in found.event else None

    return eventually(read, "the profile's file, with all of it")


def names(profile: Profile) -> set[str]:
    return {frame.name for frame in profile.frames}


def test_request_that_lasts_has_a_profile(configure: Any) -> None:
    """Its event names the file; the graph shows the view, and covers the request."""
    directory = configure(SAMPLE_AFTER=0.05)
    event = ask("/waits/")
    profile = profile_of(event, directory)
    assert "waits" in names(profile)
    assert profile.event["req_id"] == event["req_id"]
    assert profile.event["resp_time"] == event["resp_time"]
    assert profile.duration <= event["resp_time"]
    assert sum(each.weight for each in profile.samples) == pytest.approx(profile.duration)
    assert profile.accuracy.taken >= 3
    # On a busy machine also times in which nobody could look.
    states = {each.state for each in profile.samples}
    assert "waiting" in states
    assert states <= {"waiting", "running", "starved", UNSAMPLED}


def test_wait_is_a_leaf_and_middleware_is_named(configure: Any) -> None:
    """The lock that it waited for, and slowhound's own middleware, which is a class."""
    directory = configure(SAMPLE_AFTER=0.05)
    profile = profile_of(ask("/waits/"), directory)
    assert any(frame.kind == "wait" for frame in profile.frames)
    kinds = {frame.kind for frame in profile.frames if "SlowhoundMiddleware" in frame.name}
    assert kinds == {"middleware"}


def test_statement_is_a_frame_without_its_literals(configure: Any) -> None:
    """It stands below the view and above the database's library."""
    directory = configure(SAMPLE_AFTER=0.05)
    profile = profile_of(ask("/queries/"), directory)
    stacks = [[profile.frames[each] for each in stack] for stack in profile.stacks]
    stack = next(each for each in stacks if "sql" in [frame.kind for frame in each])
    place = [frame.kind for frame in stack].index("sql")
    assert stack[place].name == "SELECT gate(), ?"
    assert stack[place - 1].name == "queries"
    assert stack[place + 1].kind == "library"
    assert "secret" not in str(profile)


def test_quick_request_has_none(configure: Any) -> None:
    """Neither a file nor a name; nothing is remembered of it."""
    directory = configure(SAMPLE_AFTER=5)
    with capture_events() as events:
        Client().get("/quick/")
    assert "flame" not in events[-1]
    assert not (directory / "flames").exists()
    assert not sampler_of()._samples


def test_ignored_request_has_none(configure: Any) -> None:
    """What is not watched is not sampled."""
    configure(SAMPLE_AFTER=0.05, IGNORE=["/waits/"])
    with capture_events() as events:
        thread = threading.Thread(target=lambda: Client().get("/waits/"))
        thread.start()
        eventually(lambda: list(sampler_of()._samples.values()) == [None], "the refusal")
        gates["open"].set()
        thread.join()
    assert "flame" not in events[-1]


def test_report_and_slow_event_name_the_profile(configure: Any) -> None:
    """It has its name before the report is written."""
    directory = configure(SAMPLE_AFTER=0.02, SLOW_AFTER=0.1)
    with capture_events() as events:
        thread = threading.Thread(target=lambda: Client().get("/waits/"))
        thread.start()
        eventually(lambda: [e for e in events if e["event_type"] == "slow"], "the report")
        gates["open"].set()
        thread.join()
    slow = next(event for event in events if event["event_type"] == "slow")
    assert slow["flame"] == events[-1]["flame"]
    text = (directory / "reports" / slow["report"]).read_text()
    assert f"Flame graph: {slow['flame']}" in text
    profile_of(slow, directory)


def test_broken_sampler_never_hurts(
    configure: Any, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """The response stays; after ten failures the part is off, and gives back what it took."""
    guard.loud = False
    directory = configure(SAMPLE_AFTER=0.01)

    def broken(*_: object) -> None:
        raise RuntimeError("broken")

    monkeypatch.setattr(module, "sample_stack", broken)
    with capture_events() as events:
        thread = threading.Thread(target=lambda: Client().get("/waits/"))
        thread.start()
        eventually(lambda: guard.guard("sampler").off, "the part to be switched off")
        eventually(lambda: sys.getswitchinterval() == pytest.approx(0.005), "Python's own interval")
        gates["open"].set()
        thread.join()
    assert events[-1]["resp_status"] == 200
    if "flame" in events[-1]:  # of what the watchdog saw, which was not broken
        profile_of(events[-1], directory)
    assert sum("sampler failed" in message for message in caplog.messages) == 1


def test_interval_that_the_application_saved_is_given_back(configure: Any) -> None:
    """It saved ours within a request, and sets it again when nothing is in flight."""
    configure(SAMPLE_AFTER=0.05)
    before = sys.getswitchinterval()
    ask("/waits/")
    active = process.get()
    assert active is not None
    eventually(lambda: active.sampler._at_rest, "that nothing is in flight")
    eventually(lambda: sys.getswitchinterval() == before, "Python's own interval")
    sys.setswitchinterval(1e-6 * (switch_interval.OURS + 0.5))
    eventually(lambda: sys.getswitchinterval() == before, "Python's own interval, again")


def test_interval_of_switches_is_given_back(configure: Any) -> None:
    """It is lowered while a request is sampled, and no longer."""
    configure(SAMPLE_AFTER=0.02)
    before = sys.getswitchinterval()
    ask("/waits/")
    eventually(lambda: sys.getswitchinterval() == before, "Python's own interval")


# Many at once, with no hound: rounds are made by hand.


@pytest.fixture
def many(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[int], Sampler]]:
    """A sampler, and so many requests in flight that are carried by one thread that waits."""
    # Each round has the time for all of them, also without a CPU.
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
    switch_interval.restore(module.SHORTENED_BY)
    end.set()
    thread.join()


def passes(sampler: Sampler, count: int) -> None:
    for _ in range(count):
        sampler._due = 0.0
        sampler.awake()
        sampler.scan(time.monotonic())
        for record in list(in_flight.values()):
            sampler.writer.announce(record)


def test_hundreds_at_once_take_turns_within_the_time_of_a_round(
    many: Callable[[int], Sampler], monkeypatch: pytest.MonkeyPatch
) -> None:
    """None is forgotten, none is looked at again before all were; what is left out is counted."""
    sampler = many(500)
    monkeypatch.setattr(module, "LONGEST_PASS", 0.0)  # so each has one or two looks
    made = 0
    while any(each.taken == 0 for each in sampler._samples.values()) or not made:
        assert made <= 500, "some were never looked at"
        sampler._budget._saved = 10.0  # what is tested here are the turns
        passes(sampler, 1)
        made += 1
    taken = [samples.taken for samples in sampler._samples.values()]
    assert max(taken) - min(taken) <= 1
    assert sum(samples.left_out for samples in sampler._samples.values()) > 0


def test_without_budget_looks_are_left_out_and_counted(many: Callable[[int], Sampler]) -> None:
    """A look that is not taken is known to be due."""
    sampler = many(3)
    sampler._budget._saved = -1000.0
    passes(sampler, 4)
    assert [(each.taken, each.left_out) for each in sampler._samples.values()] == [(0, 4)] * 3


def test_no_more_requests_are_sampled_than_there_is_room_for(
    many: Callable[[int], Sampler], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The others have no name of a file that will not be there."""
    monkeypatch.setattr(module, "MOST_REQUESTS", 5)
    sampler = many(8)
    passes(sampler, 2)
    assert sum(record.flame is not None for record in in_flight.values()) == 5


def test_entries_have_a_limit(
    many: Callable[[int], Sampler], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Beyond it looks are left out, and counted."""
    sampler = many(2)
    monkeypatch.setattr(module, "MOST_ENTRIES", 0)
    passes(sampler, 3)
    assert [each.left_out for each in sampler._samples.values()] == [3, 3]


def test_files_beyond_the_queue_are_lost_and_counted(
    many: Callable[[int], Sampler], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A request whose file will not be written does not name it."""
    monkeypatch.setattr(profile_writer, "MOST_WAITING", 2)
    sampler = many(4)
    sampler._budget._saved = 10.0
    passes(sampler, 1)
    kept = []
    for record in list(in_flight.values()):
        del in_flight[record.number]
        record.took = 10.0
        ended = sampler.ending(record, time.monotonic())
        if ended is not None:
            sampler.writer.put(ended, {"req_id": record.id, "odd": SimpleNamespace()})
            kept.append(record)
        else:
            assert record.flame is None
    assert len(kept) == 2
    assert losses.dropped == 2
    sampler.writer._budget._saved = -1.0
    assert sampler.writer.write(time.monotonic()) != float("inf")
    assert len(sampler.writer._ended) == 2  # no time for them yet
    sampler.stop()
    for record in kept:
        assert sampler.writer.files.read(record.flame or "").event["req_id"] == record.id


def test_sampler_forgets_what_has_ended(many: Callable[[int], Sampler]) -> None:
    """Also a request that ended without its thread saying so."""
    sampler = many(3)
    passes(sampler, 1)
    in_flight.clear()
    passes(sampler, 1)
    assert not sampler._samples
    assert not sampler._keys


def test_file_is_there_before_an_event_can_name_it(many: Callable[[int], Sampler]) -> None:
    """Whatever happens to its worker: with what has been seen so far."""
    sampler = many(1)
    (record,) = in_flight.values()
    sampler._due = 0.0
    sampler.scan(time.monotonic())
    assert record.flame is None
    sampler.writer.write(time.monotonic())
    assert record.flame is not None
    first = sampler.writer.files.read(record.flame)
    assert first.event == {"req_id": record.id}
    assert first.duration == pytest.approx(sum(each.weight for each in first.samples))
    ended = sampler.ending(record, time.monotonic())
    assert ended is not None
    sampler.writer.put(ended, {"req_id": record.id, "resp_time": 10.0})
    sampler.writer._budget._saved = 1.0
    sampler.writer.write(time.monotonic())
    assert sampler.writer.files.read(record.flame).event["resp_time"] == 10.0
    assert len(os.listdir(os.path.join(sampler.writer.files.directory, "flames"))) == 1


@pytest.mark.parametrize("fails", ["profile_of", "rewrite"])
def test_graph_that_cannot_be_made_is_not_named_for_nothing(
    many: Callable[[int], Sampler], monkeypatch: pytest.MonkeyPatch, fails: str
) -> None:
    """What the event names is there all the same, and can be read."""
    monkeypatch.setattr(guard, "loud", False)
    sampler = many(1)
    passes(sampler, 1)
    (record,) = in_flight.values()
    ended = sampler.ending(record, time.monotonic())
    assert ended is not None
    sampler.writer.put(ended, {})

    def broken(*_: object) -> None:
        raise RuntimeError("broken")

    owner = profile_writer if fails == "profile_of" else sampler.writer.files
    monkeypatch.setattr(owner, fails, broken)
    sampler.stop()
    assert record.flame is not None
    assert sampler.writer.files.read(record.flame).event == {"req_id": record.id}


def test_graph_that_cannot_be_written_is_not_named(
    many: Callable[[int], Sampler], tmp_path: Path
) -> None:
    """Here a file is in the place of the folder."""
    (tmp_path / "dir").write_text("no folder")
    sampler = many(2)
    passes(sampler, 3)
    for record in list(in_flight.values()):
        assert record.flame is None
        assert sampler.ending(record, time.monotonic()) is None
        assert record.flame is None
    assert losses.dropped == 2  # tried once for each


def test_request_that_ends_while_its_file_is_begun_leaves_none(
    many: Callable[[int], Sampler], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its event has been made without the name."""
    sampler = many(1)
    (record,) = in_flight.values()
    write = sampler.writer.files.write

    def ends(name: str, profile: Profile) -> bool:
        assert sampler.ending(record, time.monotonic()) is None
        return write(name, profile)

    monkeypatch.setattr(sampler.writer.files, "write", ends)
    passes(sampler, 1)
    assert record.flame is None
    assert os.listdir(os.path.join(sampler.writer.files.directory, "flames")) == []


def test_work_after_the_last_byte_is_in_no_graph(many: Callable[[int], Sampler]) -> None:
    """It is none of the time of the response."""
    sampler = many(1)
    (record,) = in_flight.values()
    passes(sampler, 1)
    record.finished_sending()
    passes(sampler, 3)
    record.ended_after(record.age())
    ended = sampler.ending(record, time.monotonic())
    assert ended is not None
    assert ended.samples.taken == 1
    assert ended.samples.duration <= record.took < record.took + record.after


def test_open_websocket_is_not_sampled(many: Callable[[int], Sampler]) -> None:
    """It is refused as whatever is not watched."""
    sampler = many(2)
    sampler._wanted = lambda record: False
    passes(sampler, 1)
    assert list(sampler._samples.values()) == [None, None]


def test_request_of_which_nothing_is_known_has_no_profile(many: Callable[[int], Sampler]) -> None:
    """An empty graph says nothing."""
    sampler = many(1)
    (record,) = in_flight.values()
    assert sampler.ending(record, time.monotonic()) is None
    assert record.flame is None


def test_request_that_ends_while_its_sampling_begins_names_no_file(
    many: Callable[[int], Sampler],
) -> None:
    """Its thread was told that there is nothing, so nothing will be written."""
    sampler = many(1)
    (record,) = in_flight.values()

    def ends(record: Record) -> bool:
        in_flight.clear()
        record.done = True
        assert sampler.ending(record, time.monotonic()) is None
        return True

    sampler._wanted = ends
    passes(sampler, 1)
    assert record.flame is None
    assert not sampler._samples


class TakenAtOnce(dict[int, Any]):
    """What was seen in it is gone a moment later: another thread has taken it."""

    def __contains__(self, key: object) -> bool:
        found = super().__contains__(key)
        self.pop(key, None)  # type: ignore[call-overload]
        return found


def test_request_that_ends_while_it_is_looked_up_breaks_no_round(
    many: Callable[[int], Sampler],
) -> None:
    """The others are looked at all the same."""
    sampler = many(2)
    passes(sampler, 1)
    sampler._samples = sampler.writer._samples = TakenAtOnce(sampler._samples)
    passes(sampler, 1)
    assert guard.total == 0


def test_name_that_comes_too_late_is_in_no_event(
    configure: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Given by the hound when the request's own thread had looked for one already."""
    configure(SAMPLE_AFTER=0.01)
    gates["open"].set()
    Client().get("/waits/")

    def too_early(record: Record, now: float) -> None:
        record.flame = "late"

    monkeypatch.setattr(sampler_of(), "ending", too_early)
    with capture_events() as events:
        thread = threading.Thread(target=lambda: Client().get("/waits/"))
        gates["open"].clear()
        thread.start()
        eventually(lambda: any(each.flame for each in list(in_flight.values())), "a look")
        gates["open"].set()
        thread.join()
    assert "flame" not in events[-1]


def test_files_that_a_stopping_process_has_no_time_for_are_counted(
    many: Callable[[int], Sampler], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two hundred large ones would hold it up for longer than its server waits."""
    monkeypatch.setattr(profile_writer, "STOPS_WITHIN", 0.0)
    sampler = many(3)
    passes(sampler, 1)
    for record in in_flight.values():
        ended = sampler.ending(record, time.monotonic())
        assert ended is not None
        sampler.writer.put(ended, {})
    sampler.stop()
    assert losses.dropped == 3


def test_graph_that_somebody_asked_for_keeps_its_name(many: Callable[[int], Sampler]) -> None:
    """A request that is profiled on demand is not sampled as well, and names that file."""
    sampler = many(1)
    (record,) = in_flight.values()
    record.flame = "theirs"
    passes(sampler, 2)
    assert sampler.ending(record, time.monotonic()) is None
    assert record.flame == "theirs"


def test_budget_is_a_share_of_the_time_that_passes() -> None:
    """What was saved up is bounded, a debt is paid off before more is done."""
    budget = Budget(0.01, 0.0)
    assert budget.left(0.0)
    budget.spend(BURST + 0.1)
    assert not budget.left(9.0)
    assert budget.left(10.5)
    assert budget.left(1e6)
    budget.spend(BURST)
    assert not budget.left(1e6)


def test_request_that_gets_a_finer_graph_meanwhile_has_no_other(
    many: Callable[[int], Sampler],
) -> None:
    """It was slow before its client's wish was read; the event names the graph that is there."""
    sampler = many(1)
    passes(sampler, 2)
    (record,) = in_flight.values()
    assert record.flame is not None
    record.flame = "asked-for"
    assert sampler.ending(record, time.monotonic()) is None
    assert record.flame == "asked-for"
