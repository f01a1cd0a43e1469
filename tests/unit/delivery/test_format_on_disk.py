"""The JSON in ``DIR/delivery/``: versions before and after this one read it, so no key changes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import msgspec

from slowhound.config.config import Limit
from slowhound.core.report import Report
from slowhound.delivery.item import DeliveryItem, encode
from slowhound.delivery.rate_limit import RateLimiter
from slowhound.delivery.spool import Spool
from slowhound.frames.frames import Frame
from tests.harness.reports import finished, slow_report

ITEM: dict[str, Any] = {
    "report": {
        "event": {"event_type": "slow", "req_id": "request-1"},
        "request_line": "GET http://shop.example/checkout/",
        "started": 1800000000.0,
        "intercepted": 1800000031.25,
        "host": "web-1",
        "thread_id": 7,
        "snapshot": {
            "age": 1.0,
            "stack": [["/a.py", 1, "f"]],
            "by": "thread",
            "variables": [["f", [["n", "'v'"]]]],
            "after_hold": 0.5,
        },
        "verdict": "stuck",
        "pid": 4321,
        "parent": 4320,
        "blind": 3.5,
        "gil": "a thread",
        "last_stack": [["a"], 1.0],
        "timeline": [[0.1, 0.2, "sql", "SELECT 1"]],
        "timeline_left_out": 2,
        "others": ["another request"],
        "held_back": 7,
        "first_seen": True,
        "finished": [40.5, 200, "ok", "slow: it moved in the end"],
    },
    "follow_up": True,
}
GROUPS = {
    "groups": {
        "0123456789ab": {
            "first": 1000.0,
            "last": 1001.0,
            "seen": 2,
            "sent": [[1000.0, "request-1.slow"]],
            "held": 1,
        }
    }
}
NAME = "1800000000000000000-4321-0123abcd.due"


def folder_of(directory: Path) -> Path:
    folder = directory / "delivery"
    folder.mkdir(mode=0o700)
    return folder


def test_item_of_another_version_is_read_and_written_back_the_same(tmp_path: Path) -> None:
    """Each field of a report has its key, and none is lost."""
    data = json.dumps(ITEM).encode() + b'\n\n"a.Sink"'
    (folder_of(tmp_path) / NAME).write_bytes(data)
    with Spool(str(tmp_path)).claim(NAME) as claimed:
        assert claimed is not None
        assert claimed.delivered == {"a.Sink"}
        report = claimed.item.report
        assert json.loads(encode(claimed.item)) == ITEM
    assert report.snapshot is not None
    assert report.snapshot.stack == (Frame("/a.py", 1, "f"),)
    assert report.finished == finished()
    assert report.id == "request-1.slow"


def test_each_field_of_a_report_has_a_known_key() -> None:
    """A new one is added here, with a default: items of the version before do not have it."""
    written = json.loads(encode(DeliveryItem(slow_report())))
    assert written.keys() == ITEM.keys()
    assert written["report"].keys() == ITEM["report"].keys() == Report.__dataclass_fields__.keys()


def test_groups_of_another_version_are_read_and_written_back_the_same(tmp_path: Path) -> None:
    """What was sent lately is known, and what was held back still counts."""
    path = folder_of(tmp_path) / "groups.json"
    path.write_text(json.dumps(GROUPS))
    with Spool(str(tmp_path)).limiter() as limiter:
        assert limiter.sent_ids() == {"request-1.slow"}
    assert json.loads(path.read_text()) == GROUPS


def test_limiter_writes_the_known_keys() -> None:
    """The file of groups is shared by workers of both versions while one replaces the other."""
    limiter = RateLimiter()
    for now in (1000.0, 1001.0):
        limiter.admit(slow_report(), Limit(1, 60.0), now)
    assert json.loads(msgspec.json.encode(limiter)) == GROUPS
