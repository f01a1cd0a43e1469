"""What must be true of one run of the site, and what was found."""

from __future__ import annotations

import json
import re
import signal
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from statistics import median
from typing import NamedTuple

from client import Outside, Traffic
from server import Sample, Server

# What faulthandler may handle for a fatal error; SIGABRT is Gunicorn's anyway. 32 and 33 are those
# of glibc, for threads.
FATAL = (signal.SIGSEGV, signal.SIGBUS, signal.SIGFPE, signal.SIGILL, 32, 33)
# In the log of Gunicorn, of a worker that was not told to end.
DIED = re.compile(r"was sent SIG|exited with code|WORKER TIMEOUT")
FAILED = re.compile(r"\w+ failed\nTraceback.*?\n\[", re.DOTALL)
TERMINAL = ("request", "timeout", "crash")
# What the second and the last third of a run may differ by.
MORE_DESCRIPTORS, MORE_RSS, MORE_KIB = 8, 0.10, 32 * 1024


class Level(NamedTuple):
    """A figure of the second and of the last third of a run."""

    middle: float
    late: float

    def text(self, unit: float) -> str:
        """Both, in this unit."""
        return f"{self.middle / unit:.0f} → {self.late / unit:.0f}"


class Found(NamedTuple):
    """Violations, each a sentence; counts for the table."""

    violations: list[str]
    deaths: int
    slow: int
    held: int
    descriptors: Level
    kib: Level


def check(  # noqa: PLR0913  all that a run has left
    server: Server,
    samples: list[Sample],
    traffic: Traffic,
    outside: Outside,
    control: int,
    *,
    enabled: bool,
) -> Found:
    """All checks of a run that is over."""
    events = list(_events(server.dir))
    kinds = Counter(str(event["event_type"]) for event in events)
    log = server.text()
    died = DIED.findall(log)
    descriptors = _level([float(each.descriptors) for each in samples], median)
    # The work takes up to a hundred megabytes at once: what is there in between is looked for.
    kib = _level([float(each.rss) for each in samples], _low)
    violations = [
        *(["a worker was replaced"] if len(set(_booted(log))) > 2 else []),
        *[f"Gunicorn's log: {line}" for line in log.splitlines() if DIED.search(line)],
        *[each[:1500] for each in FAILED.findall(log)],
        *[_death(event) for event in events if event["event_type"] in ("timeout", "crash")],
        *traffic.wrong,
        *[f"{each['req_user_agent']}: {each['exc_msg']}" for each in events if "exc_msg" in each],
        *([f"{traffic.interrupted} times EINTR"] if traffic.interrupted else []),
        *outside.failed,
        *_signals(samples, control),
        *_grown(descriptors, kib),
        *(_unequal(events, traffic.agents) if enabled else []),
        *([] if kinds["slow"] or not enabled else ["no slow request was seen"]),
    ]
    held = sum("gil_hold_est" in event for event in events)
    return Found(violations, len(died), kinds["slow"], held, descriptors, kib)


def _death(event: dict[str, object]) -> str:
    names = ("event_type", "crash_signal", "req_path", "crash_stack_by", "crash_stack")
    return " ".join(str(event.get(name)) for name in (*names, "timeout_stack"))[:800]


def _booted(log: str) -> list[str]:
    return re.findall(r"Booting worker with pid: (\d+)", log)


def _events(directory: Path) -> Iterator[dict[str, object]]:
    for path in sorted(directory.glob("events/*.jsonl")):
        for line in path.read_text().splitlines():
            yield json.loads(line)


def _signals(samples: list[Sample], control: int) -> Iterator[str]:
    """No timer and no handler that the site alone has not, but for those of fatal errors."""
    allowed = control
    for number in FATAL:
        allowed |= 1 << (number - 1)
    if any(each.timers for each in samples):
        yield "a worker has POSIX timers"
    more = {number for each in samples for number in _numbers(each.caught & ~allowed)}
    if more:
        yield f"a worker handles the signals {sorted(more)}"


def _numbers(mask: int) -> list[int]:
    return [number for number in range(1, 65) if mask >> (number - 1) & 1]


def _unequal(events: list[dict[str, object]], agents: list[str]) -> Iterator[str]:
    """Each request has one terminal event."""
    ends = Counter(each["req_user_agent"] for each in events if each["event_type"] in TERMINAL)
    for agent in agents:
        if ends[agent] != 1:
            yield f"{agent} has {ends[agent]} terminal events"


def _level(values: list[float], of: Callable[[list[float]], float]) -> Level:
    third = len(values) // 3
    if not third:
        return Level(0.0, 0.0)
    return Level(of(values[third : 2 * third]), of(values[2 * third :]))


def _low(values: list[float]) -> float:
    """What nine of ten are above."""
    return sorted(values)[len(values) // 10]


def _grown(descriptors: Level, kib: Level) -> Iterator[str]:
    if descriptors.late - descriptors.middle > MORE_DESCRIPTORS:
        yield f"descriptors grow: {descriptors}"
    if kib.late > kib.middle * (1 + MORE_RSS) + MORE_KIB:
        yield f"memory grows: {kib} KiB"
