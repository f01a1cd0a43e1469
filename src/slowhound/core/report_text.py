"""Writes the parts of a report as text, for a file or a mail."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

from slowhound.core.observations import Moment
from slowhound.event.formats import one_line, printable

if TYPE_CHECKING:
    from slowhound.core.observations import LastStack

DOGSLOW_DATE = "%d-%m-%Y %H:%M:%S UTC"
SHOWN_MOMENTS = 50


def date(seconds: float) -> str:
    """The moment in dogslow's form."""
    try:
        return datetime.fromtimestamp(seconds, UTC).strftime(DOGSLOW_DATE)
    except (OverflowError, ValueError, OSError):  # of a report that another process has written
        return "not known"


NO_STACK = (
    "  No stack: while the GIL is held no thread of this process can take one, and no other\n"
    "  process could read it (docs/gil.md says when one can)."
)


def ended_text(unsampled: float) -> str:
    """What is there instead of a stack when a request ended before its first sample."""
    return (
        "  No stack: the request ended before the watchdog could take one.\n"
        f"  The watchdog had not run for {unsampled:.3f} s. When that is long, no other thread"
        " ran either:\n  C code held the GIL (a sort, a regular expression, an extension), or"
        " the process did not run."
    )


def last_stack_text(last: LastStack) -> str:
    """The last stack that is known, with its age."""
    rows = [f"    {one_line(str(each))}" for each in last.frames]
    return "\n".join([f"  Last known stack, {last.age:.3f} s old, innermost last:", *rows])


def verdict_text(verdict: str) -> str:
    """Its lines, each indented."""
    return "\n".join(f"  {one_line(line)}" for line in verdict.split("\n"))


def timeline_text(timeline: list[Moment] | None, left_out: int) -> str:
    """The last moments: when, for how long, what."""
    if timeline is None:
        return "Timeline: known to the process itself only, which cannot run now."
    if not timeline:
        return "Timeline: nothing recorded yet."
    rows = [
        f"  {moment.at:9.3f} s  {moment.took:8.3f} s  {moment.kind:<8}  "
        f"{one_line(moment.text)[:300]}"
        for moment in timeline[-SHOWN_MOMENTS:]
    ]
    hidden = max(len(timeline) - SHOWN_MOMENTS, 0) + left_out
    if hidden:
        rows.append(f"  ({hidden} more are not shown)")
    return "Timeline (start, duration, what):\n" + "\n".join(rows)


def others_text(others: list[str]) -> str:
    """The other requests in flight in this worker."""
    if not others:
        return "Other requests in flight in this worker: none."
    return "Other requests in flight in this worker:\n" + "\n".join(map(printable, others))


def locals_text(variables: list[tuple[str, list[tuple[str, str]]]]) -> str:
    """The local variables, frame by frame."""
    parts = ["Full backtrace with local variables (masked and cut):"]
    for function, names in variables:
        parts.append(f"  in {function}")
        parts += [f"    {name} = {one_line(value)}" for name, value in names]
    return "\n".join(parts)
