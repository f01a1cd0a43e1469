"""The cost of an idle worker: CPU, threads, open files and memory, with slowhound and without.

Both servers serve a few hundred requests first, so that both have imported all they use, and then
none, at the same time. The CPU time is the scheduler's own, in nanoseconds.
"""

from __future__ import annotations

import os
import re
import time

from bench.servers import BARE, SLOWHOUND, Server
from bench.tables import show, verdict

SECONDS = 20.0
REQUESTS = 300
CPU_BUDGET = 0.1  # percent of one CPU
RSS_BUDGET = 5.0  # MB
MIB = 1024.0


def _scheduled(pid: int) -> float:
    """Seconds that all threads of a process have run."""
    nanoseconds = 0
    for thread in os.listdir(f"/proc/{pid}/task"):
        with open(f"/proc/{pid}/task/{thread}/schedstat", encoding="ascii") as schedstat:
            nanoseconds += int(schedstat.read().split()[0])
    return nanoseconds / 1e9


def _status(pid: int, name: str) -> int:
    with open(f"/proc/{pid}/status", encoding="utf-8") as status:
        found = re.search(rf"^{name}:\s+(\d+)", status.read(), re.MULTILINE)
    return int(found[1]) if found else 0


def _row(name: str, percent: float, pid: int) -> list[str]:
    files = len(os.listdir(f"/proc/{pid}/fd"))
    rss = _status(pid, "VmRSS") / MIB
    return [name, f"{percent:.3f}", str(_status(pid, "Threads")), str(files), f"{rss:.1f}"]


def run() -> None:
    """Measures and prints the table."""
    with Server(BARE) as bare, Server(SLOWHOUND) as watched:
        for server in (bare, watched):
            for _ in range(REQUESTS):
                server.get("plain/")
        time.sleep(1)
        pids = {server.variant.name: server.workers()[0] for server in (bare, watched)}
        before = {name: _scheduled(pid) for name, pid in pids.items()}
        time.sleep(SECONDS)
        cpu = {name: (_scheduled(pid) - before[name]) / SECONDS * 100 for name, pid in pids.items()}
        rows = [_row(name, cpu[name], pid) for name, pid in pids.items()]
        _add_difference(rows)
    head = ("worker", "cpu %", "threads", "files", "rss MB")
    show(f"Idle for {SECONDS:.0f} s, one sync worker", head, rows)


def _add_difference(rows: list[list[str]]) -> None:
    more = [float(one) - float(bare) for bare, one in zip(rows[0][1:], rows[1][1:], strict=True)]
    rows.append(
        ["difference", f"{more[0]:+.3f}", f"{more[1]:+.0f}", f"{more[2]:+.0f}", f"{more[3]:+.1f}"]
    )
    rows.append(["budget", verdict(more[0], CPU_BUDGET, 3), "", "", verdict(more[3], RSS_BUDGET)])
