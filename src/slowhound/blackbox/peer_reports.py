"""What another process has reported of a request while its own could not run.

It stands in ``DIR/boxes/<pid>-<ns>.reported``, beside the box: a line of JSON for each report. The
process takes it over when it can run again, and whoever comes after its death tells it once more.
"""

from __future__ import annotations

import contextlib
import os
from typing import Annotated

import msgspec

from slowhound.blackbox.payloads import Moment, Seconds, Text
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

    ``heartbeat`` is that of the process by then, in ns: another one tells that it has run since.
    ``loc`` and ``by`` are those of the ``slow`` event. ``stack`` is empty where none could be read,
    and ``gil_hold`` None where somebody else held the GIL, or nobody knows who.
    """

    number: Number
    report: ReportName
    fingerprint: Text
    heartbeat: Number
    at: Moment
    loc: Text | None = None
    by: Text | None = None
    stack: list[Text] = []
    gil_hold: Seconds | None = None


_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(PeerReport).decode


def add_report(box: str, reported: PeerReport) -> None:
    """Adds it beside the box; raises OSError."""
    with opened(beside(box, PEER_REPORTS_SUFFIX), APPENDING) as fd:
        # A line break before it, too: the one before may have been cut short by a full disk.
        os.write(fd, b"\n" + _encode(reported) + b"\n")


def read_reports(box: str) -> dict[int, PeerReport]:
    """The newest report of each request, by its number. Raises nothing: any bytes may be there."""
    try:
        with opened(beside(box, PEER_REPORTS_SUFFIX)) as fd:
            data = read_end(fd, READ_BYTES)
    except OSError:
        return {}
    found = {}
    for line in data.split(b"\n"):
        try:
            each = _decode(line)
        except NOT_JSON:  # the rest of one, or not ours
            continue
        found[each.number] = each
    return found


def report_of(box: str, number: int) -> PeerReport | None:
    """What was reported of this one, if anything was."""
    return read_reports(box).get(number)


def remove_reports(box: str) -> None:
    """The process has ended in good order, and nobody needs it any more."""
    with contextlib.suppress(OSError):
        os.unlink(beside(box, PEER_REPORTS_SUFFIX))
