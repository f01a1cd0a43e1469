"""The store: compaction, and each question over a million events."""

from __future__ import annotations

import os
import random
import tempfile
import time
from pathlib import Path
from statistics import median

from bench import tables
from slowhound.event.formats import json_line
from slowhound.store.duckdb import LocalFiles
from slowhound.store.questions import QUESTIONS

EVENTS = int(os.environ.get("BENCH_EVENTS", "1000000"))
WORKERS = 4
PER_SEGMENT = 40_000  # about 32 MiB
BUDGET = 0.2  # seconds
REPEATS = 3
START = 1_790_000_000.0
VIEWS = [f"view-{number}" for number in range(60)]
SQL = [f'SELECT "t{n}"."id", "t{n}"."name" FROM "t{n}" WHERE "t{n}"."id" = ?' for n in range(200)]
PARAMETERS = {"request": {"id": "17d07666-4a8d-87ac-bc7c-000000000100"}}


def event(number: int, chance: random.Random) -> dict[str, object]:
    """An event of a site with 60 views; one in 100 fails, one in 2,000 is slow."""
    view, took = chance.choice(VIEWS), chance.expovariate(20)
    found: dict[str, object] = {
        "event_type": "request",
        "req_id": f"17d07666-4a8d-87ac-bc7c-{number:012x}",
        "req_method": "GET",
        "req_path": f"/{view}/{chance.randrange(5000)}/",
        "req_referrer": None,
        "req_user_agent": f"Mozilla/5.0 (X11; Linux x86_64; rv:{chance.randrange(90, 150)}.0)",
        "req_route": f"{view}/<int:pk>/",
        "req_client_addr": f"10.0.{chance.randrange(256)}.{chance.randrange(256)}",
        "resp_view": view,
        "resp_time": took,
        "resp_cpu_time": took * chance.random(),
        "resp_status": 200,
        "resp_ttfb": took * 0.98,
        "resp_bytes": chance.randrange(60_000),
        "resp_outcome": "ok",
        "queue_time": chance.expovariate(1000),
        "db_queries": 3,
        "db_time": took * 0.3,
        "db_dup_queries": 0,
        "db_dup_time": 0.0,
        "tmpl_count": 1,
        "tmpl_time": took * 0.1,
        "gc_time": chance.expovariate(10_000),
        "rest_time": took * 0.6,
        "g_w_count": WORKERS,
        "g_w_active": chance.randrange(1, WORKERS + 1),
        "g_backlog": chance.randrange(3),
        "w_age": number / 100,
        "w_rss": 40_000_000 + 4096 * chance.randrange(9999),
        "w_nr": number,
        "rec_overhead": chance.expovariate(20_000),
        "ts": START + number * 0.01 + chance.random(),
        "host": "web-1",
        "pid": 1000 + number // PER_SEGMENT % WORKERS,
        "release": f"1.{number * 4 // EVENTS}",
        "seq": number,
        "v": 1,
        "app_plan": chance.choice(("free", "gold")),
        "db_top": [
            {"fingerprint": chance.choice(SQL), "count": 1, "time": took * 0.1, "line": None}
            for _ in range(3)
        ],
    }
    if chance.random() < 0.01:
        found |= {"resp_status": 500, "resp_outcome": "error", "exc_type": "ValueError"}
        found |= {"exc_msg": "no such item", "exc_cause_loc": f"shop/{view}.py:7:get"}
    if chance.random() < 0.0005:
        found |= {"slow_fingerprint": f"f-{view}", "slow_verdict": "stuck", "slow_after": 1.0}
        found |= {"slow_loc": f"shop/{view}.py:9:wait", "gil_wait_est": 1.0, "gil_held_by": view}
    return found


def fill(folder: Path) -> int:
    """Writes the segments; returns their bytes."""
    chance, size = random.Random(1), 0
    for first in range(0, EVENTS, PER_SEGMENT):
        pid = 1000 + first // PER_SEGMENT % WORKERS
        path = folder / f"{int(START * 1000) + first}-{pid}-{first // PER_SEGMENT}.jsonl"
        with open(path, "wb") as file:
            for number in range(first, min(first + PER_SEGMENT, EVENTS)):
                size += file.write(json_line(event(number, chance)))
        os.utime(path, (START, START))
    return size


def run() -> None:
    """Prints two tables."""
    with tempfile.TemporaryDirectory(prefix="slowhound-bench-") as directory:
        folder = Path(directory) / "events"
        folder.mkdir(mode=0o700)
        size = fill(folder)
        source = LocalFiles(directory)
        began = time.perf_counter()
        source.compact()
        took = time.perf_counter() - began
        small = sum(path.stat().st_size for path in folder.iterdir())
        tables.show(
            f"{EVENTS:,} events: from segments to Parquet",
            ("", "bytes", "an event"),
            [
                ("segments", f"{size:,}", f"{size / EVENTS:.0f}"),
                ("Parquet", f"{small:,}", f"{small / EVENTS:.0f}"),
                ("compaction", f"{took:.1f} s", f"{took / EVENTS * 1e6:.1f} us"),
            ],
        )
        rows = []
        for name in QUESTIONS:
            times, cpu = [], []
            for _ in range(REPEATS):
                began, spent = time.perf_counter(), time.process_time()
                answer = source.ask(name, **PARAMETERS.get(name, {}))
                times.append(time.perf_counter() - began)
                cpu.append(time.process_time() - spent)
            found = median(times)
            rows.append(
                (
                    name,
                    str(len(answer.rows)),
                    f"{found:.3f}",
                    tables.verdict(found, BUDGET, 2),
                    f"{median(cpu):.3f}",
                )
            )
        tables.show(
            f"questions over them, seconds (median of {REPEATS})",
            ("question", "rows", "seconds", "budget", "CPU"),
            rows,
        )
