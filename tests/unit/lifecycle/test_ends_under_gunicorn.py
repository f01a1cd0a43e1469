"""How a request ends under Gunicorn: by an exit, by a signal, or after a second run of its view."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import suppress
from types import FrameType, SimpleNamespace
from typing import Any

import pytest
from django.http import HttpRequest, HttpResponse
from django.test import Client
from django.test.utils import override_settings
from django.urls import path

from slowhound.config.from_django import get_config
from slowhound.core.in_flight import in_flight
from slowhound.gunicorn import exit_signals
from slowhound.gunicorn.arbiter import Mailbox, on_signal
from slowhound.recorder import process
from slowhound.testing import capture_events
from tests.harness.gunicorn_worker import ask, sync_worker

OURS = "slowhound.middleware.SlowhoundMiddleware"
runs: list[int] = []


def leaves(request: HttpRequest, code: int) -> HttpResponse:
    sys.exit(code)


def is_ended(request: HttpRequest, number: int) -> HttpResponse:
    os.kill(os.getpid(), number)
    raise AssertionError("unreachable")


def fails_first(request: HttpRequest) -> HttpResponse:
    runs.append(1)
    if len(runs) == 1:
        raise ValueError("only the first time")
    return HttpResponse("fine")


urlpatterns = [
    path("leaves/<int:code>/", leaves),
    path("is-ended/<int:number>/", is_ended),
    path("fails-first/", fails_first),
]


def runs_again(get_response: Callable[[HttpRequest], HttpResponse]) -> Any:
    """A middleware that runs the view again after an error."""

    def middleware(request: HttpRequest) -> HttpResponse:
        response = get_response(request)
        return get_response(request) if response.status_code == 500 else response

    return middleware


AGAIN = f"{__name__}.runs_again"


@pytest.fixture(autouse=True)
def _urls() -> Iterator[None]:
    runs.clear()
    with override_settings(ROOT_URLCONF=__name__):
        yield


@pytest.fixture
def ends() -> Iterator[None]:
    """Signal handlers like those of a Gunicorn worker, with slowhound's before them."""
    numbers = (signal.SIGABRT, signal.SIGQUIT, signal.SIGINT)
    before = {number: signal.getsignal(number) for number in numbers}
    codes = {signal.SIGABRT: 1, signal.SIGQUIT: 0, signal.SIGINT: 0}

    def handle(number: int, frame: FrameType | None) -> None:
        sys.exit(codes[signal.Signals(number)])

    for number in numbers:
        signal.signal(number, handle)
    exit_signals.EXIT_SIGNALS.install()
    yield
    exit_signals.EXIT_SIGNALS.last = None
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.mark.usefixtures("ends")
@pytest.mark.parametrize("code", [0, 1])
def test_view_that_exits_is_no_timeout(code: int) -> None:
    """`sys.exit(1)` in a view, the exit code of a timeout, is an error of the view."""
    with capture_events() as events, sync_worker() as worker:
        process.start(get_config())
        with suppress(SystemExit):
            ask(worker, f"/leaves/{code}/")
    (event,) = events
    assert event["event_type"] == "request"
    assert (event["resp_outcome"], event["exc_type"]) == ("error", "SystemExit")
    assert not in_flight


@pytest.mark.usefixtures("ends")
@pytest.mark.parametrize(
    ("number", "kind", "outcome"),
    [(signal.SIGABRT, "timeout", "timeout"), (signal.SIGQUIT, "request", "killed")],
)
def test_signals_of_the_arbiter_have_outcomes(number: int, kind: str, outcome: str) -> None:
    """The arbiter's SIGABRT is a timeout, and its SIGQUIT is not."""
    with capture_events() as events, sync_worker() as worker:
        os.utime(worker.tmp.fileno(), (1, 1))  # long ago
        process.start(get_config())
        with suppress(SystemExit):
            ask(worker, f"/is-ended/{int(number)}/")
    (event,) = events
    assert (event["event_type"], event["resp_outcome"]) == (kind, outcome)


@pytest.mark.usefixtures("ends")
@pytest.mark.parametrize("who", ["nobody", "arbiter", "closed"])
def test_sigabrt_is_a_timeout_where_the_arbiter_has_sent_it(who: str) -> None:
    """A SIGABRT that a view sends is an error of the view, for the worker was not silent."""
    with capture_events() as events, sync_worker() as worker:
        pid, worker.slowhound_mailbox = 4711, Mailbox()
        worker.notify()
        on_signal(SimpleNamespace(WORKERS={pid: worker}), pid, signal.SIGTERM)
        if who == "arbiter":
            on_signal(SimpleNamespace(WORKERS={pid: worker}), pid, signal.SIGABRT)
        if who == "closed":
            worker.tmp.close()
        process.start(get_config())
        with suppress(SystemExit):
            ask(worker, f"/is-ended/{int(signal.SIGABRT)}/")
    (event,) = events
    if who == "arbiter":
        assert (event["event_type"], event["resp_outcome"]) == ("timeout", "timeout")
        assert event["timeout_cause_loc"].endswith(":is_ended")
    else:
        assert (event["event_type"], event["resp_outcome"]) == ("request", "error")
        assert (event["resp_status"], event["exc_type"]) == (500, "SystemExit")
        assert event["exc_loc"].endswith(":is_ended")
    assert not in_flight


@pytest.mark.parametrize("middleware", [[OURS, AGAIN], [AGAIN, OURS]], ids=["inside", "outside"])
def test_view_that_runs_again_has_one_event_with_what_was_sent(middleware: list[str]) -> None:
    """The event has 200 and ok, and the exception as handled, in either order of middleware."""
    with override_settings(MIDDLEWARE=middleware), capture_events() as events:
        answer = Client(raise_request_exception=False).get("/fails-first/")
    assert answer.content == b"fine"
    (event,) = events
    assert (event["resp_status"], event["resp_outcome"]) == (200, "ok")
    assert (event["exc_type"], event["exc_handled"]) == ("ValueError", True)
    assert event["resp_bytes"] == 4
    assert not in_flight


def test_view_that_runs_again_under_gunicorn() -> None:
    """Under Gunicorn, too, a view that runs again has one event."""
    with (
        override_settings(MIDDLEWARE=[AGAIN, OURS]),
        capture_events() as events,
        sync_worker() as worker,
    ):
        process.start(get_config())
        assert b"fine" in ask(worker, "/fails-first/")
    (event,) = events
    assert (event["resp_status"], event["resp_outcome"]) == (200, "ok")
