"""Checks what must be true of one run of the site."""

from __future__ import annotations

import json
import re
import signal
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from statistics import median
from typing import NamedTuple

from client import Outside, Traffic
from server import Sample, Server

# The signals that faulthandler may handle for a fatal error (SIGABRT is Gunicorn's anyway), and 32
# and 33, which glibc uses for threads.
FATAL = (signal.SIGSEGV, signal.SIGBUS, signal.SIGFPE, signal.SIGILL, 32, 33)
# In Gunicorn's log: a worker has ended that was not told to.
DIED = re.compile(r"was sent SIG|exited with code|WORKER TIMEOUT")
FAILED = re.compile(r"\w+ failed\nTraceback.*?\n\[", re.DOTALL)
TERMINAL = ("request", "timeout", "crash")
# How much more the last third of a run may have than an earlier one.
MORE_DESCRIPTORS, MORE_RSS, MORE_KIB = 8, 0.05, 16 * 1024


class Level(NamedTuple):
    """A figure of an earlier third of a run, and of the last one."""

    early: float
    late: float

    def text(self, unit: float = 1) -> str:
        """Both, in this unit."""
        return f"{self.early / unit:.0f} → {self.late / unit:.0f}"


class Watched(NamedTuple):
    """The kernel's figures during a run.

    ``at_rest`` is the memory of all workers together in KiB, after each third of the run, while no
    request is in flight and unused memory has been given back.
    """

    samples: list[Sample]
    at_rest: list[int]


class Found(NamedTuple):
    """The violations, each a sentence, and counts for the table."""

    violations: list[str]
    deaths: int
    slow: int
    held: int
    descriptors: Level
    kib: Level


def check(  # noqa: PLR0913  all that a run has left
    server: Server,
    watched: Watched,
    traffic: Traffic,
    outside: Outside,
    control: int,
    *,
    enabled: bool,
) -> Found:
    """Makes all checks of a run that is over."""
    events = list(_events(server.dir))
    kinds = Counter(str(event["event_type"]) for event in events)
    log = server.text()
    died = DIED.findall(log)
    descriptors = _level([each.descriptors for each in watched.samples])
    kib = Level(watched.at_rest[0], watched.at_rest[-1])
    held = sum("gil_hold_est" in event for event in events)
    violations = [
        *(["a worker was replaced"] if len(set(_booted(log))) > 2 else []),
        *[f"Gunicorn's log: {line}" for line in log.splitlines() if DIED.search(line)],
        *[each[:1500] for each in FAILED.findall(log)],
        *[_death(event) for event in events if event["event_type"] in ("timeout", "crash")],
        *traffic.wrong,
        *[f"{each['req_user_agent']}: {each['exc_msg']}" for each in events if "exc_msg" in each],
        *([f"{traffic.interrupted} times EINTR"] if traffic.interrupted else []),
        *outside.failed,
        *_signals(watched.samples, control),
        *_grown(descriptors, kib),
        *(_unequal(events, traffic.agents) if enabled else []),
        *([] if kinds["slow"] or not enabled else ["no slow request was reported"]),
        *([] if held or not enabled else ["no held GIL was reported"]),
    ]
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
    """No timers, and no handlers that the site alone does not have, except for fatal errors."""
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


def _level(values: list[int]) -> Level:
    third = len(values) // 3
    if not third:
        return Level(0.0, 0.0)
    return Level(median(values[third : 2 * third]), median(values[2 * third :]))


def _grown(descriptors: Level, kib: Level) -> Iterator[str]:
    if descriptors.late - descriptors.early > MORE_DESCRIPTORS:
        yield f"descriptors grow: {descriptors.text()}"
    if kib.late > kib.early * (1 + MORE_RSS) + MORE_KIB:
        yield f"memory grows: {kib.text()} KiB"
