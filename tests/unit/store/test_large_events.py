"""An event larger than DuckDB can read: the application's fields are cut."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from slowhound.config.config import load
from slowhound.delivery.worker import Delivery
from slowhound.instrument.saturation import Saturation
from slowhound.recorder.completion import Completion
from slowhound.recorder.writer import LARGEST_LINE, Writer
from slowhound.store.duckdb import LocalFiles

EXTRAS: dict[str, dict[str, Any]] = {
    "one long list": {"rows": ["x" * 10_000] * 4000, "n": 7, "flag": True},
    "long names and many values": {f"name{number}": "x" * 25_000 for number in range(1800)},
    "a few long texts": {f"name{number}": "x" * 50_000 for number in range(900)},
}


@pytest.mark.parametrize("extras", EXTRAS.values(), ids=EXTRAS)
def test_event_of_megabytes_costs_no_other_event(tmp_path: Path, extras: dict[str, Any]) -> None:
    """One such line made its whole segment unreadable to queries and to compaction."""
    config = load({"DIR": str(tmp_path / "d"), "STREAM": None})
    writer = Writer(config, None, Delivery((), config.dir, None))
    completion = Completion(config, Saturation())
    writer.open()
    for number, more in enumerate(({}, extras, {})):
        event = {"event_type": "request", "req_id": f"r{number}", "resp_time": 0.5, **more}
        completion.complete(event)
        writer.write(event)
    assert writer.segment is not None
    lines = Path(writer.segment.name).read_bytes().splitlines()
    assert max(map(len, lines)) < LARGEST_LINE
    event = json.loads(lines[1])
    assert (event["req_id"], event["resp_time"]) == ("r1", 0.5)
    assert (event.get("n"), event.get("flag")) == (extras.get("n"), extras.get("flag"))
    writer.segment.close()
    found = LocalFiles(config.dir).sql("SELECT req_id FROM events ORDER BY req_id")
    assert (found.rows, found.remarks) == ([("r0",), ("r1",), ("r2",)], ())
