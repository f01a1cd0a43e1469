"""Views that wait."""

from __future__ import annotations

import time

from django.http import HttpRequest, HttpResponse
from django.views.decorators.debug import sensitive_variables

from tests.site.gates import wait_at
from tests.site.models import Author


def sleep(_request: HttpRequest, seconds: str) -> HttpResponse:
    time.sleep(float(seconds))  # mark: sleep
    return HttpResponse("slept")


def nap(_request: HttpRequest, seconds: str) -> HttpResponse:
    """The same under another name."""
    time.sleep(float(seconds))
    return HttpResponse("napped")


def gated(_request: HttpRequest, gate: str) -> HttpResponse:
    wait_at(gate)  # mark: gated
    return HttpResponse("through the gate")


def gated_odd(_request: HttpRequest, rest: str) -> HttpResponse:
    """The same whatever else is in the path."""
    wait_at("odd")
    return HttpResponse(rest)


def query_then_gate(_request: HttpRequest, gate: str) -> HttpResponse:
    """Makes a query, and waits after it."""
    found = Author.objects.count()
    wait_at(gate)
    return HttpResponse(str(found))


def gated_large(_request: HttpRequest, gate: str) -> HttpResponse:
    """A response that does not fit into a socket's buffer."""
    wait_at(gate)
    return HttpResponse(b"l" * 8_000_000)


@sensitive_variables("serial")
def _with_declared(gate: str) -> None:
    serial = f"declared-{gate}-4711"
    open_to_all = f"open-{gate}"
    wait_at(gate)
    assert serial != open_to_all


def secrets(_request: HttpRequest, gate: str) -> HttpResponse:
    """Has variables that may be shown, and some that must not."""
    password = f"hunter2-{gate}"
    harmless = f"visible-{gate}"
    config = {"api_key": f"key-{gate}-0815"}
    _with_declared(gate)
    return HttpResponse(str(len(password + harmless) + len(config)))
