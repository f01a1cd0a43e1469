"""Event loops and hubs: is each still turning, and if not, who blocks it?

One task or greenlet that computes, or calls what blocks, holds up all others of its thread. Each
tick the hound asks the loop for a sign of life, four callbacks a second.
"""

from __future__ import annotations

import sys
import weakref
from collections.abc import Callable, Sequence
from typing import Any

from slowhound.core.record import Record
from slowhound.frames.frames import current_frames, from_frame
from slowhound.runtime.library_names import missing
from slowhound.stacks.capture import running
from slowhound.system.guard import guard
from slowhound.watch.verdict import place
from slowhound.watch.wording import path_of

Emit = Callable[[dict[str, Any]], None]
# Seconds without a sign of life that are put down to whoever runs; a tick is 0.25 s.
LAG = 0.5
# Seconds until a loop that stands still is an event of its own, unless SLOW_AFTER is shorter.
TELL_AFTER = 1.0
NOT_WATCHED = "greenlets that block their hub are not told of"


class Turning:
    """One loop: when it last gave a sign of life, and whether one is due."""

    def __init__(self, kind: str, loop: Any, thread: int, ask: Callable[[Any], object]) -> None:
        self.kind = kind
        self.loop = weakref.ref(loop)
        self.thread = thread
        self._ask = ask
        self._asked: float | None = None
        self.told = False
        self._seen: dict[tuple[str, ...], tuple[int, str, str]] = {}

    def blocked_by(
        self, culprits: Sequence[Record], place: str
    ) -> tuple[tuple[str, ...], str, str]:
        """The ids of those that have blocked it since it stands still, who they are, and where.

        They are those that were seen most often: the last look alone may be the one in which the
        culprit is just ending, or the loop just turning.
        """
        ids = tuple(each.id for each in culprits)
        who = ", ".join(f"{each.id} {each.view or path_of(each)}" for each in culprits)
        looks = self._seen[ids][0] if ids in self._seen else 0
        self._seen[ids] = looks + 1, who or "no request", place
        most = max(self._seen, key=lambda each: self._seen[each][0])  # the first of equals
        return most, *self._seen[most][1:]

    def turns(self) -> None:
        """It goes on: whoever stops it next is somebody else."""
        self.told = False
        self._seen.clear()

    def look(self, now: float) -> float:
        """Seconds for which it has not turned; asks again when it has."""
        loop = self.loop()
        if self.kind == "loop" and loop is not None and not loop.is_running():
            self._asked = None  # between two runs nobody waits for it
            if loop.is_closed():
                raise RuntimeError("the loop is closed")
            return 0.0
        if self._asked is not None:
            return now - self._asked
        self._asked = now
        self._ask(self._answer)
        return 0.0

    def _answer(self) -> None:
        """Runs in the loop."""
        self._asked = None


class Loops:
    """All loops of this process that carry requests: nearly always one.

    Args:
        shortest: the shortest threshold of slow requests, in seconds.
        tell: writes an event.
    """

    def __init__(self, shortest: float, tell: Emit) -> None:
        self._tell_after = min(shortest, TELL_AFTER)
        self._tell = tell
        self._turning: dict[int, Turning] = {}
        self._watch = guard("loops")

    def see(self, loop: Any, record: Record) -> None:
        """A request is carried by a task of this asyncio loop."""
        if id(loop) not in self._turning:
            ask = loop.call_soon_threadsafe
            self._turning[id(loop)] = Turning("loop", loop, record.thread_id, ask)

    def see_hub(self, record: Record) -> None:
        """A request is carried by a greenlet of this thread's gevent hub."""
        if record.thread_id not in self._turning:
            hub = sys.modules["gevent"].get_hub()
            ask = getattr(hub.loop, "run_callback_threadsafe", None)
            if ask is None:
                missing("gevent.core.loop.run_callback_threadsafe", NOT_WATCHED)
                return
            self._turning[record.thread_id] = Turning("hub", hub, record.thread_id, ask)

    def look(self, records: Sequence[Record], now: float) -> None:
        """Each tick: puts the time of those who wait down to the one that runs."""
        for key, turning in list(self._turning.items()):
            with self._watch:
                lag = self._lag(key, turning, now)
                if lag > LAG:
                    self._blame(turning, records, now, lag)
                else:
                    turning.turns()

    def _lag(self, key: int, turning: Turning, now: float) -> float:
        if turning.loop() is not None:
            try:
                return turning.look(now)
            except (RuntimeError, ValueError):  # asyncio's and gevent's words for: it is closed
                pass
        # Gone: its thread may have another one by now, and the next request will tell.
        del self._turning[key]
        return 0.0

    def _blame(self, turning: Turning, records: Sequence[Record], now: float, lag: float) -> None:
        ours = [record for record in records if record.thread_id == turning.thread]
        culprits = [record for record in ours if running(record)]
        stack = from_frame(current_frames().get(turning.thread))
        ids, who, where = turning.blocked_by(culprits, place(stack))
        by = f"{who} at {where}"
        waiting = [each for each in ours if each not in culprits and each.id not in ids]
        for record in waiting:
            # The tick in which it began to lag counts as well; it is added once each tick.
            record.loop_lag = max(record.loop_lag, min(lag, record.age(now)))
            record.loop_blocked_by = by
        if lag >= self._tell_after and not turning.told:
            turning.told = True
            self._tell(
                {
                    "event_type": "stall",
                    "stall_kind": turning.kind,
                    "stall_time": lag,
                    "stall_requests": len(waiting),
                    "stall_by": by,
                    "stall_in": where,
                }
            )
