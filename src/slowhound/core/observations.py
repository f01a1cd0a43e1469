"""What was observed of a request: its moments, stacks and snapshots, and what queries cost."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from slowhound.event.formats import printable_lines
from slowhound.frames.frames import Stack, render
from slowhound.redaction.masking import short_text
from slowhound.redaction.sql.shape import sql_shape
from slowhound.system.wait_states import ThreadState


class Moment(NamedTuple):
    """One entry of a record's timeline."""

    at: float  # seconds since the record began
    took: float  # seconds
    kind: str  # "sql", "cache", "template", "http"
    text: str


COMPARED_FRAMES = 5  # innermost ones; a stack that differs further out is the same work


@dataclass(frozen=True)
class Sample:
    """One sample of a request."""

    age: float  # of the request, seconds
    stack: Stack
    waiting: ThreadState | None = None  # of its thread; None: not known
    cpu: float | None = None  # seconds its thread had used
    parts: int = 0  # of the response, sent by then: each is progress

    @property
    def point(self) -> tuple[int, Stack]:
        """The same in two samples: nothing has moved in between."""
        return self.parts, self.stack[-COMPARED_FRAMES:]


def snapshot_text(stack: Stack) -> str:
    """The traceback of one snapshot."""
    return printable_lines(render(stack))


def after_hold_text(seconds: float) -> str:
    """The note to a stack that was taken right after its thread had most likely held the GIL."""
    return (
        f"The GIL was held for about {seconds:.1f} s, most likely by this thread, and no stack"
        " could be taken\nmeanwhile: this one was taken right after that."
    )


WAYS = {
    "remote": "The GIL was held: another process read this stack, while no other Python thread of"
    " this one\ncould run.",
    "py-spy": "The GIL was held: py-spy read this stack, without stopping the process, while no"
    " other Python\nthread of it could run.",
}


@dataclass(frozen=True)
class Snapshot:
    """The stack of a slow request, its age in seconds, and the way in which it was taken.

    ``by`` is ``hound``, or a key of ``WAYS``. ``after_hold``: for so many seconds the request's
    thread had most likely held the GIL, right before this was taken.
    """

    age: float
    stack: Stack
    by: str = "hound"
    variables: list[tuple[str, list[tuple[str, str]]]] | None = None
    after_hold: float = 0.0

    def text(self) -> str:
        """The traceback, and the way in which it was taken where that was not the usual one."""
        shown = snapshot_text(self.stack)
        if self.after_hold:
            return f"{shown}\n\n{after_hold_text(self.after_hold)}"
        return f"{shown}\n\n{WAYS[self.by]}" if self.by in WAYS else shown


class LastStack(NamedTuple):
    """The last stack that is known of a request, shortened, and its age in seconds."""

    frames: list[str]  # the innermost last
    age: float


def without_literals(moment: Moment) -> Moment:
    """The moment as it may leave the process: a statement's shape, a name without secrets."""
    shown = sql_shape if moment.kind == "sql" else short_text
    return moment._replace(text=shown(moment.text))


class QueryStats:
    """What one SQL text of one alias cost within one request."""

    __slots__ = ("count", "line", "next_search", "time")

    def __init__(self) -> None:
        self.count = 0
        self.time = 0.0
        self.line: str | None = None  # the application's line, known from the second run on
        self.next_search = 2  # the run at which the line is searched
