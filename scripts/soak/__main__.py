"""Tries to crash gthread workers with slowhound, by everything that has ever crashed CPython.

    python scripts/soak --minutes 10

Half of the time goes to bytecode that runs for a second inside one C call: that crashed workers of
Python 3.11 to 3.13 when a signal handler dumped their stack. The rest is classes, generators,
recursion, threads, finalizers, forks, locks, C libraries. Meanwhile an operator runs ``ps`` and
``dump``, and a worker is stopped and continued. Exit code 1 when a check fails; docs/risks.md has
the table.
"""

from __future__ import annotations

import argparse
import json
import platform
import random
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

from checks import Found, Watched, check
from client import Outside, Traffic, settle, still_answers
from kinds import Sized, calibrate, every_kind, usable
from server import Server

# Seconds between two stops of a worker, and for which it stays stopped.
STOP_EVERY, STOPPED = 20.0, 2.0
SHOWN = 20
HEADER = (
    "| Python | minutes | requests | of crash kinds | slow | held the GIL | wrong | EINTR | deaths"
    " | descriptors | MiB | left out | result |"
)


def main() -> int:
    """Makes two runs, the second with local variables in reports; prints the table's row."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", 1)[0])
    parser.add_argument("--minutes", type=float, default=10.0)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--kinds", help="only these, with a comma between them")
    parser.add_argument("--json", type=Path, help="a file for all that was found")
    parser.add_argument("--keep-going", action="store_true", help="after a violation, too")
    parser.add_argument("--without", action="store_true", help="the site without slowhound")
    arguments = parser.parse_args()
    every = every_kind()
    kinds = usable(every)
    left_out = [each.name for each in every if each.name not in kinds]
    wanted = set((arguments.kinds or ",".join(kinds)).split(","))
    sized = [calibrate(each) for each in kinds.values() if each.name in wanted]
    with tempfile.TemporaryDirectory(prefix="soak-", ignore_cleanup_errors=True) as name:
        folder = Path(name)
        control = _control(folder / "control")
        runs = []
        for number in (0, 1):
            run = _run(folder / f"run{number}", sized, arguments, number, control)
            runs.append(run)
            for violation in run[1].violations[:SHOWN]:
                print(f"run {number}: {violation}", flush=True)
            if run[1].violations and not arguments.keep_going:
                break
    row = _row(runs, arguments, left_out)
    print(HEADER, "|" + " --- |" * (HEADER.count("|") - 1), row, sep="\n")
    bad = any(found.violations for _, found in runs)
    if arguments.json is not None:
        arguments.json.write_text(json.dumps({"row": row, "runs": [_plain(each) for each in runs]}))
    return int(bad)


def _control(folder: Path) -> int:
    """The signals that workers of the same site handle without slowhound."""
    server = Server(folder, enabled=False, locals_too=False)
    try:
        still_answers(server.port)
        return server.sample()[0].caught
    finally:
        server.stop()


def _run(
    folder: Path, sized: list[Sized], arguments: argparse.Namespace, number: int, control: int
) -> tuple[Traffic, Found]:
    """Runs the site under traffic for half of the time."""
    enabled = not arguments.without
    server = Server(folder, enabled=enabled, locals_too=number == 1)
    outside = Outside([sys.executable, "-m", "slowhound"], server.dir)
    watched = Watched([], [])
    settle(server.port, server.workers)  # before a worker starts, it has the arbiter's handlers
    traffic = Traffic(server.port, sized, arguments.seed + number, f"soak{number}")
    try:
        if enabled:
            outside.start()
        for _ in range(3):
            _watch(server, watched, arguments.minutes * 10)
            with traffic.paused():
                settle(server.port, server.workers)
                watched.at_rest.append(sum(each.rss for each in server.sample()))
    finally:
        traffic.stop()
        if enabled:
            outside.end()
        answers = still_answers(server.port)
        ended = server.stop()
    found = check(server, watched, traffic, outside, control, enabled=enabled)
    if not answers:
        found.violations.append("the site does not answer in the end")
    if not ended:
        found.violations.append("the server does not end")
    return traffic, found


def _watch(server: Server, watched: Watched, seconds: float) -> None:
    """Samples the workers each second, and stops one every ``STOP_EVERY`` seconds."""
    now = time.monotonic()
    end, next_stop = now + seconds, now + STOP_EVERY
    pause = threading.Event()
    while time.monotonic() < end:
        watched.samples.extend(server.sample())
        if time.monotonic() >= next_stop:
            next_stop = time.monotonic() + STOP_EVERY
            with server.stopped(random.choice(server.workers)):
                pause.wait(STOPPED)
        pause.wait(1.0)


def _row(
    runs: list[tuple[Traffic, Found]], arguments: argparse.Namespace, left_out: list[str]
) -> str:
    traffic, found = [each for each, _ in runs], [each for _, each in runs]
    crash = {each.name for each in every_kind() if each.crash}
    descriptors = ", ".join(it.descriptors.text() for it in found)
    memory = ", ".join(it.kib.text(1024) for it in found)
    cells: list[Any] = [
        platform.python_version(),
        f"{arguments.minutes:g}",
        sum(each.done.total() for each in traffic),
        sum(each.done[name] for each in traffic for name in crash),
        sum(each.slow for each in found),
        sum(each.held for each in found),
        sum(len(each.wrong) for each in traffic),
        sum(each.interrupted for each in traffic),
        sum(each.deaths for each in found),
        descriptors,
        memory,
        ", ".join(left_out) or "-",
        "failed" if any(each.violations for each in found) else "passed",
    ]
    return "| " + " | ".join(map(str, cells)) + " |"


def _plain(run: tuple[Traffic, Found]) -> dict[str, Any]:
    traffic, found = run
    return {"done": dict(traffic.done), "wrong": traffic.wrong, **found._asdict()}


if __name__ == "__main__":
    sys.exit(main())
