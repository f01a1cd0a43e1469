"""Automatic sampling: its accuracy, and its cost for the code that is sampled."""

from __future__ import annotations

import os
import statistics
import tempfile
import time
from collections.abc import Callable
from typing import Any

from bench import samplers
from bench.accuracy import error, measure
from bench.scenarios import CYCLES, cpu
from bench.tables import show, verdict

SECONDS = 3.5
PAIRS, TURN = 12, 0.25
AUTOMATIC_BUDGET, ON_DEMAND_BUDGET = 3.0, 12.0


def run() -> None:
    """Measures and prints both tables."""
    _show_costs()
    rows = []
    for name in CYCLES:
        result = measure(name, "automatic", SECONDS)
        estimate = 100 * result["estimate"]
        row = [name, f"{error(result):.1f}", f"{estimate:.1f}", f"{100 * result['unsampled']:.1f}"]
        rows.append([*row, str(result["taken"])])
    head = ("scenario", "error", "own estimate", "unsampled %", "samples")
    title = "Sampled automatically at 20 a second: largest error of a function's share, in points"
    show(f"{title} ({SECONDS:g} s each)", head, rows)


def _show_costs() -> None:
    from slowhound.flames.sampling import session
    from slowhound.recorder import process as recorders

    with tempfile.TemporaryDirectory(prefix="slowhound-bench-") as directory:
        os.chmod(directory, 0o700)
        recorder = samplers.start_recorder(directory)
        automatic = _slower(lambda: samplers.begin(recorder), recorder.finish)
        recorders.stop()
    on_demand = _slower(_begin_session, session.stop)
    rows = [
        ["automatic, 20 a second", f"{automatic:+.1f}", verdict(automatic, AUTOMATIC_BUDGET)],
        ["on demand, 500 a second", f"{on_demand:+.1f}", verdict(on_demand, ON_DEMAND_BUDGET)],
    ]
    title = f"A pure-Python loop while it is sampled (medians of {PAIRS} pairs)"
    show(title, ("sampler", "slower by %", "budget"), rows)


def _begin_session() -> Any:
    from slowhound.core.record import Record
    from slowhound.flames.sampling import session

    record = Record("GET", "/", time.monotonic())
    session.start(record)
    return record


def _slower(begin: Callable[[], Any], end: Callable[[Any], Any]) -> float:
    """By how many percent the loop takes longer; turns with and without alternate."""
    ratios = []
    for pair in range(PAIRS):
        took = {}
        for sampled in (False, True) if pair % 2 else (True, False):
            who = begin() if sampled else None
            start = time.perf_counter()
            cpu(TURN)
            took[sampled] = time.perf_counter() - start
            if who is not None:
                end(who)
        ratios.append(took[True] / took[False])
    return 100 * (statistics.median(ratios) - 1)
