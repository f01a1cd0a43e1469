"""A recorder without a running hound, so that a test decides when requests are sampled."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from slowhound.config.config import load
from slowhound.core.in_flight import snapshot_in_flight
from slowhound.recorder import process
from slowhound.recorder.process import Recorder, Server


@contextmanager
def resting_recorder(directory: Path, server: Server, **settings: Any) -> Iterator[Recorder]:
    """A recorder that writes into ``directory``; at the end all records are finished."""
    found = process.start(load({"DIR": str(directory), "STREAM": None, **settings}), server)
    assert found is not None
    found.hound.stop()
    yield found
    for record in snapshot_in_flight():
        found.finish(record)
    process.stop()
