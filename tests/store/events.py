"""A small store whose answers can be worked out by hand, and helpers to write one."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

Event = dict[str, Any]

# At two full minutes, an hour ago: ClickHouse removes what is older than the table keeps.
START = float((int(time.time()) // 120 - 30) * 120)
LOOP = "SELECT name FROM customer WHERE id = ?"
LIST = "SELECT id FROM orders"


def request(number: int, at: float, view: str, took: float, **more: Any) -> Event:
    """The event of a request that ended well, with changes."""
    return {
        "event_type": "request",
        "req_id": f"r{number}",
        "req_method": "GET",
        "req_path": f"/{view}/{number}/",
        "resp_view": view,
        "resp_time": took,
        "resp_status": 200,
        "resp_outcome": "ok",
        "g_w_count": 4,
        "g_w_active": 1,
        "g_backlog": 0,
        "w_rss": 100_000_000 + 1_000_000 * number,
        "rec_overhead": 0.00005,
        "ts": START + at,
        "host": "web-1",
        "pid": 11,
        "release": "1.0",
        "seq": number,
        "v": 1,
        **more,
    }


def query(fingerprint: str, count: int, time: float, line: str | None = None) -> Event:
    return {"fingerprint": fingerprint, "count": count, "time": time, "line": line}


FAILED = {"resp_status": 500, "resp_outcome": "error"}
OTHER = {"pid": 12, "release": "1.1"}
SLOW = {
    "slow_after": 1.0,
    "slow_loc": "shop/cart.py:7:pay",
    "slow_verdict": "stuck",
    "slow_fingerprint": "f00d",
    "report": "slow_request_20270115T080000Z_11_6_00000000.log",
}

EVENTS: list[Event] = [
    request(
        1,
        0,
        "shop",
        0.1,
        db_queries=1,
        db_time=0.02,
        rest_time=0.08,
        queue_time=0.01,
        db_top=[query(LIST, 1, 0.02)],
        app_plan="gold",
    ),
    request(
        2,
        10,
        "shop",
        0.2,
        db_queries=7,
        db_time=0.06,
        db_dup_queries=6,
        db_dup_time=0.04,
        db_n1="shop/views.py:3:home",
        rest_time=0.1,
        queue_time=0.03,
        tmpl_time=0.04,
        db_top=[query(LOOP, 6, 0.04, "shop/views.py:3:home"), query(LIST, 1, 0.02)],
        app_plan="free",
        app_items=3,
    ),
    request(3, 20, "shop", 0.3, rest_time=0.3, resp_cpu_time=0.2, gc_time=0.04),
    request(
        4,
        70,
        "shop",
        0.4,
        rest_time=0.4,
        exc_type="ValueError",
        exc_msg="no such item",
        exc_cause_loc="shop/cart.py:5:add",
        g_w_active=4,
        g_backlog=9,
        **FAILED,
    ),
    request(
        5,
        80,
        "cart",
        1.0,
        rest_time=0.5,
        out_count=2,
        out_time=0.5,
        cache_hits=3,
        cache_misses=1,
        cache_time=0.01,
        gil_wait_est=0.5,
        gil_held_by="GET /sort/ (r9), at shop/sort.py:1:go",
    ),
    {
        **request(6, 90, "cart", 1.5, **SLOW),
        "event_type": "slow",
        "resp_status": None,
        "resp_outcome": None,
        "resp_time": 1.5,
    },
    request(7, 95, "cart", 3.0, req_id="r6", rest_time=3.0, req_path="/cart/6/", **SLOW),
    request(8, 130, "shop", 0.8, rest_time=0.8, **OTHER),
    request(
        9,
        140,
        "shop",
        1.2,
        rest_time=1.2,
        loop_lag=0.25,
        loop_blocked_by="GET /hash/ (r10), at shop/hash.py:2:go",
        rec_dropped=2,
        **OTHER,
    ),
    {
        "event_type": "timeout",
        "req_id": "r10",
        "req_method": "POST",
        "req_path": "/cart/10/",
        "resp_view": "cart",
        "resp_time": 30.0,
        "resp_outcome": "timeout",
        "timeout_cause_loc": "shop/bank.py:9:call",
        "timeout_sql": LIST,
        "ts": START + 150,
        "host": "web-1",
        "pid": 12,
        "release": "1.1",
        "seq": 1,
        "v": 1,
    },
    {
        "event_type": "crash",
        "req_id": "r11",
        "req_method": "GET",
        "req_path": "/shop/11/",
        "resp_view": "shop",
        "resp_time": 2.0,
        "resp_outcome": "killed",
        "crash_cause": "oom",
        "crash_signal": "SIGKILL",
        "crash_cause_loc": "shop/export.py:4:rows",
        "ts": START + 200,
        "host": "web-2",
        "pid": 21,
        "seq": 1,
        "v": 1,
    },
    {
        "event_type": "task",
        "req_id": "t1",
        "task_kind": "celery",
        "task_name": "shop.tasks.mail",
        "resp_time": 0.5,
        "resp_outcome": "ok",
        "ts": START + 210,
        "host": "web-2",
        "pid": 22,
        "seq": 1,
        "v": 1,
    },
    {
        "event_type": "task",
        "req_id": "t2",
        "task_kind": "celery",
        "task_name": "shop.tasks.mail",
        "resp_time": 1.5,
        "resp_outcome": "error",
        "exc_type": "SMTPException",
        "exc_msg": "refused",
        "exc_cause_loc": "shop/tasks.py:8:mail",
        "ts": START + 220,
        "host": "web-2",
        "pid": 22,
        "seq": 2,
        "v": 1,
    },
    {
        "event_type": "stall",
        "stall_kind": "threads",
        "stall_time": 4.0,
        "stall_requests": 8,
        "stall_in": "shop/bank.py:9:call",
        "ts": START + 230,
        "host": "web-2",
        "pid": 21,
        "seq": 2,
        "v": 1,
    },
]


def line(event: Event) -> bytes:
    return json.dumps(event, separators=(",", ":")).encode() + b"\n"


def segment(
    folder: Path, events: Iterable[Event], name: str = "1770000000000-11-0", *, old: bool = True
) -> Path:
    """Writes a segment into DIR; an old one was quiet for long enough to be compacted."""
    path = folder / "events" / f"{name}.jsonl"
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    folder.chmod(0o700)
    with open(path, "ab") as file:
        file.writelines(line(each) for each in events)
    if old:
        os.utime(path, (START, START))
    return path
