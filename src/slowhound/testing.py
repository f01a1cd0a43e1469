"""Captures the events of a block of code, for an application's own tests."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager
from typing import Any

from slowhound.config.from_django import get_config
from slowhound.core import ids
from slowhound.core.in_flight import snapshot_in_flight
from slowhound.recorder import process, writer


@contextmanager
def capture_events() -> Generator[list[dict[str, Any]]]:
    """The events of the block, in order; they are not written anywhere.

    Of a request or task that had begun before, only what this thread writes is among them, as where
    the block closes its response. What an earlier test has not closed ends when Python frees it,
    at any time, and another thread writes its event.

    Example:
        with capture_events() as events:
            client.get("/orders/")
        assert events[-1]["db_queries"] == 5

    Raises:
        RuntimeError: slowhound is switched off by ``SLOWHOUND["ENABLED"]``, or is just starting.
    """
    config = get_config()
    if process.start(config) is None:
        if config.enabled:
            raise RuntimeError("slowhound is just starting: there are no events to capture yet")
        raise RuntimeError("SLOWHOUND['ENABLED'] is False: there are no events to capture")
    events: list[dict[str, Any]] = []
    earlier = {record.id for record in snapshot_in_flight()}
    thread = ids.get_ident()

    def keep(event: dict[str, Any]) -> None:
        if event.get("req_id") not in earlier or ids.get_ident() == thread:
            events.append(event)

    before, writer.capture = writer.capture, keep
    try:
        yield events
    finally:
        writer.capture = before
