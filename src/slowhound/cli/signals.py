"""Ends a command that runs until it is stopped."""

from __future__ import annotations

import signal
import threading


def stop_event() -> threading.Event:
    """An event that SIGINT and SIGTERM set, so that a command can finish what it is doing."""
    stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop.set())
    return stop
