"""The cost of masking for a request with a path, a referrer, a user agent and a query of 4 kB each.

Measured with the functions that a request goes through, with empty caches. Beside the sum is the
cost of the same texts at 40 kB: a text is cut before it is searched, so it should be the same.
"""

from __future__ import annotations

import os
import sys
import tempfile
import time
from collections.abc import Callable
from functools import _lru_cache_wrapper
from typing import Any, NamedTuple

from bench.tables import show, verdict

SIZE, LARGER = 4000, 40_000
TIMES = 30
# Microseconds, for path, referrer and user agent together; for the path of an ordinary request.
BUDGET, SHORT_BUDGET = 100.0, 2.0
# Texts: a beginning, and what is repeated after it.
KINDS = {
    "one character": ("/", "a"),
    "words": ("/", "shop/items/winter-"),
    "numbers": ("/orders/", "4711/"),
    "prose": ("/", "and then some more of it, "),
    "pairs": ("/?a=1", "&colour=blue&size=12"),
    "secret pairs": ("/?a=1", "&password=x&token=y"),
    "percent signs": ("/", "%70assword%3D"),
    "addresses": ("/", "https://u:p@h/?a=b&"),
    "hyphens": ("/", "-a"),
    "beginnings of a JWT": ("/", "-eyJ"),
    "beginnings of keys": ("/", "sk_live_ghp_AKIA"),
    "digits": ("/", "4242 "),
    "quotes": ("/", "password='\\"),
    "tags": ("/", "<password a="),
    "brackets": ("/", "a[a[a"),
    "signs": ("/", "=:<$@ -#;&"),
}
AGENT = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"
PLAIN = ("/orders/12/", "https://shop.example/orders/", AGENT, "page=2&sort=date")
_caches: list[Any] = []


class Sent(NamedTuple):
    """The texts of a client that are searched."""

    path: str
    referrer: str | None = None
    agent: str | None = None
    query: str | None = None


def sent(kind: str, size: int, part: str) -> Sent:
    """A request whose ``part``, or all of it, is of this kind."""
    first, unit = KINDS[kind]
    text = first + unit * (size // len(unit))
    if part == "all":
        return Sent(text, "https://shop.example" + text, text, text)
    return Sent(**{"path": "/", part: text})


def masked(request: Sent) -> dict[str, Any]:
    """The fields of the request's event, as the recorder makes them."""
    from slowhound.core.record import Record
    from slowhound.instrument.request import describe_request

    event: dict[str, Any] = {}
    record = Record("GET", request.path, 0.0)
    names = {"HTTP_REFERER": request.referrer, "HTTP_USER_AGENT": request.agent}
    names |= {"QUERY_STRING": request.query}
    record.environ = {name: text for name, text in names.items() if text is not None}
    describe_request(record, event)
    return event


def empty_caches() -> None:
    """Forgets all that was masked before."""
    if not _caches:
        modules = [each for name, each in sys.modules.items() if name.startswith("slowhound.")]
        found = (value for module in modules for value in vars(module).values())
        _caches.extend(each for each in found if isinstance(each, _lru_cache_wrapper))
    for each in _caches:
        each.cache_clear()


def microseconds(
    request: Sent, times: int = TIMES, before: Callable[[], None] = empty_caches
) -> float:
    """The shortest of ``times`` times."""
    best = float("inf")
    for _ in range(times):
        before()
        began = time.perf_counter()
        masked(request)
        best = min(best, time.perf_counter() - began)
    return best * 1e6


def run() -> None:
    """Prints two tables."""
    with tempfile.TemporaryDirectory(prefix="slowhound-bench-") as directory:
        os.environ.update(BENCH_DIR=directory, DJANGO_SETTINGS_MODULE="bench.settings")
        import django

        django.setup()
        masked(Sent(*PLAIN))  # the first one imports
        idle = microseconds(Sent("/"))
        _show_ordinary(idle)
        rows = [_row(kind, idle) for kind in KINDS]
    head = (
        "of 4 kB each",
        "path",
        "referrer",
        "agent",
        "these",
        "budget",
        "query's keys",
        "at 40 kB",
    )
    show(f"Masking what a client sends, µs (best of {TIMES}, caches empty)", head, rows)


def _row(kind: str, idle: float) -> list[str]:
    parts = ("path", "referrer", "agent", "query")
    *three, query = [microseconds(sent(kind, SIZE, part)) - idle for part in parts]
    large = [microseconds(sent(kind, LARGER, part)) - idle for part in parts]
    ratio = sum(large) / (sum(three) + query)
    costs = [f"{each:.1f}" for each in three]
    return [
        kind,
        *costs,
        f"{sum(three):.1f}",
        verdict(sum(three), BUDGET),
        f"{query:.1f}",
        f"x {ratio:.2f}",
    ]


def _show_ordinary(idle: float) -> None:
    rows = []
    for name, value in zip(Sent._fields, PLAIN, strict=True):
        request = Sent(**{"path": "/", name: value})
        cost = microseconds(request) - idle
        again = microseconds(request, before=int) - idle
        budget = verdict(cost, SHORT_BUDGET) if name == "path" else ""
        rows.append([name, f"{cost:.1f}", budget, f"{again:.1f}"])
    head = ("an ordinary request's", "first time", "budget", "again")
    show(f"Masking what a client sends, µs (best of {TIMES})", head, rows)
