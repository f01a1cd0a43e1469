"""The texts around a graph: which request it is of, and how accurate it is."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any, NamedTuple

from slowhound.flames.profile import UNSAMPLED, Profile
from slowhound.flames.render.names import shown

# A longer path or verdict is cut; the event has all of it.
LONGEST_FACT = 200


class Fact(NamedTuple):
    """One field; ``name`` is empty where the value is clear without it."""

    name: str
    value: str


_TIMES = (
    ("time", "resp_time"),
    ("queue", "queue_time"),
    ("db", "db_time"),
    ("cache", "cache_time"),
    ("templates", "tmpl_time"),
    ("outbound", "out_time"),
    ("cpu", "resp_cpu_time"),
    ("gc", "gc_time"),
)
_TEXTS = (
    ("view", "resp_view"),
    ("route", "req_route"),
    ("status", "resp_status"),
    ("outcome", "resp_outcome"),
    ("exception", "exc_type"),
)
_ORIGINS = (
    ("id", "req_id"),
    ("host", "host"),
    ("pid", "pid"),
    ("service", "service"),
    ("release", "release"),
)


def title(profile: Profile) -> str:
    """Method and path of the request, or the name of the task; of several, what they share."""
    event = profile.event
    name = " ".join(_text(event[key]) for key in ("req_method", "req_path") if event.get(key))
    if not name and event.get("task_name"):
        name = f"task {_text(event['task_name'])}"
    if profile.requests == 1:
        return name or "A request"
    name = name or _text(event.get("resp_view") or event.get("slow_fingerprint") or "")
    return f"{profile.requests} requests{': ' if name else ''}{name}"


def facts(profile: Profile) -> list[Fact]:
    """The canonical fields of the request, and of where its time went."""
    event = profile.event
    found = [Fact(name, _text(event[key])) for name, key in _TEXTS if _given(event, key)]
    found += [Fact(name, seconds(event[key])) for name, key in _TIMES if _number(event, key)]
    if _number(event, "db_queries"):
        found.append(Fact("queries", f"{event['db_queries']:g}"))
    found.append(Fact("sampled", seconds(profile.duration)))
    if profile.started > 0:
        found.append(Fact("started", _when(profile.started)))
    return found + [Fact(name, _text(event[key])) for name, key in _ORIGINS if _given(event, key)]


def verdict(profile: Profile) -> str:
    """The verdict of the watchdog; empty when there is none."""
    return _text(profile.event.get("slow_verdict") or "")


def accuracy(profile: Profile, normal: Profile | None) -> list[Fact]:
    """How accurate the graph is."""
    it = profile.accuracy
    unsampled = sum(sample.weight for sample in profile.samples if sample.state == UNSAMPLED)
    total = sum(sample.weight for sample in profile.samples)
    # The same time twice: a sampler may count unsampled time without a sample of it.
    unsampled = max(unsampled, it.unsampled)
    error = "not known" if it.error is None else f"±{100 * it.error:.1f} points at most (estimate)"
    found = [
        Fact("samples", f"{it.taken:,} of {it.due:,} due, every {seconds(profile.interval)}"),
        Fact("longest gap", seconds(it.longest_gap)),
        Fact("unsampled", f"{seconds(unsampled)}{_share(unsampled, total)}"),
        Fact("error of a share", error),
        Fact("left out", f"{it.left_out:,}"),
    ]
    if it.ways:
        ways = ", ".join(f"{shown(way)} {count:,}" for way, count in it.ways.items())
        found.append(Fact("taken by", ways))
    if normal is not None:
        several = f"{normal.requests:,} requests" if normal.requests != 1 else "1 request"
        found.append(Fact("compared with", f"{several}, {seconds(normal.duration)} sampled"))
    return found


def seconds(value: float) -> str:
    """A time for people: with three significant digits."""
    for limit, factor, unit in ((1e-3, 1e6, "µs"), (1.0, 1e3, "ms")):
        if 0 < abs(value) < limit:
            return f"{value * factor:.3g} {unit}"
    return f"{value:.2f} s" if value < 100 else f"{value:,.0f} s"


def _share(part: float, total: float) -> str:
    return f" ({100 * part / total:.1f} %)" if part and total else ""


def _when(started: float) -> str:
    try:
        return datetime.fromtimestamp(started, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
    except (OverflowError, OSError, ValueError):  # a forged file may hold any number
        return f"{started:g}"


def _given(event: dict[str, Any], key: str) -> bool:
    return event.get(key) not in (None, "")


def _number(event: dict[str, Any], key: str) -> bool:
    return type(event.get(key)) in (int, float)


def _text(value: Any) -> str:
    text = shown(value)
    return text if len(text) <= LONGEST_FACT else f"{text[: LONGEST_FACT - 1]}…"
