"""Background tasks are recorded in process; separate processes are in ``tests/servers``."""

from __future__ import annotations

import asyncio
import inspect
import json
import os
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from django.http import HttpResponse
from django.test import Client, RequestFactory

import slowhound
from slowhound.blackbox import reader
from slowhound.blackbox.payloads import read_settings
from slowhound.core.in_flight import current_record, in_flight
from slowhound.core.report import Report
from slowhound.event.fields import FIELDS
from slowhound.instrument import registry
from slowhound.lifecycle import task_records
from slowhound.middleware import SlowhoundMiddleware
from slowhound.peers.stalled import _threshold
from slowhound.peers.written_events import written_by
from slowhound.recorder import process
from slowhound.sinks.logger import PythonLogger
from slowhound.system import guard
from slowhound.testing import capture_events
from tests.harness.waiting import eventually
from tests.unit.views import query


@slowhound.task
def nightly(times: int, *, loud: bool = False) -> str:
    """Tidies up."""
    query(times)
    slowhound.Context.set("loud", loud)
    return "tidy"


@slowhound.task(name="hourly")
async def hourly(times: int) -> str:
    await asyncio.sleep(0)
    slowhound.Context.set("times", times)
    await asyncio.sleep(0)
    return "tidy"


@slowhound.task
def raises(exc: BaseException) -> None:
    raise exc


def only(events: list[dict[str, Any]]) -> dict[str, Any]:
    (event,) = events
    return event


def outcome_of(exc: BaseException) -> dict[str, Any]:
    with capture_events() as events, pytest.raises(type(exc)):
        raises(exc)
    return only(events)


def test_decorated_function_has_one_event() -> None:
    """The event has the task and what it did, and no field of a request."""
    with capture_events() as events:
        assert nightly(3, loud=True) == "tidy"
    event = only(events)
    assert (event["event_type"], event["task_kind"]) == ("task", "function")
    assert event["task_name"] == f"{__name__}.nightly"
    assert (event["db_queries"], event["app_loud"], event["resp_outcome"]) == (3, True, "ok")
    assert event["rest_time"] + event["db_time"] == pytest.approx(event["resp_time"])
    assert event["resp_cpu_time"] > 0
    assert {"req_id", "seq", "ts", "host", "pid"} <= set(event)
    assert not {"req_method", "req_path", "resp_status", "resp_view", "task_id"} & set(event)
    assert not in_flight


def test_coroutine_has_one_event() -> None:
    """A coroutine is awaited inside its record, and an option sets the name."""
    with capture_events() as events:
        assert asyncio.run(hourly(2)) == "tidy"
    event = only(events)
    assert (event["task_name"], event["app_times"], event["resp_outcome"]) == ("hourly", 2, "ok")
    assert "resp_cpu_time" not in event


def test_decorated_function_keeps_its_name_and_signature() -> None:
    """The decorated function keeps its name, docstring, signature and kind."""
    assert (nightly.__name__, nightly.__doc__) == ("nightly", "Tidies up.")
    assert str(inspect.signature(nightly)) == "(times: 'int', *, loud: 'bool' = False) -> 'str'"
    assert inspect.iscoroutinefunction(hourly)
    assert not inspect.iscoroutinefunction(nightly)


class Jobs:
    @slowhound.task
    def method(self) -> Any:
        return type(self)

    @slowhound.task
    @classmethod
    def of_class(cls) -> Any:
        return cls

    @slowhound.task(name="static")
    @staticmethod
    def static() -> str:
        return "static"


class Job:
    async def __call__(self) -> str:
        await asyncio.sleep(0)
        slowhound.Context.set("inside", 1)
        return "called"


def test_methods_and_callable_objects_can_be_decorated() -> None:
    """Methods and callable objects can be decorated, and are called as before."""
    with capture_events() as events:
        assert Jobs().method() is Jobs.of_class() is Jobs
        assert Jobs.static() == "static"
        assert asyncio.run(slowhound.task(Job())()) == "called"
    names = [event["task_name"].rpartition(__name__ + ".")[2] for event in events]
    assert names == ["Jobs.method", "Jobs.of_class", "static", "Job"]
    assert events[-1]["app_inside"] == 1


def test_what_cannot_be_decorated_raises_a_type_error() -> None:
    """A generator function and a text raise a TypeError."""

    def generator() -> Any:
        yield

    with pytest.raises(TypeError, match="generator"):
        slowhound.task(generator)
    with pytest.raises(TypeError, match="'nightly' is none"):
        slowhound.task("nightly")  # type: ignore[type-var]


def test_failure_is_an_error_and_is_raised() -> None:
    """The event has the exception's fields, and the caller gets the exception."""
    event = outcome_of(ValueError("broken"))
    assert (event["resp_outcome"], event["exc_type"], event["exc_msg"]) == (
        "error",
        "ValueError",
        "broken",
    )
    assert event["exc_cause_loc"].endswith(":raises")
    assert event["exc_handled"] is False


@pytest.mark.parametrize(
    ("exc", "outcome"),
    [
        (SystemExit(), "ok"),
        (SystemExit(0), "ok"),
        (SystemExit(3), "error"),
        (SystemExit("no disk"), "error"),
        (KeyboardInterrupt(), "cancelled"),
        # The task itself was not cancelled, but a task or a future that it has awaited.
        (asyncio.CancelledError(), "error"),
    ],
    ids=repr,
)
def test_exit_and_interrupt_have_outcomes(exc: BaseException, outcome: str) -> None:
    """An exit with 0 is ok, any other is an error, and an interrupt is a cancellation."""
    event = outcome_of(exc)
    assert event["resp_outcome"] == outcome
    assert ("exc_type" in event) == (outcome == "error")


def test_cancelled_coroutine_is_cancelled() -> None:
    """The record of a coroutine ends when its asyncio task is cancelled."""

    @slowhound.task
    async def waits() -> None:
        await asyncio.Event().wait()

    async def main() -> None:
        running = asyncio.create_task(waits())
        await asyncio.sleep(0)
        assert len(in_flight) == 1
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)

    with capture_events() as events:
        asyncio.run(main())
    assert only(events)["resp_outcome"] == "cancelled"
    assert not in_flight


def test_task_in_a_request_leaves_the_request_its_own_counts() -> None:
    """Task and request count their own queries, and the request goes on after the task."""

    def view(request: Any) -> HttpResponse:
        query()
        nightly(3)
        query()
        slowhound.Context.set("after", 1)
        return HttpResponse("done")

    with capture_events() as events:
        SlowhoundMiddleware(view)(RequestFactory().get("/")).close()
    task, request = events
    assert (task["event_type"], task["db_queries"]) == ("task", 3)
    assert (request["event_type"], request["db_queries"], request["app_after"]) == ("request", 2, 1)
    assert task["req_id"] != request["req_id"]
    assert "app_after" not in task


def test_coroutine_in_an_async_request_leaves_it_its_own_fields() -> None:
    """A task and a request that are both async have their own fields."""

    async def view(request: Any) -> HttpResponse:
        outer = slowhound.current()
        await hourly(5)
        assert slowhound.current() is outer is not None
        slowhound.Context.set("after", 1)
        return HttpResponse("done")

    async def main() -> None:
        middleware = SlowhoundMiddleware(view)
        (await middleware(RequestFactory().get("/"))).close()

    with capture_events() as events:
        asyncio.run(main())
    task, request = events
    assert (task["app_times"], "app_times" in request) == (5, False)
    assert (request["app_after"], "app_after" in task) == (1, False)


def test_failing_task_in_a_task_leaves_the_outer_one_current() -> None:
    """The outer task goes on after a failed inner one, and keeps its own fields."""

    @slowhound.task(name="outer")
    def outer() -> None:
        before = slowhound.current()
        with pytest.raises(ValueError, match="inner"):
            raises(ValueError("inner"))
        assert slowhound.current() is before
        query(2)

    with capture_events() as events:
        outer()
    inner, whole = events
    assert (inner["resp_outcome"], "db_queries" in inner) == ("error", False)
    assert (whole["task_name"], whole["resp_outcome"], whole["db_queries"]) == ("outer", "ok", 2)
    assert current_record.get() is None


def test_coroutines_at_once_do_not_mix() -> None:
    """Coroutines that run in turn have their own fields."""

    async def main() -> None:
        await asyncio.gather(*(hourly(number) for number in range(4)))

    with capture_events() as events:
        asyncio.run(main())
    assert sorted(event["app_times"] for event in events) == [0, 1, 2, 3]


def test_request_made_in_a_task_has_its_own_event(client: Client) -> None:
    """A request that a task makes has its own event, and the task goes on after it."""

    @slowhound.task(name="smoke")
    def smoke() -> None:
        client.get("/queries/")
        query()

    with capture_events() as events:
        smoke()
    request, task = events
    assert (request["event_type"], request["req_path"]) == ("request", "/queries/")
    assert request["db_queries"] == 7
    assert (task["task_name"], task["db_queries"]) == ("smoke", 1)


def test_partial_failure_in_a_task_is_correlated() -> None:
    """``on_error`` works in a task as in a request."""

    @slowhound.on_error(return_value=None)
    def risky() -> None:
        raise ValueError("survived")

    with capture_events() as events:
        slowhound.task(risky)()
    failure, task = events
    assert failure["event_type"] == "partial_failure"
    assert failure["req_id"] == task["req_id"]
    assert task["resp_outcome"] == "ok"


def test_sampling_and_instrumenters_are_for_requests(
    configure: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A rate of 0 drops no task, and an instrumenter is not called for one."""
    called: list[Any] = []
    one = SimpleNamespace(call=lambda *given: called.append(given))
    monkeypatch.setitem(registry.instrumenters, "One", one)
    configure(SAMPLING={"ok": 0})
    with capture_events() as events:
        nightly(1)
    assert only(events)["resp_outcome"] == "ok"
    assert called == []


def test_fields_stand_in_the_tables_order() -> None:
    """The fields of a task's event are in the order of the table, too."""
    names = [field.name for field in FIELDS]
    with capture_events() as events:
        task_records.end(task_records.begin("celery", "shop.mail", "id-1"), ValueError("x"))
    found = [names.index(name) for name in only(events)]
    assert found == sorted(found)
    assert events[0]["task_id"] == "id-1"


def test_signal_ends_the_innermost_task_of_an_id() -> None:
    """A signal ends the innermost task of its id: Celery runs an eager retry inside the task."""
    with capture_events() as events:
        outer, inner = (task_records.begin("celery", name, "id-1") for name in ("outer", "inner"))
        assert task_records.running("celery", "id-1") is inner
        task_records.end(inner)
        assert task_records.running("celery", "id-1") is outer
        assert task_records.running("django.tasks", "id-1") is None
        task_records.end(outer)
    assert [event["task_name"] for event in events] == ["inner", "outer"]
    task_records.end(task_records.running("celery", "id-1"))


def test_task_whose_event_cannot_be_made_has_one_all_the_same(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The event then has what cannot fail: the task's name, and how it ended."""
    with capture_events() as events:
        monkeypatch.setattr(guard, "loud", False)
        monkeypatch.setattr("slowhound.instrument.events._describe_work", lambda *given: 1 / 0)
        nightly(1)
    event = only(events)
    assert event["task_name"].endswith(".nightly")
    assert (event["event_type"], event["resp_outcome"]) == ("task", "ok")
    assert "req_path" not in event


def test_long_task_is_not_slow(configure: Any) -> None:
    """A task without ``slow_after`` is never reported, however short SLOW_AFTER is."""
    directory = configure(SLOW_AFTER=0.02)
    reports = directory / "reports"

    @slowhound.task
    def lasts() -> None:
        active = process.get()
        assert active is not None
        record = slowhound.current()
        assert record is not None
        eventually(lambda: record.samples, "the hound has taken a sample")
        assert active.watch._threshold(record) == float("inf")

    with capture_events() as events:
        lasts()
    assert [event["event_type"] for event in events] == ["task"]
    assert not reports.exists() or not list(reports.iterdir())


def test_task_with_a_threshold_is_reported_as_slow(configure: Any) -> None:
    """The report is written while the task runs, with its name in the request's place."""
    directory = configure(SLOW_AFTER=30)

    @slowhound.task(name="import", slow_after=0.05)
    def imports() -> None:
        eventually(lambda: events, "its report is written")

    with capture_events() as events:
        imports()
    process.stop()
    slow, task = events
    assert (slow["event_type"], slow["task_name"], slow["slow_after"]) == ("slow", "import", 0.05)
    assert (task["event_type"], task["report"]) == ("task", slow["report"])
    assert slow["req_id"] == task["req_id"]
    text = (directory / "reports" / slow["report"]).read_text()
    assert "\nfunction import\n" in text
    assert "in imports" in text
    assert text.rstrip().endswith("outcome ok.")


def test_first_task_starts_the_recorder(configure: Any) -> None:
    """The first task makes box and segment, as the first request does."""
    directory = configure()
    assert process.get() is None
    nightly(1)
    assert len(list((directory / "boxes").glob("*.box"))) == 1
    assert len(list((directory / "events").iterdir())) == 1


def test_written_task_is_known_to_be_written(configure: Any) -> None:
    """If the process dies right after it, the reader of its box writes no second event."""
    directory = configure()
    nightly(1)
    (segment,) = (directory / "events").iterdir()
    req_id = json.loads(segment.read_text())["req_id"]
    assert written_by(str(directory), os.getpid())(req_id)


@pytest.mark.parametrize("slow_after", [None, 5.0])
def test_peer_uses_the_tasks_own_threshold(configure: Any, slow_after: Any) -> None:
    """A peer reads the task's threshold in the box, when this process cannot run."""
    configure(SLOW_AFTER=0.01)
    record = task_records.start(task_records.new("function", "import", slow_after=slow_after))
    active = process.get()
    assert active is not None
    assert active.own_box.box is not None
    state = reader.read(Path(active.own_box.box.path).read_bytes())
    assert state is not None
    (pending,) = state.pending
    threshold = _threshold(pending, read_settings(state.settings), active.own_box.box.path)
    assert threshold == slow_after
    task_records.end(record)


def test_sink_of_loggers_takes_a_task(configure: Any, caplog: pytest.LogCaptureFixture) -> None:
    """The brief and the long message both name the task."""
    configure()
    report = Report({"task_name": "import"}, "function import", 0.0, 0.0, "web-1", 1, None)
    report.event.update(resp_time=1.0)
    for brief in (True, False):
        PythonLogger("shop", brief=brief).deliver(report)
    assert ["import" in record.message for record in caplog.records] == [True, True]


def test_forked_child_does_not_share_the_task(configure: Any) -> None:
    """A forked child does not see its parent's record, and records its own tasks."""
    configure()

    @slowhound.task
    def forks() -> int:
        pid = os.fork()
        if pid == 0:
            assert slowhound.current() is None
            nightly(1)
        return pid

    @slowhound.task
    def around() -> int:
        pid = forks()
        if pid == 0:
            named = [(event["task_name"].rpartition(".")[2], event["pid"]) for event in events]
            alone = slowhound.current() is None and not in_flight
            os._exit(0 if alone and named == [("nightly", os.getpid())] else 1)
        return pid

    with capture_events() as events:
        pid = around()
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
    assert [event["pid"] for event in events] == [os.getpid()] * 2


def test_recorder_stopped_meanwhile_leaves_nothing_in_flight(configure: Any) -> None:
    """A recorder that stops inside a task, as by ``override_settings``, leaves nothing."""
    configure()

    @slowhound.task
    def stops() -> None:
        process.stop()

    stops()
    assert not in_flight
    assert current_record.get() is None


def test_switched_off_calls_the_plain_function(configure: Any) -> None:
    """With ENABLED = False there is no folder and no record."""
    directory = configure(ENABLED=False)
    assert nightly(1) == "tidy"
    assert process.get() is None
    assert not directory.exists()


def test_broken_recorder_never_hurts(configure: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """A failure of slowhound's is counted, and the function still runs and raises its own."""
    configure()
    nightly(1)
    monkeypatch.setattr(guard, "loud", False)
    monkeypatch.setattr(process.Recorder, "begin", lambda *given, **more: 1 / 0)
    assert nightly(1) == "tidy"
    with pytest.raises(ValueError, match="own"):
        raises(ValueError("own"))
    assert guard.total == 2
