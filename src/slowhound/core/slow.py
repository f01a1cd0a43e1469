"""The state of one slow request, kept at its record."""

from __future__ import annotations

from typing import Any

from slowhound.blackbox.peer_reports import PeerReport
from slowhound.core.report import Report
from slowhound.frames.frames import Stack


class Slow:
    """What the watch knows of one slow request.

    ``unsampled`` is None for a request that was sampled while it ran. Else it is for how many
    seconds the hound had not run when the request ended.
    """

    def __init__(self, threshold: float, loc: str | None, group: str) -> None:
        self.threshold = threshold
        self.loc = loc
        self.fingerprint = group
        self.next_age = threshold
        self.report: str | None = None  # file name, once it is written
        self.by_peer = False  # another process has written it, see ``take_over``
        self.unsampled: float | None = None
        self.stack: Stack = ()  # the last one taken
        self.by = "hound"  # the way the first one was taken
        self.verdict: str | None = None  # "stuck", "slow" or "unknown"
        self.ended = False
        self.delivered: Report | None = None  # what the sinks were given

    def take_over(self, reported: PeerReport) -> None:
        """Makes this what another process has reported."""
        self.by_peer, self.stack = True, ()  # this process has not seen what that one has
        self.report, self.fingerprint = reported.report, reported.fingerprint
        self.loc, self.by = reported.loc, reported.by or self.by

    def fields(self) -> dict[str, Any]:
        """The ``slow_*`` fields and ``report``, for the events of the request."""
        return {
            "slow_after": self.threshold,
            "slow_loc": self.loc,
            "slow_stack_by": self.by if self.loc is not None else None,
            "slow_verdict": self.verdict,
            "slow_fingerprint": self.fingerprint,
            "report": self.report,
        }
