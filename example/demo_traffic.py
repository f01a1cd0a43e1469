"""The traffic of the demo: requests, and the events that each must lead to."""

from __future__ import annotations

import http.client
import socket
import struct
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

STEP_WITHIN = 20.0  # the slowest step takes 2 seconds on an idle machine

Event = dict[str, Any]


def at_least(limit: float) -> Callable[[Any], bool]:
    """A check for a number that is there and not below ``limit``."""
    return lambda value: isinstance(value, int | float) and value >= limit


def ends_with(text: str) -> Callable[[Any], bool]:
    """A check for a text that ends with ``text``."""
    return lambda value: isinstance(value, str) and value.endswith(text)


def present(value: object) -> bool:
    """A check for a field that is there and not empty."""
    return bool(value)


def any_or_none(_value: object) -> bool:
    """A field that may be missing."""
    return True


def absent(value: object) -> bool:
    """A check for a field that is missing or none."""
    return value is None


@dataclass(frozen=True)
class Expected:
    """One event that must be seen: its fields, each with a value or a check."""

    what: str
    fields: Mapping[str, object]
    report: bool = False

    def fits(self, event: Event) -> bool:
        """True when each field is as expected."""
        return all(
            wanted(event.get(name)) if callable(wanted) else event.get(name) == wanted
            for name, wanted in self.fields.items()
        )


@dataclass(frozen=True)
class Step:
    """One piece of traffic."""

    title: str
    path: str
    expected: tuple[Expected, ...]
    headers: Mapping[str, str] = field(default_factory=dict)
    leave_early: bool = False


def page(title: str, path: str, status: int = 200, *more: Expected, **fields: object) -> Step:
    """A step that expects one ``request`` event, and perhaps more."""
    return Step(title, path, (request_event(title, path, status, fields), *more))


def request_event(what: str, path: str, status: int, fields: Mapping[str, object]) -> Expected:
    """The ``request`` event of ``path``; ``fields`` are other fields that it must have."""
    outcome = "error" if status >= 500 else "ok"
    common = {"req_path": path.partition("?")[0], "resp_status": status, "resp_outcome": outcome}
    return Expected(what, {"event_type": "request", **common, **fields})


def slow_page(title: str, path: str, slow_loc: Callable[[Any], bool] = present) -> Step:
    """A step that is reported while it runs, and has its usual event at its end."""
    slow = {"event_type": "slow", "req_path": path.partition("?")[0], "slow_loc": slow_loc}
    report = Expected(f"{title}: report", slow, report=True)
    return page(title, path, 200, report, resp_time=at_least(1.0), slow_after=1.0)


STEPS = (
    Step(
        "fast, with a basket",
        "/",
        (request_event("fast, with a basket", "/", 200, {"db_queries": 1, "app_basket": 3}),),
        headers={"Cookie": "basket=2.3.5"},
    ),
    page("five queries", "/orders/", db_queries=5, db_n1=absent, tmpl_count=at_least(1)),
    page("N+1", "/n-plus-one/", db_queries=31, db_dup_queries=30, db_n1=ends_with("describe")),
    slow_page("slow I/O", "/slow-io/?seconds=2", ends_with("wait_for_warehouse")),
    slow_page("slow Python", "/slow-python/?seconds=2"),
    # It has its stack, except in the rare case that the hold began while the hound was awake and
    # ended before the arbiter sampled.
    slow_page("GIL held", "/gil/?seconds=3", any_or_none),
    page(
        "crash",
        "/crash/",
        500,
        exc_type="CardDeclined",
        exc_loc=ends_with("crash"),
        exc_cause_loc=ends_with("charge_card"),
    ),
    page(
        "template error",
        "/template-error/",
        500,
        exc_type="DivisionByZero",
        exc_template="shop/includes/price.html:3",
        exc_cause_loc=ends_with("discount"),
    ),
    page(
        "partial failure",
        "/partial/",
        200,
        Expected(
            "partial failure: the part",
            {"event_type": "partial_failure", "req_id": present, "exc_type": "RecommenderDown"},
        ),
    ),
    page("streaming", "/stream/?chunks=5&pause=0.1", resp_time=at_least(0.5), resp_ttfb=present),
    page("context", "/context/?customer=2", app_customer="The Wet Nose", app_pricing_time=present),
    page("cache", "/cache/", cache_hits=1, cache_misses=1, cache_sets=1),
    page("outbound", "/outbound/", out_count=1, out_time=present),
    # Django never sees this one, so its event has fewer fields.
    page("static file", "/static/shop.css", resp_outcome=absent, resp_view=absent),
    Step(
        "client leaves",
        "/stream/?chunks=100&pause=0.05",
        (
            Expected(
                "client leaves",
                {"event_type": "request", "req_path": "/stream/", "resp_outcome": "disconnect"},
            ),
        ),
        leave_early=True,
    ),
    # By now the count of workers, which is sampled about once a second, has been taken.
    page("async view", "/async/", resp_time=at_least(0.15), g_w_count=2),
)


def get(address: tuple[str, int], step: Step) -> int:
    """Sends one request; returns its status."""
    connection = http.client.HTTPConnection(*address, timeout=STEP_WITHIN)
    try:
        connection.request("GET", step.path, headers=dict(step.headers))
        response = connection.getresponse()
        response.read()
        return response.status
    finally:
        connection.close()


def get_and_leave(address: tuple[str, int], step: Step) -> int:
    """A client that goes away in the middle of the body."""
    with socket.create_connection(address, timeout=STEP_WITHIN) as connection:
        # Close with a reset, as after a phone has lost its network.
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        connection.sendall(f"GET {step.path} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
        return int(connection.recv(1_000).split()[1])
