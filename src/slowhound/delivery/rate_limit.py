"""Limits how many reports of a group are sent, and counts those that were held back.

Reports with the same fingerprint are a group. ``REPORT_LIMIT`` is how many of a group are sent
within some seconds; the others are held back and counted. The next report that is sent has the
number of those held back since the last one, and the newest of them is sent by itself as soon as
there is room again. So the messages of a group and the numbers in them add up to all its reports.

Nothing here reads a file or a clock; ``spool`` keeps the groups on disk.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated, NamedTuple

import msgspec

from slowhound.config.config import Limit
from slowhound.core.report import Report

# Groups that are remembered; the one that was quiet for longest is forgotten first.
GROUPS_LIMIT = 2000
# Ids of sent reports that are kept for each group at least: the ends of these are sent as well.
SENT_IDS_LIMIT = 20


# Any process that shares DIR writes them.
Time = Annotated[float, msgspec.Meta(ge=0, le=2**40)]
Number = Annotated[int, msgspec.Meta(ge=0, le=2**53)]


class Sent(NamedTuple):
    """One report that was sent: when (seconds since 1970), and which."""

    at: Time
    id: str


class Group(msgspec.Struct):
    """What is known of one group. Its attributes are the keys of the JSON on disk."""

    first: Time  # seconds since 1970, as is ``last``
    last: Time
    seen: Number = 0
    sent: list[Sent] = []  # the newest ones
    held: Number = 0  # since the last one that was sent

    def has_room(self, limit: Limit | None, now: float) -> bool:
        """True when one more may be sent now."""
        if limit is None:
            return True
        # The clock may have been put back: what was sent in its future counts as sent now, so that
        # a group is never silent for longer than one window.
        self.sent = [Sent(min(each.at, now), each.id) for each in self.sent]
        return sum(now - each.at < limit.seconds for each in self.sent) < limit.most


class RateLimiter(msgspec.Struct):
    """All groups, by fingerprint; the JSON on disk is this."""

    groups: dict[str, Group] = {}

    def admit(self, report: Report, limit: Limit | None, now: float) -> Report | None:
        """The report as it is to be sent; None, and counted, when it is held back."""
        group = self._seen(report.fingerprint, 1, now)
        if not group.has_room(limit, now):
            group.held += 1
            return None
        first = group.seen == 1
        return self._send(group, report, limit, now, first)

    def count_held(self, fingerprint: str, count: int, now: float) -> None:
        """Counts reports that came in faster than they could be queued."""
        self._seen(fingerprint, count, now).held += count

    def release(self, report: Report, limit: Limit | None, now: float) -> Report | None:
        """The newest that was held back, as it is to be sent; None while there is no room."""
        group = self.groups.get(report.fingerprint)
        if group is None:
            return report  # forgotten in the meantime
        if not group.has_room(limit, now):
            return None
        group.held = max(group.held - 1, 0)  # itself
        return self._send(group, report, limit, now, first=False)

    def sent_ids(self) -> set[str]:
        """The ids of the reports sent lately, by any process."""
        return {each.id for group in self.groups.values() for each in group.sent}

    def _seen(self, fingerprint: str, count: int, now: float) -> Group:
        group = self.groups.pop(fingerprint, None)
        if group is None:
            while len(self.groups) >= GROUPS_LIMIT:
                del self.groups[next(iter(self.groups))]
            group = Group(now, now)
        self.groups[fingerprint] = group  # at the end: a dict keeps its order, on disk as well
        group.last = now
        group.seen += count
        return group

    def _send(
        self, group: Group, report: Report, limit: Limit | None, now: float, first: bool
    ) -> Report:
        kept = SENT_IDS_LIMIT if limit is None else max(SENT_IDS_LIMIT, limit.most)
        group.sent = [*group.sent, Sent(now, report.id)][-kept:]
        held, group.held = group.held, 0
        return replace(report, held_back=held, first_seen=first)
