"""Reads a report from ``DIR/reports`` and splits it into sections; see ``core/report.py``.

Every line of a report that did not come from slowhound is indented; so lines without indentation
are slowhound's own, and begin the sections.
"""

from __future__ import annotations

import os
import re
from typing import Any, NamedTuple

from slowhound.delivery.report_files import REPORT_NAMES
from slowhound.system.files import open_own

# The deepest stack with all local variables is far smaller.
LARGEST_REPORT = 4 * 1024**2
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
# Kinds of moments (``Record.note``), and the part of a request's time that they belong to.
PART_OF = {"sql": "db", "cache": "cache", "template": "tmpl", "http": "out"}


class Section(NamedTuple):
    """One section of a report: its kind, its first line, and the lines below that."""

    kind: str
    heading: str
    body: str


def read(folder: str, name: str) -> str | None:
    """The text of a report; None when there is no report of this name.

    The name came out of an event: it must be one that a report can have, and a regular file of the
    folder's owner or of this user.
    """
    if not REPORT_NAMES.fullmatch(name):
        return None
    try:
        descriptor = open_own(os.path.join(folder, name))
    except OSError:
        return None
    with open(descriptor, "rb") as file:
        try:
            return file.read(LARGEST_REPORT).decode("utf-8", "replace")
        except OSError:
            return None


def sections(text: str) -> list[Section]:
    """The sections of a report, in their order; of a truncated report, those that it has."""
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

    ``part`` is the part of a request's time that a moment belongs to.
    """
    body = next((each.body for each in found if each.kind == "timeline"), "")
    moments = []
    for line in body.split("\n"):
        matched = MOMENT.fullmatch(line)
        if matched:
            at, took, kind, text = matched.groups()
            part = PART_OF.get(kind, "rest")
            moments.append(
                {"at": float(at), "took": float(took), "kind": kind, "text": text, "part": part}
            )
    return moments


def end(moment: dict[str, Any]) -> float:
    """When a moment of the timeline was over."""
    over: float = moment["at"] + moment["took"]
    return over
