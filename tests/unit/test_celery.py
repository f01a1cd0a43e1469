"""How Celery's tasks end, with its own tracer and without a broker."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from celery import Celery, exceptions, signals

import slowhound.celery
from slowhound.testing import capture_events

app = Celery("unit", set_as_current=False)
app.conf.update(task_always_eager=True, task_store_eager_result=False)
work: Callable[[Any], Any] = id


@app.task(name="works", bind=True, max_retries=1)  # type: ignore[untyped-decorator]
def works(self: Any) -> Any:
    return work(self)


@app.task(name="other")  # type: ignore[untyped-decorator]
def other() -> str:
    return "done"


@pytest.fixture(autouse=True)
def _installed() -> Iterator[None]:
    slowhound.celery.install()
    yield
    for name in ("prerun", "failure", "retry", "postrun"):
        assert getattr(signals, f"task_{name}").disconnect(dispatch_uid="slowhound")
    for name in ("init", "shutdown"):
        signal = getattr(signals, f"worker_process_{name}")
        assert signal.disconnect(dispatch_uid="slowhound")


def event_of(does: Callable[[Any], Any]) -> dict[str, Any]:
    """The event of a task, or of the last of several."""
    global work
    work = does
    with capture_events() as events:
        works.apply()
    return events[-1]


def raises(exc: BaseException) -> Callable[[Any], Any]:
    def does(_task: Any) -> Any:
        raise exc

    return does


def outcome(does: Callable[[Any], Any]) -> tuple[Any, ...]:
    event = event_of(does)
    return tuple(event.get(name) for name in ("resp_outcome", "exc_type", "exc_msg", "exc_handled"))


def test_task_that_raises_reject_is_rejected() -> None:
    """A task that raises Reject is rejected, and the event has its reason."""
    reject = exceptions.Reject("not mine", requeue=True)
    assert outcome(raises(reject)) == ("rejected", "Reject", "not mine", True)
    why = exceptions.Reject(MemoryError("too large"))
    assert outcome(raises(why)) == ("rejected", "MemoryError", "too large", True)
    assert outcome(raises(exceptions.Reject())) == ("rejected", "Reject", "", True)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"when": 10}, "Retry in 10s"),
        ({"when": dt.datetime(2026, 1, 2, tzinfo=dt.UTC)}, "Retry at 2026-01-02 00:00:00+00:00"),
        ({"when": 10, "exc": "its words"}, "Retry in 10s: its words"),
        ({"when": 10, "message": "the queue is full"}, "the queue is full"),
    ],
)
def test_retry_has_the_time_of_the_next_run(given: dict[str, Any], message: str) -> None:
    """The message is Celery's, although a Retry is among its own arguments."""
    assert outcome(raises(exceptions.Retry(**given))) == ("retry", "Retry", message, True)


def test_retry_has_the_exception_that_is_its_reason() -> None:
    """A retry because of an exception has that exception."""
    why = exceptions.Retry(exc=ValueError("too early"), when=10)
    assert outcome(raises(why)) == ("retry", "ValueError", "too early", True)


def test_task_that_raises_ignore_is_ignored() -> None:
    """A task that raises Ignore, as one that is replaced does, is ignored."""
    assert outcome(raises(exceptions.Ignore("later"))) == ("ignored", "Ignore", "later", True)


def test_secret_in_a_reason_is_masked() -> None:
    """A secret in the text of a reason is masked."""
    event = event_of(raises(exceptions.Reject("password=hunter2 is wrong")))
    assert "hunter2" not in str(event)


def test_reason_of_any_type_is_shown() -> None:
    """A reason of any type is shown, and none of its methods is called."""

    class Odd:
        def __str__(self) -> str:
            raise AssertionError("called")

        __bool__ = __repr__ = __str__

    assert outcome(raises(exceptions.Reject(Odd()))) == ("rejected", "Reject", "<Odd>", True)


def test_other_tasks_end_as_before() -> None:
    """A return is ok, an exception is an error, and a returned text is no outcome."""
    assert outcome(lambda _task: None)[0] == "ok"
    assert outcome(raises(ValueError("x"))) == ("error", "ValueError", "x", False)
    assert "exc_type" not in event_of(lambda _task: "REJECTED")
