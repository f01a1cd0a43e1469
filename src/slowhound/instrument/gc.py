"""Garbage collection: how long a request's own thread was held up by it."""

from __future__ import annotations

import gc
import threading
import time
from typing import Any

from slowhound.record import Record, current_record

_started = threading.local()


def install() -> None:
    """Adds the callback; it runs only when a collection does."""
    if on_collection not in gc.callbacks:
        gc.callbacks.append(on_collection)


def uninstall() -> None:
    """Takes the callback away."""
    if on_collection in gc.callbacks:
        gc.callbacks.remove(on_collection)


def on_collection(phase: str, info: dict[str, int]) -> None:
    """A collection runs in the thread that triggered it, so its time is that request's."""
    if phase == "start":
        _started.at = time.monotonic()
        return
    record = current_record.get()
    if record is not None and not record.done:
        record.gc_time += time.monotonic() - getattr(_started, "at", time.monotonic())


def describe(record: Record, event: dict[str, Any]) -> None:
    """The time, when there was a collection."""
    if record.gc_time:
        event["gc_time"] = record.gc_time
