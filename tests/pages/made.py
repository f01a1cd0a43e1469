"""Writes stores of made-up events straight into segments, with reports.

``plain`` is a shop on an ordinary day; ``hostile`` has the worst of texts in every field that can
hold one.
"""

from __future__ import annotations

import math
import random
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from slowhound.event.fields import FIELDS
from slowhound.event.formats import json_line

Event = dict[str, Any]

VIEWS = {
    # name: (path, method, share, usual seconds, queries, share of errors)
    "catalogue": ("/catalogue/", "GET", 40, 0.045, 6, 0.002),
    "product": ("/product/{}/", "GET", 30, 0.028, 4, 0.004),
    "basket": ("/basket/", "POST", 12, 0.062, 9, 0.01),
    "orders": ("/orders/{}/", "GET", 6, 0.18, 34, 0.0),
    "checkout": ("/checkout/", "POST", 5, 0.42, 18, 0.03),
    "search": ("/search/", "GET", 7, 0.11, 3, 0.008),
}
STATEMENTS = {
    "catalogue": "SELECT id, name, price FROM shop_product WHERE shelf_id = ? ORDER BY name",
    "product": "SELECT id, name, price, stock FROM shop_product WHERE id = ?",
    "basket": "UPDATE shop_basket SET items = items + ? WHERE session = ?",
    "orders": "SELECT id, name FROM shop_customer WHERE id = ? LIMIT ?",
    "checkout": "SELECT id FROM shop_stock WHERE product_id IN (?) FOR UPDATE",
    "search": "SELECT id, name FROM shop_product WHERE name LIKE ? ORDER BY rank DESC",
}
LINES = {"orders": "shop/views.py:48:describe", "checkout": "shop/stock.py:31:reserve"}
REPORT_TEXT = """\
Undead request intercepted at: 21-11-2026 10:00:01 UTC (2026-11-21T10:00:01Z)

{method} http://shop.example{path}
Hostname:   web-1
Thread ID:  140011229087424
Process ID: 4711
Parent PID: 4700
Started:    21-11-2026 10:00:00 UTC

  File "/app/shop/views.py", line 88, in checkout
    reserve(basket)
  File "/app/shop/stock.py", line 31, in reserve
    rows = list(stock.select_for_update())

Verdict:
  stuck for about 1.0 s in shop/stock.py:31:reserve, the same in 5 samples, waiting: recv

So far:
  req_id            {id}
  resp_view         checkout
  slow_after        1.000
  db_queries        3

Timeline (start, duration, what):
      0.002 s     0.001 s  cache     get
      0.004 s     0.012 s  sql       SELECT id, items FROM shop_basket WHERE session = ?
      0.020 s     0.210 s  http      payments.example
      0.240 s     0.006 s  sql       {statement}
      0.250 s     0.031 s  template  shop/checkout.html

Other requests in flight in this worker:
      0.412 s  POST /checkout/  checkout  00000000-0000-0000-0000-0000000000aa

Local variables are off; SLOWHOUND['LOCALS'] = True adds them, masked.

Still running after 2.000 s:

  The stack is the same.

Verdict in the end:
  stuck for about 3.1 s in shop/stock.py:31:reserve; on the CPU for 0.0 of 3.4 s

Finished after 3.412 s: status 200, outcome ok.
"""

HOSTILE = (
    "<script>alert(1)</script>",
    "'\"><img src=x onerror=alert(1)>",
    "</script><script>document.title='taken'</script>",
    "{{ 7|add:7 }}{% load static %}",
    "javascript:alert(1)",
    "\u202egnp.exe\u2066 \u0645\u0631\u062d\u0628\u0627 \u05e9\u05dc\u05d5\u05dd",
    "nul\x00bell\x07esc\x1b[2J\r\n\ttab\u2028line\x85\x9b31m",
    "x" * 5_000,
    "\U0001f415 \ud83d \u0000 \ufffe zero\u200bwidth",
    "%00../../../../etc/passwd?id=1#x&y=2+3%",
    "';DROP TABLE events;--",
    "]]><svg/onload=alert(1)>",
)


def report_name(number: int) -> str:
    """A name that a report can have."""
    return f"slow_request_20261121T100001Z_4711_{number}_{number:08x}.log"


def write(folder: Path, events: Iterable[Event], name: str = "1763700000000-4711-0") -> None:
    """Writes the events as one segment."""
    target = folder / "events"
    target.mkdir(parents=True, exist_ok=True, mode=0o700)
    folder.chmod(0o700)
    (target / f"{name}.jsonl").write_bytes(b"".join(map(json_line, events)))


def plain(folder: Path, now: float, count: int = 6000, hours: float = 20.0, seed: int = 7) -> None:
    """An ordinary day of a shop, with a bad quarter of an hour near its end."""
    chance = random.Random(seed)
    events = []
    for number in range(count):
        share = (number + chance.random()) / count
        # More requests around noon.
        at = now - hours * 3600 * (1 - share) + 2400 * math.sin(share * 6)
        events.append(_request(chance, number, min(at, now - 2.0), 0.83 < share < 0.86))
    events += _slow(folder, chance, now)
    events += _deaths(now)
    events += [
        {
            **_common(now - 500 - at, 9000 + at),
            "event_type": "task",
            "req_id": f"task-{at}",
            "task_kind": "function",
            "task_name": "shop.tasks.send_receipt",
            "resp_time": 0.4 + at / 10,
            "resp_outcome": "ok",
        }
        for at in range(3)
    ]
    events.sort(key=lambda event: event["ts"])
    write(folder, events)


def _common(at: float, seq: int) -> Event:
    return {
        "g_w_count": 8,
        "g_w_active": 3,
        "g_backlog": 0,
        "w_age": 3600.0,
        "w_rss": 140_000_000,
        "w_nr": seq % 900,
        "rec_overhead": 0.00002,
        "ts": at,
        "host": f"web-{seq % 2 + 1}",
        "pid": 4711 + seq % 8,
        "service": "shop",
        "release": "2026.47",
        "rec_dropped": 0,
        "rec_errors": 0,
        "seq": seq,
        "v": 1,
    }


def _request(chance: random.Random, number: int, at: float, bad: bool) -> Event:
    view = chance.choices(list(VIEWS), [each[2] for each in VIEWS.values()])[0]
    path, method, _, usual, queries, wrong = VIEWS[view]
    took = usual * chance.lognormvariate(0, 0.45) * (4 if bad else 1)
    queries = max(queries + chance.randint(-1, 2), 1)
    parts = {
        "db_time": took * chance.uniform(0.3, 0.5),
        "cache_time": took * 0.04,
        "tmpl_time": took * chance.uniform(0.15, 0.25),
        "out_time": took * 0.3 if view == "checkout" else 0.0,
    }
    failed = chance.random() < wrong * (8 if bad else 1)
    event: Event = {
        "event_type": "request",
        "req_id": f"{number:08x}-20dbd2b255f78bca",
        "req_method": method,
        "req_path": path.format(chance.randint(1, 400)),
        "req_route": path.format("<int:number>").lstrip("/"),
        "req_client_addr": "192.0.2.7",
        "resp_view": view,
        "resp_time": took,
        "resp_cpu_time": took * 0.4,
        "resp_status": 500 if failed else 200,
        "resp_ttfb": took * 0.9,
        "resp_bytes": chance.randint(800, 60_000),
        "resp_outcome": "error" if failed else "ok",
        "queue_time": chance.uniform(0.0, 0.004) * (30 if bad else 1),
        "db_queries": queries,
        "db_dup_queries": queries - 4 if view == "orders" else 0,
        "db_n1": LINES["orders"] if view == "orders" else None,
        **parts,
        "rest_time": took - sum(parts.values()),
        **_common(at, number),
        "g_w_active": 8 if bad else chance.randint(1, 5),
        "g_backlog": chance.randint(4, 30) if bad else 0,
        "db_top": [
            {
                "fingerprint": STATEMENTS[view],
                "count": queries - 1,
                "time": parts["db_time"] * 0.8,
                "line": LINES.get(view, ""),
            },
            {
                "fingerprint": "SELECT expire FROM django_session WHERE session_key = ?",
                "count": 1,
                "time": parts["db_time"] * 0.2,
                "line": "",
            },
        ],
        "app_plan": chance.choice(["free", "paid"]),
    }
    if failed:
        event |= {
            "exc_type": "CardDeclined" if view == "checkout" else "OperationalError",
            "exc_msg": "the bank said no" if view == "checkout" else "connection lost",
            "exc_loc": "shop/views.py:88:checkout",
            "exc_cause_loc": "shop/stock.py:31:reserve",
        }
    return event


def _slow(folder: Path, chance: random.Random, now: float) -> list[Event]:
    """Slow requests of three groups: a `slow` event, a report, and the ending of each."""
    (folder / "reports").mkdir(parents=True, exist_ok=True, mode=0o700)
    groups = (
        ("checkout", "POST", "shop/stock.py:31:reserve", "stuck", 9),
        ("search", "GET", "shop/search.py:77:rank", "slow", 5),
        ("orders", "GET", "shop/views.py:48:describe", "slow", 2),
    )
    found = []
    for group, (view, method, loc, verdict, reports) in enumerate(groups):
        for each in range(reports):
            number = 100 * group + each
            at = now - 60 - chance.uniform(0, 4 * 3600) * (1 + group)
            who = {
                "req_id": f"slow-{number:04}",
                "req_method": method,
                "req_path": VIEWS[view][0].format(12),
                "resp_view": view,
                **_common(at, 7000 + number),
                "host": "web-1",
            }
            slow = {
                "slow_after": 1.0,
                "slow_loc": loc,
                "slow_stack_by": "hound",
                "slow_verdict": verdict,
                "slow_fingerprint": f"{group}a1b2c3d4e5f6071",
                "report": report_name(number),
            }
            path = folder / "reports" / report_name(number)
            path.write_text(
                REPORT_TEXT.format(
                    method=method,
                    path=who["req_path"],
                    id=who["req_id"],
                    statement=STATEMENTS[view],
                )
            )
            path.chmod(0o600)
            found.append({"event_type": "slow", **who, **slow, "resp_time": 1.02})
            found.append(
                {
                    "event_type": "request",
                    **who,
                    **slow,
                    "ts": at + 2.4,
                    "resp_time": 3.412,
                    "resp_cpu_time": 0.2,
                    "resp_status": 200,
                    "resp_outcome": "ok",
                    "db_queries": 3,
                    "db_time": 2.6,
                    "cache_time": 0.001,
                    "out_time": 0.21,
                    "tmpl_time": 0.031,
                    "rest_time": 0.57,
                    "queue_time": 0.02,
                    "gc_time": 0.004,
                }
            )
    return found


def _deaths(now: float) -> list[Event]:
    causes = (
        ("crash", {"crash_cause": "oom", "crash_signal": "SIGKILL", "w_rss": 1_900_000_000}),
        ("crash", {"crash_cause": "segfault", "crash_signal": "SIGSEGV"}),
        ("timeout", {"timeout_cause_loc": "shop/stock.py:31:reserve"}),
        ("timeout", {"timeout_cause_loc": "shop/search.py:77:rank"}),
    )
    return [
        {
            "event_type": kind,
            "req_id": f"dead-{at}",
            "req_method": "POST",
            "req_path": "/export/",
            "resp_view": "export",
            "resp_time": 12.0 + at,
            "resp_outcome": "timeout" if kind == "timeout" else "killed",
            "crash_cause_loc": "shop/export.py:19:rows" if kind == "crash" else None,
            "crash_stack": "shop/export.py:19:rows < shop/views.py:120:export",
            **_common(now - 900 - 2900 * at, 8000 + at),
            **more,
        }
        for at, (kind, more) in enumerate(causes)
    ]


def hostile(folder: Path, now: float) -> list[Event]:
    """For each hostile text an event of each kind, with the text in every text field."""
    events: list[Event] = []
    for number, text in enumerate(HOSTILE):
        for kind in ("request", "slow", "crash", "timeout", "task", "partial_failure", "stall"):
            event: Event = {"event_type": kind}
            for field in FIELDS:
                if field.type == "str" and field.name not in ("event_type", "report", "flame"):
                    event[field.name] = text
                elif field.type == "float":
                    event[field.name] = 0.5
                elif field.type == "int":
                    event[field.name] = 500
            event |= {"ts": now - 10 - number, "req_id": f"{text[:300]} {number}", "pid": number}
            event["db_top"] = [{"fingerprint": text, "count": 3, "time": 0.2, "line": text}]
            event["db_by_alias"] = {text: {"count": 1, "time": 0.1}}
            event["app_" + text[:60]] = text
            event["app_plan"] = text
            if kind in ("request", "slow"):
                event["report"] = report_name(number)
            events.append(event)
    write(folder, events)
    reports = folder / "reports"
    reports.mkdir(exist_ok=True, mode=0o700)
    for number, text in enumerate(HOSTILE):
        path = reports / report_name(number)
        body = REPORT_TEXT.format(method="GET", path="/", id=number, statement="{statement}")
        path.write_text(body.replace("{statement}", text), errors="replace")
        path.chmod(0o600)
    return events
