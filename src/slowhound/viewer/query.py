"""Reads a page's URL: its period, filters and order. A value that cannot be read is an error."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, NamedTuple
from urllib.parse import urlencode

from slowhound.runtime.clocks import clock
from slowhound.runtime.durations import parse_duration

PERIODS = ("15m", "1h", "6h", "24h", "7d", "30d", "all")
DEFAULT_PERIOD = "24h"
LONGEST_PARAMETER = 10_000


class BadQuery(ValueError):  # noqa: N818  becomes a response with status 400
    """A value in the URL is invalid; the text names the parameter and the reason."""


class QueryParameter(NamedTuple):
    """One parameter in the query string of a page: how it is read, and its label in a form."""

    read: Callable[[str], Any]
    label: str
    choices: tuple[str, ...] = ()
    hint: str = ""


def text(given: str) -> str:
    """A text of at most ``LONGEST_PARAMETER`` characters."""
    if len(given) > LONGEST_PARAMETER:
        raise BadQuery(f"at most {LONGEST_PARAMETER:,} characters")
    return given


def number(given: str) -> float:
    """A number that is not negative."""
    try:
        found = float(given)
    except ValueError:
        found = math.nan
    if not math.isfinite(found) or found < 0:
        raise BadQuery("not a number from 0 on")
    return found


def whole_number(given: str) -> int:
    """A whole number that fits 64 bits."""
    if not re.fullmatch(r"[0-9]{1,18}", given):
        raise BadQuery("not a whole number")
    return int(given)


def one_of(*choices: str, label: str, hint: str = "") -> QueryParameter:
    """A parameter that is one of these."""

    def read(given: str) -> str:
        if given not in choices:
            raise BadQuery(f"none of {', '.join(choices)}")
        return given

    return QueryParameter(read, label, choices, hint)


def parse_time(given: str, now: float) -> float:
    """Seconds since 1970 of ``24h`` (ago), ``2026-11-21T10:00`` (UTC) or ``1763719200``."""
    ago = parse_duration(given)
    if ago is not None:
        return now - ago
    try:
        return number(given)
    except BadQuery:
        pass
    try:
        found = datetime.fromisoformat(given)
    except ValueError:
        raise BadQuery("write 90s, 15m, 24h or 7d (ago), 2026-11-21T10:00 (UTC), or all") from None
    return (found if found.tzinfo else found.replace(tzinfo=UTC)).timestamp()


@dataclass(frozen=True)
class Query:
    """What the URL of one page asks for.

    ``base`` is the URL that the viewer is mounted at, ``given`` the parameters as they are in the
    query string, ``values`` the same after reading. ``since`` and ``until`` are seconds since 1970;
    None: unbounded.
    """

    base: str
    page: str
    given: Mapping[str, str]
    values: Mapping[str, Any]
    since: float | None
    until: float | None
    now: float

    def get(self, name: str) -> Any:
        """The value of a parameter; None when it is not in the URL."""
        return self.values.get(name)

    @property
    def period(self) -> str:
        """The period as the URL names it."""
        return self.given.get("since", DEFAULT_PERIOD)

    def link(self, page: str, **parameters: Any) -> str:
        """The URL of another page of the viewer, in the same period."""
        kept = {name: self.given[name] for name in ("since", "until") if name in self.given}
        return self.base + path_of(page) + _query_string({**kept, **parameters})

    def same(self, **changes: Any) -> str:
        """The URL of this page, with some parameters changed; None removes one."""
        return self.base + path_of(self.page) + _query_string({**self.given, **changes})

    def bounds(self) -> dict[str, float]:
        """The period for SQL: ``ts >= $since AND ts < $until``."""
        return {"since": self.since or 0.0, "until": 1e15 if self.until is None else self.until}


def path_of(page: str) -> str:
    """The path of a page below the viewer's base."""
    return "" if page == "overview" else f"{page}/"


def _query_string(parameters: Mapping[str, Any]) -> str:
    kept = {name: value for name, value in parameters.items() if value not in (None, "")}
    # A stored event may hold a value that UTF-8 cannot encode; as a filter it finds nothing anyway.
    return f"?{urlencode(kept, errors='replace')}" if kept else ""


PERIOD = {
    "since": QueryParameter(text, "from", PERIODS, "24h, 7d, 2026-11-21T10:00, all"),
    "until": QueryParameter(text, "until", (), "1h (ago), 2026-11-21T10:00"),
}


def read_query(
    base: str, page: str, known: Mapping[str, QueryParameter], parameters: Mapping[str, str]
) -> Query:
    """The parameters of this page's URL.

    Names that the page does not know are ignored: people pass on links with additions.

    Raises:
        BadQuery: a value cannot be read; the text names it.
    """
    now = clock.time()
    given = {name: parameters[name] for name in (*PERIOD, *known) if parameters.get(name)}
    values = {}
    for name, raw in given.items():
        try:
            values[name] = (known[name] if name in known else PERIOD[name]).read(raw)
        except BadQuery as bad:
            raise BadQuery(f"{name}: {bad}") from None
    try:
        since = values.get("since", DEFAULT_PERIOD)
        start = None if since == "all" else parse_time(since, now)
        end = parse_time(values["until"], now) if "until" in values else None
    except BadQuery as bad:
        raise BadQuery(f"since or until: {bad}") from None
    if start is not None and end is not None and end <= start:
        raise BadQuery("until must come after since")
    return Query(base, page, given, values, start, end, now)
