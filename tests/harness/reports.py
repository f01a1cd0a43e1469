"""Makes reports like those of slow requests and deaths, for tests of sinks and delivery."""

from __future__ import annotations

import socket
from typing import Any

from slowhound.core.observations import Moment, Snapshot
from slowhound.core.report import Finished, Report, of_death
from slowhound.frames.frames import Frame

GROUP = "0123456789ab"
STACK = (
    Frame("/srv/shop/views.py", 12, "checkout"),
    Frame(str(socket.__file__), 706, "readinto"),
)


def slow_report(number: int = 1, group: str = GROUP, **changes: Any) -> Report:
    """The report of one slow request; ``changes`` are fields of it, or of its event."""
    fields = {name: changes.pop(name) for name in list(changes) if name in _FIELDS}
    event = {
        "event_type": "slow",
        "req_id": f"request-{number}",
        "req_method": "GET",
        "req_path": "/checkout/",
        "resp_view": "shop.views.checkout",
        "resp_time": 31.25,
        "slow_after": 25.0,
        "slow_verdict": "stuck",
        "slow_fingerprint": group,
        "db_queries": 3,
        "db_time": 0.5,
        **changes,
    }
    given: dict[str, Any] = {
        "request_line": "GET http://shop.example/checkout/",
        "started": 1_800_000_000.0,
        "intercepted": 1_800_000_031.25,
        "host": "web-1",
        "thread_id": 7,
        "snapshot": Snapshot(31.25, STACK),
        "verdict": "stuck: in checkout in each of 5 samples\nwaits for recv from 10.0.0.5:5432",
        "pid": 4321,
        "parent": 4320,
        "timeline": [Moment(0.1, 0.25, "sql", "SELECT ? FROM shop_order")],
        "others": ["    1.000 s  GET /  shop.views.home  other"],
    }
    return Report(event, **{**given, **fields})


_FIELDS = set(Report.__dataclass_fields__) - {"event"}


def dead_report(number: int = 1, **changes: Any) -> Report:
    """The report of a request whose worker died."""
    return of_death(
        {
            "event_type": "crash",
            "req_id": f"request-{number}",
            "req_method": "POST",
            "req_path": "/import/",
            "resp_view": "shop.views.import_all",
            "resp_time": 12.5,
            "crash_cause": "oom",
            "crash_signal": "SIGKILL",
            "crash_loc": "shop/views.py:90:import_all",
            "crash_cause_loc": "shop/rows.py:7:read",
            "crash_stack": "shop/rows.py:7:read < shop/views.py:90:import_all",
            "crash_sql": "INSERT INTO shop_row VALUES (?)",
            "ts": 1_800_000_012.5,
            "host": "web-1",
            "pid": 4321,
            **changes,
        }
    )


def finished(seconds: float = 40.5) -> Finished:
    """How the slow request ended."""
    return Finished(seconds, 200, "ok", "slow: it moved in the end")
