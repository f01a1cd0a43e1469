"""Reports when all threads of a worker are in slow requests.

Such a stall has one ``stall`` event when it begins; the requests have events and reports of their
own.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

from slowhound.core.record import Record
from slowhound.watch.verdict import place

STALL_PLACES = 5
Emit = Callable[[dict[str, Any]], None]


class BusyThreads:
    """All threads of a gthread worker are in requests that are past their threshold.

    Gunicorn does not end such a worker: its main thread, which it watches, is fine. New requests
    wait in the worker's own queue, where no backlog shows them.
    """

    def __init__(self, threads: Callable[[], int | None], emit: Emit) -> None:
        self._threads = threads
        self._emit = emit
        self._reported = False

    def check(self, records: Sequence[Record], now: float) -> None:
        """Called with all that is in flight, each tick."""
        threads = self._threads()
        stuck = [record for record in records if record.slow is not None]
        if threads is None or len(stuck) < threads:
            self._reported = False
        elif not self._reported:
            self._reported = True
            self._emit(
                {
                    "event_type": "stall",
                    "stall_kind": "threads",
                    "stall_time": min(record.age(now) for record in stuck),
                    "stall_requests": len(stuck),
                    "stall_in": _where(stuck),
                }
            )


def _where(records: Sequence[Record]) -> str:
    """Where they are, the most frequent place first."""
    counts = Counter(place(record.samples[-1].stack) for record in records if record.samples)
    shown = [f"{count} in {name}" for name, count in counts.most_common(STALL_PLACES)]
    rest = len(counts) - STALL_PLACES
    return ", ".join(shown) + (f", the rest in {rest} more" if rest > 0 else "")
