"""What the watch knows of one slow request; it hangs on the request's record."""

from __future__ import annotations

from typing import Any

from slowhound.blackbox.reported import Reported
from slowhound.core.report import Report
from slowhound.frames.frames import Stack


class Slow:
    """What the watch knows of one slow request; hangs on its record.

    ``blind`` is None for a request that was looked at while it ran. Else it is for how many
    seconds the hound had not run when the request ended.
    """

    def __init__(self, threshold: float, loc: str | None, group: str) -> None:
        self.threshold = threshold
        self.loc = loc
        self.fingerprint = group
        self.next_age = threshold
        self.report: str | None = None  # file name, once it is written
        self.given = False  # another process has written it, see ``take_over``
        self.blind: float | None = None
        self.stack: Stack = ()  # the last one taken
        self.by = "hound"  # the way the first one was taken
        self.verdict: str | None = None  # "stuck", "slow" or "unknown"
        self.ended = False
        self.told: Report | None = None  # what the sinks were given

    def take_over(self, told: Reported) -> None:
        """Makes this what another process has reported."""
        self.given, self.stack = True, ()  # whatever it has seen, this process has not
        self.report, self.fingerprint = told.report, told.fingerprint
        self.loc, self.by = told.loc, told.by or self.by

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
