"""Whom the time of a loop that stands still is put down to."""

from __future__ import annotations

import asyncio
import threading
import weakref
from typing import Any, Self

from slowhound.core.record import Record
from slowhound.watch.event_loops import Loops, Turning
from slowhound.watch.wording import path_of


def still() -> Turning:
    """A loop that stands still."""
    return Turning("loop", asyncio.AbstractEventLoop(), 1, lambda callback: None)


def made(name: str) -> Record:
    """A request."""
    return Record("GET", f"/{name}/", 1.0)


def name_of(record: Record) -> str:
    """As it stands in an event."""
    return f"{record.id} {path_of(record)}"


class Standing:
    """A loop in a thread of its own: a request blocks it, then the next one, then a callback."""

    def __init__(self) -> None:
        self.loop = asyncio.new_event_loop()
        self.culprit, self.victim = made("spins"), made("waits")
        self._begun = [threading.Event() for _ in range(3)]
        self._let_go = [threading.Event() for _ in range(3)]
        self._thread = threading.Thread(target=self._run)

    def __enter__(self) -> Self:
        self._thread.start()
        self._begun[0].wait()
        return self

    def __exit__(self, *_: object) -> None:
        for each in self._let_go:
            each.set()
        self._thread.join()

    def next(self, step: int) -> None:
        """The one before ends, and this one blocks the loop."""
        self._let_go[step - 1].set()
        self._begun[step].wait()

    def _run(self) -> None:
        tasks = [self.loop.create_task(self._request(step)) for step in (0, 1)]
        for record, task in zip((self.culprit, self.victim), tasks, strict=True):
            record.task, record.thread_id = weakref.ref(task), threading.get_ident()
        self.loop.call_soon(self._block, 2)
        self.loop.run_until_complete(asyncio.gather(*tasks))
        self.loop.close()

    async def _request(self, step: int) -> None:
        self._block(step)
        await asyncio.sleep(0)

    def _block(self, step: int) -> None:
        self._begun[step].set()
        self._let_go[step].wait()


def test_culprit_that_is_just_ending_is_still_the_culprit() -> None:
    """A look may find another one, or nobody at all, and the culprit as one of those that wait."""
    told: list[dict[str, Any]] = []
    loops = Loops(1.0, told.append)
    with Standing() as standing:
        culprit, victim = standing.culprit, standing.victim
        loops.see(standing.loop, culprit)
        for now in (10.0, 11.0):
            loops.look([culprit, victim], now)
        assert [(each["stall_time"], each["stall_requests"]) for each in told] == [(1.0, 1)]
        standing.next(1)
        loops.look([culprit, victim], 11.25)
        assert victim.loop_lag == 1.0  # it runs now, and waits for nobody
        standing.next(2)
        loops.look([culprit, victim], 11.5)
    by = f"{name_of(culprit)} at {told[0]['stall_in']}"
    assert told[0]["stall_by"] == by
    assert (victim.loop_lag, victim.loop_blocked_by) == (1.5, by)
    assert (culprit.loop_lag, culprit.loop_blocked_by) == (0.0, None)


def test_whoever_was_seen_most_often_has_blocked_it() -> None:
    """With the place where it stood last."""
    turning, first, then = still(), made("first"), made("then")
    turning.blocked_by([first], "views.py:1:first")
    for line in (7, 8):
        found = turning.blocked_by([then], f"views.py:{line}:then")
    assert found == ((then.id,), name_of(then), "views.py:8:then")


def test_loop_that_went_on_is_blocked_by_somebody_else_next_time() -> None:
    """Nothing is kept from one stall to the next, but that it has to be told of."""
    turning, spins = still(), made("spins")
    turning.blocked_by([spins], "views.py:1:spins")
    turning.told = True
    turning.turns()
    assert not turning.told
    assert turning.blocked_by([], "tasks.py:5:poll") == ((), "no request", "tasks.py:5:poll")
