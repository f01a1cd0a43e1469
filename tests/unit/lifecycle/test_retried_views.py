"""A middleware that runs a view again, outside of slowhound's and inside."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from django.http import HttpRequest, HttpResponse, StreamingHttpResponse
from django.test import Client
from django.test.utils import override_settings
from django.urls import path

from slowhound.core.in_flight import in_flight
from slowhound.testing import capture_events

OURS = "slowhound.middleware.SlowhoundMiddleware"
MINE = f"{__name__}.Retry"
ORDERS = pytest.mark.parametrize("order", [[OURS, MINE], [MINE, OURS]], ids=["behind", "in front"])
answers: list[Any] = []


class Retry:
    """Runs the view three times, as after a deadlock; failed responses are closed, or not."""

    closes = False

    def __init__(self, get_response: Callable[[HttpRequest], Any]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> Any:
        for _ in range(2):
            response = self.get_response(request)
            if response.status_code < 500:
                return response
            if self.closes:
                response.close()
        return self.get_response(request)


def flaky(request: HttpRequest) -> Any:
    """Returns or raises the next of the planned results."""
    answer = answers.pop(0)
    if isinstance(answer, Exception):
        raise answer
    return answer


urlpatterns = [path("flaky/", flaky)]


def event_of(client: Client, order: list[str], *given: Any) -> dict[str, Any]:
    answers[:] = given
    with capture_events() as events, override_settings(ROOT_URLCONF=__name__, MIDDLEWARE=order):
        response = client.get("/flaky/")
        response.content if not response.streaming else b"".join(response)  # type: ignore[call-overload]
        response.close()
    assert not answers
    assert not in_flight
    (event,) = events
    return event


def parts() -> Iterator[bytes]:
    yield b"half"
    yield b"whole"


@pytest.mark.parametrize(
    ("order", "closes"),
    # Outside of slowhound's middleware, a closed response counts as the end of the request.
    [([OURS, MINE], True), ([OURS, MINE], False), ([MINE, OURS], False)],
)
def test_outcome_is_that_of_the_response_that_was_sent(
    client: Client, order: list[str], closes: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A retried view that ends with 200 is ok, and its exception counts as handled."""
    monkeypatch.setattr(Retry, "closes", closes)
    for failed in (ValueError("deadlock"), HttpResponse(b"no", status=503)):
        for ended in (HttpResponse(b"fine"), StreamingHttpResponse([b"fi", b"ne"])):
            event = event_of(client, order, failed, ended)
            assert (event["resp_status"], event["resp_outcome"]) == (200, "ok")
            assert event["resp_bytes"] == 4
            raised = isinstance(failed, ValueError)
            assert event.get("exc_type") == ("ValueError" if raised else None)
            assert event.get("exc_handled") == (True if raised else None)


@ORDERS
def test_last_response_counts(client: Client, order: list[str]) -> None:
    """If the last run fails, the event has its exception, and no bytes of earlier runs."""
    first = StreamingHttpResponse(parts(), status=503)
    event = event_of(client, order, first, ValueError("one"), KeyError("two"))
    assert (event["resp_status"], event["resp_outcome"]) == (500, "error")
    assert (event["exc_type"], event["exc_handled"]) == ("KeyError", False)
    first = StreamingHttpResponse(parts(), status=503)
    event = event_of(client, order, first, KeyError("two"), HttpResponse(b"ok", status=201))
    assert (event["resp_status"], event["resp_bytes"], event["resp_outcome"]) == (201, 2, "ok")
