"""A report's text, read back from ``DIR/reports`` and taken apart; see ``core/report.py``.

Every line that came from elsewhere is indented in it; so what begins at the margin is ours, and
tells the sections apart.
"""

from __future__ import annotations

import os
import re
from typing import Any, NamedTuple

from slowhound.system.files import open_own

NAMES = re.compile(r"slow_request_\d{8}T\d{6}Z_\d+_\d+_[0-9a-f]{8}\.log")
# The deepest stack with all local variables stays far below.
LARGEST = 4 * 1024**2
MOMENT = re.compile(r"  +(\d{1,9}\.\d{1,9}) s  +(\d{1,9}\.\d{1,9}) s  (\S+) +(.*)")
HEADINGS = {
    "Verdict": "verdict",
    "So far": "facts",
    "Timeline": "timeline",
    "Other requests in flight": "others",
    "Full backtrace with local variables": "locals",
    "Local variables are off": "locals",
    "Still running after": "later",
    "Finished after": "end",
}
# Kinds of moments (``Record.note``), and the part of the time that they are.
PART_OF = {"sql": "db", "cache": "cache", "template": "tmpl", "http": "out"}


class Section(NamedTuple):
    """One part of a report: what it is, its first line, and the lines below that."""

    kind: str
    heading: str
    body: str


def read(folder: str, name: str) -> str | None:
    """The text of a report; None when it is not there, or no report.

    The name came out of an event: it must be one that a report can have, and a plain file of the
    folder's owner.
    """
    if not NAMES.fullmatch(name):
        return None
    try:
        descriptor = open_own(os.path.join(folder, name))
    except OSError:
        return None
    with open(descriptor, "rb") as file:
        try:
            return file.read(LARGEST).decode("utf-8", "replace")
        except OSError:
            return None


def sections(text: str) -> list[Section]:
    """The parts of a report, in their order; of one that is cut short, those that are there."""
    found: list[Section] = []
    kind, heading, body = "head", "", []
    for line in text.split("\n"):
        started = _heading(line)
        if started is None and kind == "head" and line.startswith("  "):
            started = "stack"
        if started is None:
            body.append(line)
            continue
        found.append(Section(kind, heading, "\n".join(body).strip("\n")))
        kind, heading, body = started, "" if started == "stack" else line, []
        if started == "stack":
            body.append(line)
    found.append(Section(kind, heading, "\n".join(body).strip("\n")))
    return [each for each in found if each.heading or each.body]


def _heading(line: str) -> str | None:
    if not line or line[0] == " ":
        return None
    return next((kind for start, kind in HEADINGS.items() if line.startswith(start)), None)


def timeline(found: list[Section]) -> list[dict[str, Any]]:
    """The moments of the timeline: ``at`` and ``took`` in seconds, ``kind`` and ``text``.

    ``part`` is what the kind is called where a request's time is divided.
    """
    body = next((each.body for each in found if each.kind == "timeline"), "")
    moments = []
    for line in body.split("\n"):
        parts = MOMENT.fullmatch(line)
        if parts:
            at, took, kind, text = parts.groups()
            part = PART_OF.get(kind, "rest")
            moments.append(
                {"at": float(at), "took": float(took), "kind": kind, "text": text, "part": part}
            )
    return moments


def end(moment: dict[str, Any]) -> float:
    """When a moment of the timeline was over."""
    over: float = moment["at"] + moment["took"]
    return over
