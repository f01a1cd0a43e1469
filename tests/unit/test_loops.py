"""Whom the time of a loop that stands still is put down to."""

from __future__ import annotations

import asyncio

from slowhound.record import Record
from slowhound.reporttext import path_of
from slowhound.watch.loops import Turning

HUB = "gevent/hub.py:647:run"


def still() -> Turning:
    """A loop that stands still."""
    return Turning("loop", asyncio.AbstractEventLoop(), 1, lambda callback: None)


def made(name: str) -> Record:
    """A request."""
    return Record("GET", f"/{name}/", 1.0)


def name_of(record: Record) -> str:
    """As it stands in an event."""
    return f"{record.id} {path_of(record)}"


def test_culprit_that_is_just_ending_is_still_the_culprit() -> None:
    """The last look may find it in its server's code, or nobody at all."""
    turning, spins = still(), made("spins")
    turning.blocked_by([spins], "views.py:1:spins")
    ids, who, where = turning.blocked_by([], HUB)
    assert (ids, who, where) == ((spins.id,), name_of(spins), "views.py:1:spins")


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
