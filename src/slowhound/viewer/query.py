"""What a URL asks for: every state of a page is in its URL; a wrong one is said, not guessed."""

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
USUAL = "24h"
LONGEST_TEXT = 10_000


class Wrong(ValueError):  # noqa: N818  it is an answer
    """The URL asks for something that cannot be; the text says what."""


class Parameter(NamedTuple):
    """One name in the query string of a page: how it is read, and what it means."""

    read: Callable[[str], Any]
    label: str
    choices: tuple[str, ...] = ()
    hint: str = ""


def text(given: str) -> str:
    """Any text of bearable length."""
    if len(given) > LONGEST_TEXT:
        raise Wrong(f"at most {LONGEST_TEXT:,} characters")
    return given


def number(given: str) -> float:
    """A number that is not negative."""
    try:
        found = float(given)
    except ValueError:
        found = math.nan
    if not math.isfinite(found) or found < 0:
        raise Wrong("not a number from 0 on")
    return found


def whole(given: str) -> int:
    """A whole number that fits 64 bits."""
    if not re.fullmatch(r"[0-9]{1,18}", given):
        raise Wrong("not a whole number")
    return int(given)


def chosen(*choices: str, label: str, hint: str = "") -> Parameter:
    """A parameter that is one of these."""

    def read(given: str) -> str:
        if given not in choices:
            raise Wrong(f"none of {', '.join(choices)}")
        return given

    return Parameter(read, label, choices, hint)


def moment(given: str, now: float) -> float:
    """Seconds since 1970 of ``24h`` (ago), ``2026-11-21T10:00`` (UTC) or ``1763719200``."""
    ago = parse_duration(given)
    if ago is not None:
        return now - ago
    try:
        return number(given)
    except Wrong:
        pass
    try:
        found = datetime.fromisoformat(given)
    except ValueError:
        raise Wrong("write 90s, 15m, 24h or 7d (ago), 2026-11-21T10:00 (UTC), or all") from None
    return (found if found.tzinfo else found.replace(tzinfo=UTC)).timestamp()


@dataclass(frozen=True)
class Asked:
    """One page, asked for.

    ``base`` is the URL that the viewer is mounted at, ``given`` what stood in the query string,
    ``values`` the same as it was read. ``since`` and ``until`` are seconds since 1970; None: open.
    """

    base: str
    page: str
    given: Mapping[str, str]
    values: Mapping[str, Any]
    since: float | None
    until: float | None
    now: float

    def get(self, name: str) -> Any:
        """The value of a parameter, as it was read; None when it is not in the URL."""
        return self.values.get(name)

    @property
    def period(self) -> str:
        """The period as the URL names it."""
        return self.given.get("since", USUAL)

    def link(self, page: str, **parameters: Any) -> str:
        """The URL of another page of the viewer, in the same period."""
        kept = {name: self.given[name] for name in ("since", "until") if name in self.given}
        return self.base + path_of(page) + _query({**kept, **parameters})

    def same(self, **changes: Any) -> str:
        """The URL of this page, with some parameters changed; None takes one away."""
        return self.base + path_of(self.page) + _query({**self.given, **changes})

    def bounds(self) -> dict[str, float]:
        """The period for SQL: ``ts >= $since AND ts < $until``."""
        return {"since": self.since or 0.0, "until": 1e15 if self.until is None else self.until}


def path_of(page: str) -> str:
    """The path of a page below the viewer's base."""
    return "" if page == "overview" else f"{page}/"


def _query(parameters: Mapping[str, Any]) -> str:
    kept = {name: value for name, value in parameters.items() if value not in (None, "")}
    # What no UTF-8 can hold came from a stored event, and finds nothing anyway.
    return f"?{urlencode(kept, errors='replace')}" if kept else ""


PERIOD = {
    "since": Parameter(text, "from", PERIODS, "24h, 7d, 2026-11-21T10:00, all"),
    "until": Parameter(text, "until", (), "1h (ago), 2026-11-21T10:00"),
}


def read(base: str, page: str, known: Mapping[str, Parameter], query: Mapping[str, str]) -> Asked:
    """What the query string asks of this page.

    Names that the page does not know are left alone: links are passed on with additions.

    Raises:
        Wrong: a value cannot be read; the text names it.
    """
    now = clock.time()
    given = {name: query[name] for name in (*PERIOD, *known) if query.get(name, "") != ""}
    values = {}
    for name, raw in given.items():
        try:
            values[name] = (known[name] if name in known else PERIOD[name]).read(raw)
        except Wrong as wrong:
            raise Wrong(f"{name}: {wrong}") from None
    try:
        since = values.get("since", USUAL)
        start = None if since == "all" else moment(since, now)
        end = moment(values["until"], now) if "until" in values else None
    except Wrong as wrong:
        raise Wrong(f"since or until: {wrong}") from None
    if start is not None and end is not None and end <= start:
        raise Wrong("until must come after since")
    return Asked(base, page, given, values, start, end, now)
