"""One event on its way out of the process."""

from __future__ import annotations

from typing import Any

from slowhound.event.fields import Event


class Outgoing:
    """One event on its way out: what of that is done is known whenever it is asked.

    Each of the lists is filled by the very call that does it, so that what is raised from outside
    between two steps, by the handler of a signal, neither loses an event nor doubles it.
    """

    __slots__ = ("fed", "line", "shown", "stored", "text", "whole")

    def __init__(self, whole: Event, line: bytes, text: str) -> None:
        self.whole = whole
        self.line = line
        self.text = text
        self.stored: list[Any] = []
        self.shown: list[Any] = []
        self.fed: list[Any] = []


# Of a request that ``SAMPLING`` leaves out: all is done.
NOTHING = Outgoing({}, b"", "")


NOTHING.stored = NOTHING.shown = NOTHING.fed = [0]
