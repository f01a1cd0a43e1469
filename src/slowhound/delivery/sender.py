"""The outbox: sends what is in the spool, and what the disk did not take, to each sink in turn."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import NamedTuple

from slowhound.core.report import Report
from slowhound.delivery.backoff import BackoffSink, pause_after
from slowhound.delivery.spool import MAX_AGE, ClaimedItem, DeliveryItem, Spool
from slowhound.runtime.clocks import clock
from slowhound.system.losses import lost

# Items, and held back reports, that wait in memory while the disk takes none.
MEMORY_LIMIT = 100
# Nothing is given up for its age alone: the clock may have been put forward. Ten take 20 minutes.
TRIES_AT_LEAST = 10


class Tries(NamedTuple):
    """How often an item was tried in vain, and when to try it again (monotonic)."""

    made: int = 0
    next: float = 0.0


class Sender:
    """Items on their way; all of it runs on the delivery thread.

    Args:
        directory: ``DIR``.
        sinks: where each item is to go.
    """

    def __init__(self, directory: str, sinks: list[BackoffSink]) -> None:
        self.spool = Spool(directory)
        self.sinks = sinks
        self.deadline = float("inf")  # monotonic: nothing is begun after it
        self.next_try = float("inf")
        self._memory: dict[str, ClaimedItem] = {}
        self._held: dict[str, Report] = {}
        self._number = 0
        self._tries: dict[str, Tries] = {}
        # Who has what, also where a full disk did not let us note it.
        self._done: dict[str, set[str]] = {}

    def put(self, item: DeliveryItem) -> None:
        """Spools an item; one that the disk does not take waits in memory."""
        try:
            self.spool.put(item)
        except OSError as exc:
            lost("the spool of reports, which wait in memory now", exc, 0)
            self._number += 1
            self._memory[f"memory {self._number}"] = ClaimedItem(item, set(), -1)
            if len(self._memory) > MEMORY_LIMIT:
                del self._memory[next(iter(self._memory))]
                lost("reports for sinks", "the disk takes none, and the memory is full")

    def hold(self, report: Report) -> None:
        """Keeps the newest report of its group that was held back."""
        try:
            self.spool.put_held(report)
        except OSError as exc:
            lost("the spool of reports, which wait in memory now", exc, 0)
            self._held[report.fingerprint] = report
            if len(self._held) > MEMORY_LIMIT:
                del self._held[next(iter(self._held))]  # its group's count is what remains

    def drop_held(self, fingerprint: str) -> None:
        """What was held back is told with another report of its group."""
        self._held.pop(fingerprint, None)
        self.spool.remove(f"{fingerprint}.held")

    def holds(self) -> bool:
        """True when something was held back."""
        return bool(self._held or self.names(".held"))

    def held(self) -> Iterator[Report]:
        """The reports that were held back."""
        yield from list(self._held.values())
        for name in self.names(".held"):
            with self.spool.claim(name) as claimed:
                if claimed is not None:
                    yield claimed.item.report

    def names(self, ending: str) -> list[str]:
        """Files of the spool, the oldest first."""
        return [name for name in self.spool.names() if name.endswith(ending)]

    def send(self, between: Callable[[], None]) -> None:
        """Tries all that is due; ``between`` is called after each that was tried."""
        names = [*self._memory, *self.names(".due")]
        for known in (self._tries, self._done):
            for name in known.keys() - set(names):
                del known[name]
        self.next_try = float("inf")
        # Those first that were tried least: one that no sink takes does not stop the others.
        for name in sorted(names, key=lambda name: self._tries.get(name, Tries()).made):
            now = clock.monotonic()
            if now >= self.deadline:
                return
            due = max(self._tries.get(name, Tries()).next, self._first_ready())
            if now < due:
                self.next_try = min(self.next_try, due)
            else:
                self._send_one(name)
                between()

    def _first_ready(self) -> float:
        return min((sink.resume_at for sink in self.sinks), default=0.0)

    def _send_one(self, name: str) -> None:
        if name in self._memory:
            if self._send_to_all(name, self._memory[name]):
                del self._memory[name]
            return
        with self.spool.claim(name) as claimed:
            if claimed is not None and self._send_to_all(name, claimed):
                self.spool.remove(name)

    def _send_to_all(self, name: str, claimed: ClaimedItem) -> bool:
        """True when no sink waits for it any more."""
        done = claimed.done | self._done.get(name, set())
        missing = [sink for sink in self.sinks if sink.name not in done]
        failed = False
        for sink in missing:
            if not sink.ready(clock.monotonic()) or clock.monotonic() >= self.deadline:
                continue
            if sink.send(claimed.item.report, claimed.item.follow_up):
                self._note(name, claimed, sink.name)
                done.add(sink.name)
            else:
                failed = True
        if all(sink.name in done for sink in self.sinks):
            return True
        return self._wait_longer(name, failed)

    def _note(self, name: str, claimed: ClaimedItem, sink: str) -> None:
        self._done.setdefault(name, set()).add(sink)
        try:
            claimed.note(sink)
        except OSError as exc:
            lost("the spool of reports", exc, 0)

    def _wait_longer(self, name: str, failed: bool) -> bool:
        count = self._tries.get(name, Tries()).made + failed
        pause = pause_after(count) if failed else 0.0
        due = max(clock.monotonic() + pause, self._first_ready())
        self._tries[name] = Tries(count, due)
        self.next_try = min(self.next_try, due)
        written = name.partition("-")[0]
        too_old = written.isdigit() and clock.time_ns() - int(written) > MAX_AGE * 1e9
        if too_old and count >= TRIES_AT_LEAST:
            lost("reports for sinks", f"no sink took it for {MAX_AGE:.0f} s")
            return True
        return False
