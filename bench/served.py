"""Requests per second and the worker's CPU per request, served by Gunicorn under wrk.

All servers of a table run at once, one worker each, and are loaded in turn, a few seconds at a
time; a row shows the medians of the ratios to the bare server in the same round. Trust the CPU per
request: wrk and other programs take their part of the machine, which changes how many requests are
served but hardly the cost of one.
"""

from __future__ import annotations

import contextlib
import importlib.util
import re
import shutil
import statistics
import subprocess
from typing import NamedTuple

from bench.servers import ACCESS_LOG, BARE, OLDER, SLOWHOUND, Server, Variant
from bench.tables import show, verdict

SERVED_ROUNDS = 5
SECONDS = 3
CONNECTIONS = 4
CPU_BUDGET = 1.06
OLDER_MODULES = ("dogslow", "gunicorn_django_canonical_logs")
VIEWS = ("plain", "five")
CLASSES = {
    "sync": ("--worker-class", "sync"),
    "gthread": ("--worker-class", "gthread", "--threads", "4"),
}


class Load(NamedTuple):
    """The result of one turn under wrk."""

    rate: float  # requests a second
    cpu: float  # microseconds of the workers for one request


def load(server: Server, view: str) -> Load:
    """Puts one server under load."""
    before = server.cpu()
    command = ["wrk", "-t1", f"-c{CONNECTIONS}", f"-d{SECONDS}s", f"{server.url}{view}/"]
    output = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    cpu = server.cpu() - before
    total = re.search(r"(\d+) requests in", output)
    rate = re.search(r"Requests/sec:\s+([\d.]+)", output)
    if total is None or rate is None or "Non-2xx" in output:
        raise RuntimeError(f"wrk on {server.variant.name}: {output}")
    return Load(float(rate[1]), cpu / int(total[1]) * 1e6)


def variants(worker_class: str) -> list[Variant]:
    """The variants to compare; the older tools are for sync workers, and may not be installed."""
    found = [BARE, ACCESS_LOG, SLOWHOUND]
    if worker_class != "sync":
        return found
    missing = [name for name in OLDER_MODULES if importlib.util.find_spec(name) is None]
    if missing:
        print(f"(not installed, so not compared: {', '.join(missing)})")
        return found
    return [*found, OLDER]


def measure(servers: list[Server], view: str) -> dict[str, list[Load]]:
    """Loads each server in turn, several times; another one goes first each time."""
    for server in servers:
        for _ in range(100):
            server.get(f"{view}/")
    order = list(servers)
    found: dict[str, list[Load]] = {server.variant.name: [] for server in servers}
    for _ in range(SERVED_ROUNDS):
        for server in order:
            found[server.variant.name].append(load(server, view))
        order.append(order.pop(0))
    return found


def _rows(found: dict[str, list[Load]]) -> list[list[str]]:
    rows = []
    for name, loads in found.items():
        pairs = list(zip(loads, found[BARE.name], strict=True))
        cpu = statistics.median(one.cpu / bare.cpu for one, bare in pairs)
        more = statistics.median(one.cpu - bare.cpu for one, bare in pairs)
        rate = statistics.median(one.rate / bare.rate for one, bare in pairs)
        row = [name, f"{statistics.median(one.cpu for one in loads):.0f}"]
        row += [f"{more:+.0f}", f"{cpu:.2f}"]
        row.append(verdict(cpu, CPU_BUDGET, 2) if name == SLOWHOUND.name else "")
        rows.append([*row, f"{statistics.median(one.rate for one in loads):.0f}", f"{rate:.2f}"])
    return rows


def run() -> None:
    """Measures and prints the tables."""
    if shutil.which("wrk") is None:
        print("\nNo wrk on this machine: what Gunicorn serves is not measured.")
        return
    head = ("variant", "cpu µs/request", "+µs", "ratio", "budget", "requests/s", "ratio")
    for worker_class, options in CLASSES.items():
        with contextlib.ExitStack() as stack:
            servers = [
                stack.enter_context(Server(variant, *options)) for variant in variants(worker_class)
            ]
            for view in VIEWS:
                title = f"Gunicorn {worker_class}, view {view!r} ({SERVED_ROUNDS} x {SECONDS} s)"
                show(title, head, _rows(measure(servers, view)))
