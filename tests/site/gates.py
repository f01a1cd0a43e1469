"""Gates at which a view waits until its test opens them, so that no test depends on timing."""

from __future__ import annotations

import os
import threading
import time
import uuid

from tests.site.options import SCRATCH

LONGEST = 40.0


def wait_at(gate: str) -> None:
    """Waits until the test opens `gate`."""
    (SCRATCH / f"{gate}.here.{os.getpid()}.{threading.get_ident()}.{uuid.uuid4().hex}").touch()
    doors = SCRATCH / f"{gate}.open", SCRATCH / "all.open"
    end = time.monotonic() + LONGEST
    while not any(door.exists() for door in doors) and time.monotonic() < end:
        time.sleep(0.01)  # mark: waiting
