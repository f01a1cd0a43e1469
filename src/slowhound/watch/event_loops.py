"""Finds event loops and gevent hubs that are blocked, and the request that blocks them.

One task or greenlet that computes, or makes a blocking call, holds up all others of its thread.
Each tick the hound schedules a callback in the loop, four a second, and measures how late it runs.
"""

from __future__ import annotations

import sys
import weakref
from collections.abc import Callable, Sequence
from typing import Any

from slowhound.core.record import Record
from slowhound.frames.frames import current_frames, from_frame
from slowhound.runtime.library_names import missing
from slowhound.stacks.capture import is_running
from slowhound.system.guard import guard
from slowhound.watch.verdict import place
from slowhound.watch.wording import path_of

Emit = Callable[[dict[str, Any]], None]
# Seconds without an answer that are attributed to what runs then; a tick is 0.25 s.
LAG = 0.5
# Seconds until a blocked loop is an event of its own, unless SLOW_AFTER is shorter.
REPORT_AFTER = 1.0
NOT_WATCHED = "greenlets that block their hub are not reported"


class WatchedLoop:
    """One loop: since when its callback is due, and what has run meanwhile."""

    def __init__(self, kind: str, loop: Any, thread: int, call: Callable[[Any], object]) -> None:
        self.kind = kind
        self.loop = weakref.ref(loop)
        self.thread = thread
        self._call = call
        self._called_at: float | None = None
        self.reported = False
        self._seen: dict[tuple[str, ...], tuple[int, str, str]] = {}

    def blocked_by(
        self, culprits: Sequence[Record], place: str
    ) -> tuple[tuple[str, ...], str, str]:
        """The ids of the requests that have blocked it, their names, and where.

        They are those that were seen most often: in the last check alone the culprit may be just
        ending, or the loop just running again.
        """
        ids = tuple(each.id for each in culprits)
        who = ", ".join(f"{each.id} {each.view or path_of(each)}" for each in culprits)
        count = self._seen[ids][0] if ids in self._seen else 0
        self._seen[ids] = count + 1, who or "no request", place
        most = max(self._seen, key=lambda each: self._seen[each][0])  # the first of equals
        return most, *self._seen[most][1:]

    def goes_on(self) -> None:
        """It runs again: what blocks it next is something else."""
        self.reported = False
        self._seen.clear()

    def check(self, now: float) -> float:
        """Seconds for which it has been blocked; schedules the next callback when it was not."""
        loop = self.loop()
        if self.kind == "loop" and loop is not None and not loop.is_running():
            self._called_at = None  # nothing waits for it between two runs
            if loop.is_closed():
                raise RuntimeError("the loop is closed")
            return 0.0
        if self._called_at is not None:
            return now - self._called_at
        self._called_at = now
        self._call(self._answer)
        return 0.0

    def _answer(self) -> None:
        """Runs in the loop."""
        self._called_at = None


class Loops:
    """All loops of this process that carry requests: nearly always one.

    Args:
        shortest: the shortest threshold of slow requests, in seconds.
        emit: writes an event.
    """

    def __init__(self, shortest: float, emit: Emit) -> None:
        self._report_after = min(shortest, REPORT_AFTER)
        self._emit = emit
        self._loops: dict[int, WatchedLoop] = {}
        self._watch = guard("loops")

    def see(self, loop: Any, record: Record) -> None:
        """A request is carried by a task of this asyncio loop."""
        if id(loop) not in self._loops:
            call = loop.call_soon_threadsafe
            self._loops[id(loop)] = WatchedLoop("loop", loop, record.thread_id, call)

    def see_hub(self, record: Record) -> None:
        """A request is carried by a greenlet of this thread's gevent hub."""
        if record.thread_id not in self._loops:
            hub = sys.modules["gevent"].get_hub()
            call = getattr(hub.loop, "run_callback_threadsafe", None)
            if call is None:
                missing("gevent.core.loop.run_callback_threadsafe", NOT_WATCHED)
                return
            self._loops[record.thread_id] = WatchedLoop("hub", hub, record.thread_id, call)

    def check(self, records: Sequence[Record], now: float) -> None:
        """Each tick: attributes the time of requests that wait to the one that runs."""
        for key, watched in list(self._loops.items()):
            with self._watch:
                lag = self._lag(key, watched, now)
                if lag > LAG:
                    self._attribute(watched, records, now, lag)
                else:
                    watched.goes_on()

    def _lag(self, key: int, watched: WatchedLoop, now: float) -> float:
        if watched.loop() is not None:
            try:
                return watched.check(now)
            except (RuntimeError, ValueError):  # what asyncio and gevent raise when it is closed
                pass
        # Gone: its thread may have another one by now, which the next request adds.
        del self._loops[key]
        return 0.0

    def _attribute(
        self, watched: WatchedLoop, records: Sequence[Record], now: float, lag: float
    ) -> None:
        ours = [record for record in records if record.thread_id == watched.thread]
        culprits = [record for record in ours if is_running(record)]
        stack = from_frame(current_frames().get(watched.thread))
        ids, who, where = watched.blocked_by(culprits, place(stack))
        by = f"{who} at {where}"
        waiting = [each for each in ours if each not in culprits and each.id not in ids]
        for record in waiting:
            # The tick in which it began to lag counts as well; it is added once each tick.
            record.loop_lag = max(record.loop_lag, min(lag, record.age(now)))
            record.loop_blocked_by = by
        if lag >= self._report_after and not watched.reported:
            watched.reported = True
            self._emit(
                {
                    "event_type": "stall",
                    "stall_kind": watched.kind,
                    "stall_time": lag,
                    "stall_requests": len(waiting),
                    "stall_by": by,
                    "stall_in": where,
                }
            )
