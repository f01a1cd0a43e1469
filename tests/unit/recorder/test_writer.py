"""Segments of a process: a new one makes room for itself."""

from __future__ import annotations

import os
from pathlib import Path

from slowhound.config.config import load
from slowhound.delivery.worker import Delivery
from slowhound.recorder.writer import Writer


def test_new_segment_removes_the_oldest_at_once(tmp_path: Path) -> None:
    """Not a minute later: a busy worker fills the store in less."""
    config = load({"DIR": str(tmp_path / "d"), "STREAM": None, "STORE_MAX_BYTES": 1024**2})
    writer = Writer(config, None, Delivery((), config.dir, None))
    writer.open()
    assert writer.segment is not None
    first = Path(writer.segment.name)
    old = first.with_name("1600000000000-1-0.jsonl")
    old.write_bytes(b"x" * 1024**2)
    os.utime(old, (1_600_000_000, 1_600_000_000))
    writer.tend()
    assert old.exists()
    writer.write({"event_type": "request", "app_text": "x" * 1024**2})
    writer.tend()
    assert writer.segment.name != str(first)
    assert not old.exists()
    writer.segment.close()
