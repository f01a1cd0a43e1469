"""Sinks that misbehave, and one that works; all keep in a file how they were called."""

from __future__ import annotations

import time
from typing import Any

from tests.site.options import SCRATCH


def keep(call: str) -> None:
    with (SCRATCH / "sink.txt").open("a") as file:
        file.write(f"{call}\n")


class SleepingSink:
    """Does not return within the time of a test."""

    def deliver(self, _report: Any) -> None:
        keep("deliver")
        time.sleep(600)

    def close(self) -> None:
        time.sleep(600)


class RaisingSink:
    """Fails each time."""

    def deliver(self, _report: Any) -> None:
        keep("deliver")
        raise RuntimeError("this sink always fails")

    def close(self) -> None:
        raise RuntimeError("closing fails too")


class UnmakeableSink:
    """Cannot be instantiated."""

    def __init__(self) -> None:
        keep("init")
        raise RuntimeError("no such service")

    def deliver(self, _report: Any) -> None:
        keep("deliver")

    def close(self) -> None:
        keep("close")


class WorkingSink:
    """Takes every report."""

    def deliver(self, _report: Any) -> None:
        keep("deliver")

    def close(self) -> None:
        keep("close")
