"""Writes and reads the reports that peers make of the requests of an unresponsive process.

They stand in ``DIR/boxes/<pid>-<ns>.reported``, beside the box: a line of JSON for each report. The
process takes them over when it can run again, and the process that reaps it puts them into its
events.
"""

from __future__ import annotations

import contextlib
import os
from typing import Annotated

import msgspec

from slowhound.blackbox.payloads import MonotonicTime, Seconds, Text
from slowhound.blackbox.reader import PEER_REPORTS_SUFFIX, beside
from slowhound.runtime.library_names import NOT_JSON
from slowhound.system.append_file import APPENDING
from slowhound.system.files import opened, read_end

# A line is some kilobytes long; the last so many bytes are read.
READ_BYTES = 256 * 1024


Number = Annotated[int, msgspec.Meta(ge=-(2**63), le=2**63 - 1)]
ReportName = Annotated[str, msgspec.Meta(max_length=200, pattern=r"\A[^/\0]+\Z")]


class PeerReport(msgspec.Struct, frozen=True):
    """One report, made ``at`` this time (monotonic seconds) of the ``number``-th request.

    ``heartbeat`` is that of the process at that time, in ns: a different one now means that it has
    run since. ``loc`` and ``by`` are those of the ``slow`` event. ``stack`` is empty where none
    could be read, and ``gil_hold`` is None where another thread held the GIL, or which one is
    unknown.
    """

    number: Number
    report: ReportName
    fingerprint: Text
    heartbeat: Number
    at: MonotonicTime
    loc: Text | None = None
    by: Text | None = None
    stack: list[Text] = []
    gil_hold: Seconds | None = None


_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(PeerReport).decode


def add_report(box: str, report: PeerReport) -> None:
    """Adds a report beside the box; raises OSError."""
    with opened(beside(box, PEER_REPORTS_SUFFIX), APPENDING) as fd:
        # A line end before it, too: a full disk may have cut the line before.
        os.write(fd, b"\n" + _encode(report) + b"\n")


def read_reports(box: str) -> dict[int, PeerReport]:
    """The newest report of each request, by its number. Never raises: any bytes may be there."""
    try:
        with opened(beside(box, PEER_REPORTS_SUFFIX)) as fd:
            data = read_end(fd, READ_BYTES)
    except OSError:
        return {}
    found = {}
    for line in data.split(b"\n"):
        try:
            each = _decode(line)
        except NOT_JSON:  # a torn line, or not a report
            continue
        found[each.number] = each
    return found


def report_of(box: str, number: int) -> PeerReport | None:
    """The newest report of this request; None without one."""
    return read_reports(box).get(number)


def remove_reports(box: str) -> None:
    """Removes them: the process has ended in good order."""
    with contextlib.suppress(OSError):
        os.unlink(beside(box, PEER_REPORTS_SUFFIX))
