"""The request that blocks an event loop, to which the others' time is attributed."""

from __future__ import annotations

import asyncio
import threading
import weakref
from typing import Any, Self

from slowhound.core.record import Record
from slowhound.watch.event_loops import Loops, WatchedLoop
from slowhound.watch.wording import path_of


def blocked() -> WatchedLoop:
    """A loop that is blocked."""
    return WatchedLoop("loop", asyncio.AbstractEventLoop(), 1, lambda callback: None)


def made(name: str) -> Record:
    """A request."""
    return Record("GET", f"/{name}/", 1.0)


def name_of(record: Record) -> str:
    """As it stands in an event."""
    return f"{record.id} {path_of(record)}"


class BlockedLoop:
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
    """A check may find another request running, or none, and the culprit waiting."""
    emitted: list[dict[str, Any]] = []
    loops = Loops(1.0, emitted.append)
    with BlockedLoop() as blocked_loop:
        culprit, victim = blocked_loop.culprit, blocked_loop.victim
        loops.see(blocked_loop.loop, culprit)
        for now in (10.0, 11.0):
            loops.check([culprit, victim], now)
        assert [(each["stall_time"], each["stall_requests"]) for each in emitted] == [(1.0, 1)]
        blocked_loop.next(1)
        loops.check([culprit, victim], 11.25)
        assert victim.loop_lag == 1.0  # it runs now, and does not wait
        blocked_loop.next(2)
        loops.check([culprit, victim], 11.5)
    by = f"{name_of(culprit)} at {emitted[0]['stall_in']}"
    assert emitted[0]["stall_by"] == by
    assert (victim.loop_lag, victim.loop_blocked_by) == (1.5, by)
    assert (culprit.loop_lag, culprit.loop_blocked_by) == (0.0, None)


def test_request_that_was_seen_most_often_has_blocked_it() -> None:
    """With the place where it was last."""
    watched, first, then = blocked(), made("first"), made("then")
    watched.blocked_by([first], "views.py:1:first")
    for line in (7, 8):
        found = watched.blocked_by([then], f"views.py:{line}:then")
    assert found == ((then.id,), name_of(then), "views.py:8:then")


def test_loop_that_ran_again_is_blocked_by_something_else_next_time() -> None:
    """Nothing is kept from one stall to the next, and the next one is reported, too."""
    watched, spins = blocked(), made("spins")
    watched.blocked_by([spins], "views.py:1:spins")
    watched.reported = True
    watched.goes_on()
    assert not watched.reported
    assert watched.blocked_by([], "tasks.py:5:poll") == ((), "no request", "tasks.py:5:poll")
