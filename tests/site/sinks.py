"""Sinks that misbehave, and one that tells what it was given."""

from __future__ import annotations

import time
from typing import Any

from tests.site.options import SCRATCH


def tell(what: str) -> None:
    with (SCRATCH / "sink.txt").open("a") as told:
        told.write(f"{what}\n")


class SleepingSink:
    """Never comes back in the time of a test."""

    def deliver(self, _report: Any) -> None:
        tell("deliver")
        time.sleep(600)

    def close(self) -> None:
        time.sleep(600)


class RaisingSink:
    """Fails each time."""

    def deliver(self, _report: Any) -> None:
        tell("deliver")
        raise RuntimeError("this sink always fails")

    def close(self) -> None:
        raise RuntimeError("closing fails too")


class UnmakeableSink:
    """Cannot even be made."""

    def __init__(self) -> None:
        tell("init")
        raise RuntimeError("no such service")

    def deliver(self, _report: Any) -> None:
        tell("deliver")

    def close(self) -> None:
        tell("close")


class TellingSink:
    """Takes everything and tells that it did."""

    def deliver(self, _report: Any) -> None:
        tell("deliver")

    def close(self) -> None:
        tell("close")
