"""Captures the events of a block of code, for an application's own tests."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager
from typing import Any

from slowhound.config.from_django import get_config
from slowhound.recorder import process, writer


@contextmanager
def capture_events() -> Generator[list[dict[str, Any]]]:
    """The events of the block, in order; they are not written anywhere.

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
    before, writer.captured = writer.captured, events
    try:
        yield events
    finally:
        writer.captured = before
