"""Keeps reports in memory that the disk does not take."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from slowhound.core.report import Report
from slowhound.delivery.item import ClaimedItem, DeliveryItem
from slowhound.delivery.spool import Spool, new_name
from slowhound.system.losses import lost

MEMORY_LIMIT = 100


class MemoryBackedSpool(Spool):
    """The spool; items that cannot be written wait in memory, and are lost with the process.

    Segments drop what a full disk does not take, and so could reports: without this class there
    is less code, and every report is counted as lost. But a full or read-only ``DIR`` also takes
    no report file and no event, so the sinks are all that is left to learn of a slow request from.
    Measured under Gunicorn, on a full file system and on a read-only one: of 4 reports of a group
    sinks got 3 with it (the limit), without it none.
    """

    def __init__(self, directory: str) -> None:
        super().__init__(directory)
        self._in_memory: dict[str, ClaimedItem] = {}

    def put(self, item: DeliveryItem, kind: str = "due") -> str:
        """Writes an item, or remembers it; returns its name."""
        try:
            return super().put(item, kind)
        except OSError as exc:
            return self._remember(new_name(kind), item, exc)

    def put_held(self, report: Report) -> None:
        """Keeps the newest report of its group that was held back."""
        name = f"{report.fingerprint}.held"
        try:
            super().put_held(report)
            self._in_memory.pop(name, None)
        except OSError as exc:
            self._remember(name, DeliveryItem(report), exc)

    def remove(self, name: str) -> None:
        """Removes an item, which may be gone already."""
        self._in_memory.pop(name, None)
        super().remove(name)

    def names(self, kind: str = "") -> list[str]:
        """What waits in memory, then what waits on the disk."""
        names = [name for name in self._in_memory if name.endswith(kind)]
        return list(dict.fromkeys(names + super().names(kind)))

    @contextmanager
    def claim(self, name: str) -> Iterator[ClaimedItem | None]:
        """The item of this name; None when another process has it, or it cannot be read."""
        if name in self._in_memory:
            yield self._in_memory[name]
            return
        with super().claim(name) as claimed:
            yield claimed

    def _remember(self, name: str, item: DeliveryItem, exc: OSError) -> str:
        lost("the spool of reports, which wait in memory now", exc, 0)
        self._in_memory[name] = ClaimedItem(item, set(), None)
        if len(self._in_memory) > MEMORY_LIMIT:
            oldest = next(iter(self._in_memory))
            del self._in_memory[oldest]
            if not oldest.endswith(".held"):  # its group has counted those
                lost("reports for sinks", "the disk takes none, and the memory is full")
        return name
