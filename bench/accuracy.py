"""The accuracy of flame graphs: the largest error of a function's share, where the truth is known.

Each scenario runs under each sampler in a process of its own, and measures the time of its
functions itself. The largest error of a sampler's shares counts.
"""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

from bench import samplers
from bench.scenarios import CYCLES, UNSAMPLED
from bench.tables import show, verdict

SECONDS = 1.2
BUDGET, BUDGET_SHORT_CALLS = 5.0, 8.0
# Where an external process samples.
BUDGET_EXTERNAL = 2.0


def measure(name: str, tool: str, seconds: float) -> dict[str, Any]:
    """The result of a sampler for one scenario, and the truth."""
    if tool == "py-spy":
        return samplers.py_spy(name, seconds)
    command = [sys.executable, "-m", "bench.run_scenario", name, tool, str(seconds)]
    ended = subprocess.run(command, check=True, stdout=subprocess.PIPE)
    result: dict[str, Any] = json.loads(ended.stdout.splitlines()[-1])
    return result


def error(result: dict[str, Any]) -> float:
    """The largest error of a function's share, in points."""
    return 100 * max(
        abs(_share(result, function) - share) for function, share in result["truth"].items()
    )


def _share(result: dict[str, Any], function: str) -> float:
    share = float(result["found"].get(function, 0.0))
    if "remote" in result.get("ways", ()):
        return share
    # Unsampled time is attributed to no function; here it is known which one it was.
    return max(share, float(result.get("unsampled", 0.0))) if function in UNSAMPLED else share


def budget(name: str, result: dict[str, Any]) -> float:
    """The budget in points."""
    if "remote" in result["ways"]:
        return BUDGET_EXTERNAL
    return BUDGET_SHORT_CALLS if name == "5 ms C calls" else BUDGET


def run(seconds: float = SECONDS) -> None:
    """Measures and prints the table."""
    rows = []
    for name in CYCLES:
        ours = measure(name, "on demand", seconds)
        row = [name, f"{error(ours):.1f}", verdict(error(ours), budget(name, ours))]
        row.append(f"{100 * ours['unsampled']:.1f}")
        row.append("outside" if "remote" in ours["ways"] else "inside")
        row.append(f"{error(measure(name, 'in process', seconds)):.1f}")
        for tool in ("pyinstrument", "py-spy"):
            try:
                row.append(f"{error(measure(name, tool, seconds)):.1f}")
            except (OSError, subprocess.CalledProcessError):
                row.append("failed")
        rows.append(row)
    head = (
        "scenario",
        "on demand",
        "budget",
        "unsampled %",
        "sampled from",
        "inside only",
        "pyinstrument",
        "py-spy",
    )
    show(f"Largest error of a function's share, in points ({seconds:g} s each)", head, rows)
