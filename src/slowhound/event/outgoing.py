"""Holds one event on its way out of the process."""

from __future__ import annotations

from typing import Any

from slowhound.event.fields import Event


class Outgoing:
    """One event on its way out, and which steps of that are done.

    Each of the lists is filled by the very call that does the step. So an exception that a signal
    handler raises between two steps neither loses an event nor doubles it.
    """

    __slots__ = ("fed", "line", "shown", "stored", "text", "whole")

    def __init__(self, whole: Event, line: bytes, text: str) -> None:
        self.whole = whole
        self.line = line
        self.text = text
        self.stored: list[Any] = []
        self.shown: list[Any] = []
        self.fed: list[Any] = []


# For a request that ``SAMPLING`` leaves out: all is done.
NOT_KEPT = Outgoing({}, b"", "")
NOT_KEPT.stored = NOT_KEPT.shown = NOT_KEPT.fed = [0]
