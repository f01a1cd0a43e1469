"""Captures the events of a block of code, for an application's own tests."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager
from typing import Any

from slowhound.config.from_django import get_config
from slowhound.core.ids import number_of
from slowhound.core.record import numbers
from slowhound.recorder import process, writer


@contextmanager
def capture_events() -> Generator[list[dict[str, Any]]]:
    """The events of the block, in order; they are not written anywhere.

    Those of requests and tasks that have begun within it, in this process: what an earlier test has
    not closed ends when Python frees it, and what another process leaves behind when that is found.

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
    first = next(numbers)

    def keep(event: dict[str, Any]) -> None:
        req_id = event.get("req_id")  # an event that is about the whole process has none
        if req_id is None or number_of(req_id) > first:
            events.append(event)

    before, writer.capture = writer.capture, keep
    try:
        yield events
    finally:
        writer.capture = before
