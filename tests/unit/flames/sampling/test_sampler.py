"""Requests that last get a profile automatically, within a budget, also when parts fail."""

from __future__ import annotations

import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from django.db import connection, connections
from django.db.backends.base.base import BaseDatabaseWrapper
from django.http import HttpRequest, HttpResponse
from django.test import Client
from django.test.utils import override_settings
from django.urls import path

from slowhound.core.in_flight import in_flight
from slowhound.core.record import Record
from slowhound.flames.files import FlameFiles
from slowhound.flames.profile import UNSAMPLED, Profile
from slowhound.flames.sampling import sampler as module
from slowhound.flames.sampling import switch_interval
from slowhound.flames.sampling.sampler import Sampler
from slowhound.recorder import process
from slowhound.system import guard
from slowhound.testing import capture_events
from tests.harness.waiting import eventually

# Set by a test's fixture: the view waits here until the test opens the gate.
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
    # Its thread ends with the request; Django itself does not close a database in memory.
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
    """The terminal event of a request that ends once it was sampled so often."""
    with capture_events() as events:
        answers: list[Any] = []
        thread = threading.Thread(target=lambda: answers.append(Client().get(url)))
        thread.start()
        assert gates["entered"].wait(20)
        before = samples_taken()
        eventually(lambda: samples_taken() >= before + samples, "samples of the view")
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
    # On a busy machine also unsampled time.
    states = {each.state for each in profile.samples}
    assert "waiting" in states
    assert states <= {"waiting", "running", "starved", UNSAMPLED}


def test_wait_is_the_innermost_frame_and_middleware_is_named(configure: Any) -> None:
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


def test_quick_request_has_no_profile(configure: Any) -> None:
    """No file, and no name of one; nothing is kept of it."""
    directory = configure(SAMPLE_AFTER=3600)
    with capture_events() as events:
        Client().get("/quick/")
    assert "flame" not in events[-1]
    assert not (directory / "flames").exists()
    assert not sampler_of()._samples


def test_ignored_request_has_no_profile(configure: Any) -> None:
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
    """The response stays; after ten failures the sampler is off, and the interval is restored."""
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
    if "flame" in events[-1]:  # of the samples of the watchdog, which was not broken
        profile_of(events[-1], directory)
    assert sum("sampler failed" in message for message in caplog.messages) == 1


def test_our_interval_that_the_application_saved_is_undone(configure: Any) -> None:
    """It saved the interval within a request, and sets it again when nothing is in flight."""
    configure(SAMPLE_AFTER=0.05)
    before = sys.getswitchinterval()
    ask("/waits/")
    active = process.get()
    assert active is not None
    eventually(lambda: active.sampler._at_rest, "that nothing is in flight")
    eventually(lambda: sys.getswitchinterval() == before, "Python's own interval")
    sys.setswitchinterval(1e-6 * (switch_interval.OUR_INTERVAL + 0.5))
    eventually(lambda: sys.getswitchinterval() == before, "Python's own interval, again")


def test_switch_interval_is_restored(configure: Any) -> None:
    """It is shorter while a request is sampled, and no longer."""
    configure(SAMPLE_AFTER=0.02)
    before = sys.getswitchinterval()
    ask("/waits/")
    eventually(lambda: sys.getswitchinterval() == before, "Python's own interval")


def test_name_that_comes_too_late_is_in_no_event(
    configure: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Set by the hound when the request's own thread had already called `ending`."""
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
        eventually(lambda: any(each.flame for each in list(in_flight.values())), "a sample")
        gates["open"].set()
        thread.join()
    assert "flame" not in events[-1]
