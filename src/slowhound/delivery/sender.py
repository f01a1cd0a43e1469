"""Sends what is in the spool to each sink in turn, and tries again what failed."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from slowhound.delivery.backoff import BackoffSink, pause_after
from slowhound.delivery.item import ClaimedItem
from slowhound.delivery.spool import Spool
from slowhound.runtime.clocks import clock
from slowhound.system.losses import lost

# Seconds after which an item that a sink does not take is given up.
ITEM_MAX_AGE = 24 * 3600.0
# Age alone is not enough: the clock may have been put forward. Ten tries take 20 minutes.
TRIES_AT_LEAST = 10


class Tries(NamedTuple):
    """How often sending an item has failed, and when to try again (monotonic)."""

    failed: int = 0
    next: float = 0.0


class Sender:
    """Sends items; all of it runs on the delivery thread.

    Args:
        spool: where the items are.
        sinks: each item goes to all of them.
    """

    def __init__(self, spool: Spool, sinks: list[BackoffSink]) -> None:
        self._spool = spool
        self.sinks = sinks
        self.deadline = float("inf")  # monotonic: nothing is begun after it
        self.next_try = float("inf")
        self._tries: dict[str, Tries] = {}
        # Which sinks have an item, also where a full disk did not let us write that down.
        self._delivered: dict[str, set[str]] = {}

    def send(self, between: Callable[[], None]) -> None:
        """Tries all that is due; ``between`` is called after each item that was tried."""
        names = self._spool.names(".due")
        for known in (self._tries, self._delivered):
            for name in known.keys() - set(names):
                del known[name]
        self.next_try = float("inf")
        # Fewest tries first: an item that no sink takes does not stop the others.
        for name in sorted(names, key=lambda name: self._tries.get(name, Tries()).failed):
            now = clock.monotonic()
            if now >= self.deadline:
                return
            due = max(self._tries.get(name, Tries()).next, self._first_ready())
            if now < due:
                self.next_try = min(self.next_try, due)
                continue
            with self._spool.claim(name) as claimed:
                if claimed is not None and self._send_to_all(name, claimed):
                    self._spool.remove(name)
            between()

    def _first_ready(self) -> float:
        return min((sink.resume_at for sink in self.sinks), default=0.0)

    def _send_to_all(self, name: str, claimed: ClaimedItem) -> bool:
        """True when no sink waits for it any more."""
        delivered = claimed.delivered | self._delivered.get(name, set())
        missing = [sink for sink in self.sinks if sink.name not in delivered]
        failed = False
        for sink in missing:
            if not sink.ready(clock.monotonic()) or clock.monotonic() >= self.deadline:
                continue
            if sink.send(claimed.item.report, claimed.item.follow_up):
                self._mark_delivered(name, claimed, sink.name)
                delivered.add(sink.name)
            else:
                failed = True
        if all(sink.name in delivered for sink in self.sinks):
            return True
        return self._wait_longer(name, failed)

    def _mark_delivered(self, name: str, claimed: ClaimedItem, sink: str) -> None:
        self._delivered.setdefault(name, set()).add(sink)
        try:
            claimed.mark_delivered(sink)
        except OSError as exc:
            lost("the spool of reports", exc, 0)

    def _wait_longer(self, name: str, failed: bool) -> bool:
        """Sets the time of the next try; True when the item is given up instead."""
        failures = self._tries.get(name, Tries()).failed + failed
        pause = pause_after(failures) if failed else 0.0
        due = max(clock.monotonic() + pause, self._first_ready())
        self._tries[name] = Tries(failures, due)
        self.next_try = min(self.next_try, due)
        written = int(name.partition("-")[0])
        too_old = clock.time_ns() - written > ITEM_MAX_AGE * 1e9
        if too_old and failures >= TRIES_AT_LEAST:
            lost("reports for sinks", f"no sink took it for {ITEM_MAX_AGE:.0f} s")
            return True
        return False
