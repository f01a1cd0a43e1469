"""One request at a time is profiled because somebody asked for it."""

from __future__ import annotations

import asyncio
import os
import sys
import threading
import time
import weakref
from collections.abc import Iterator

import pytest

from slowhound.core.record import Record, in_flight
from slowhound.flames.profile import Profile
from slowhound.flames.sampling import session as demand
from slowhound.flames.sampling import switch_interval
from slowhound.system import guard
from tests.harness.waiting import eventually


@pytest.fixture(autouse=True)
def _alone() -> Iterator[None]:
    before = sys.getswitchinterval()
    yield
    if demand._session is not None:
        demand.stop(demand._session.record)
    in_flight.clear()
    assert sys.getswitchinterval() == before


@pytest.fixture
def record() -> Record:
    """Of a request that this thread carries."""
    return Record("GET", "/", time.monotonic())


def taken() -> int:
    session = demand._session
    return session.samples.taken if session is not None else 0


def names(profile: Profile) -> set[str]:
    return {frame.name for frame in profile.frames}


def works_for_looks(count: int) -> None:
    """Runs bytecode until so many looks were taken."""
    end = time.monotonic() + 20
    while taken() < count:
        assert time.monotonic() < end, "nobody looked"
        sum(range(100))


def test_profile_shows_what_ran(record: Record) -> None:
    """From the start to the stop, and all of it adds up."""
    assert demand.start(record)
    works_for_looks(20)
    profile = demand.stop(record)
    assert profile is not None
    assert "works_for_looks" in names(profile)
    assert sum(each.weight for each in profile.samples) == pytest.approx(profile.duration)
    assert profile.accuracy.taken >= 20
    assert profile.started == pytest.approx(time.time() - record.age(), abs=5)


def test_second_request_is_refused_while_one_is_sampled(record: Record) -> None:
    """And is welcome after that."""
    other = Record("GET", "/other", time.monotonic())
    assert demand.start(record)
    assert demand.start(other) is False
    assert demand.stop(other) is None
    works_for_looks(2)
    assert demand.stop(record) is not None
    assert demand.start(other)


def test_only_one_of_many_threads_begins() -> None:
    """However closely they ask."""
    records = [Record("GET", "/", time.monotonic()) for _ in range(8)]
    barrier = threading.Barrier(len(records))
    begun: list[Record] = []

    def ask(one: Record) -> None:
        barrier.wait()
        if demand.start(one):
            begun.append(one)

    threads = [threading.Thread(target=ask, args=(one,)) for one in records]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(begun) == 1
    demand.stop(begun[0])


def test_switches_come_sooner_only_while_it_runs(record: Record) -> None:
    """The interval of the whole process is given back at the stop."""
    before = sys.getswitchinterval()
    demand.start(record)
    assert sys.getswitchinterval() == pytest.approx(switch_interval.OURS * 1e-6)
    demand.stop(record)
    assert sys.getswitchinterval() == before


@pytest.mark.parametrize("limit", ["LONGEST", "MOST_LOOKS", "MOST_ENTRIES"])
def test_it_ends_by_itself(record: Record, monkeypatch: pytest.MonkeyPatch, limit: str) -> None:
    """After its seconds, looks or entries; what was found is kept, the rest said to be blind."""
    monkeypatch.setattr(demand, limit, 0.05 if limit == "LONGEST" else 1)
    before = sys.getswitchinterval()
    demand.start(record)
    session = demand._session
    assert session is not None
    eventually(lambda: not session.alive(), "its end")
    eventually(lambda: sys.getswitchinterval() == before, "Python's own interval")
    profile = demand.stop(record)
    assert profile is not None
    assert sum(each.weight for each in profile.samples) == pytest.approx(profile.duration)


def test_request_that_was_never_stopped_bars_nobody(record: Record) -> None:
    """When it has ended, the next one may be sampled."""
    demand.start(record)
    record.done = True
    other = Record("GET", "/other", time.monotonic())
    assert demand.start(other)
    works_for_looks(2)
    assert demand.stop(other) is not None


def test_broken_look_ends_it(record: Record, monkeypatch: pytest.MonkeyPatch) -> None:
    """The application notices nothing; the interval is given back."""

    def broken(_: Record) -> None:
        raise RuntimeError("broken")

    guard.loud = False
    monkeypatch.setattr(demand, "look", broken)
    before = sys.getswitchinterval()
    demand.start(record)
    eventually(lambda: sys.getswitchinterval() == before, "Python's own interval")
    profile = demand.stop(record)
    assert profile is None or profile.accuracy.taken == 0


def test_forked_child_may_begin_one(record: Record) -> None:
    """Its parent's goes on without it."""
    demand.start(record)
    pid = os.fork()
    if pid == 0:
        ok = demand.stop(record) is None and demand.start(Record("GET", "/", time.monotonic()))
        os._exit(0 if ok else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
    works_for_looks(2)
    assert demand.stop(record) is not None


async def leaf(event: asyncio.Event) -> None:
    await event.wait()


async def outer(event: asyncio.Event) -> None:
    await asyncio.gather(leaf(event), leaf(event))


def test_task_is_seen_where_it_awaits(record: Record) -> None:
    """Through gather to the coroutine that is waited for, not the event loop's select."""

    async def main() -> Profile | None:
        task = asyncio.current_task()
        assert task is not None
        record.task = weakref.ref(task)
        event = asyncio.Event()
        demand.start(record)

        async def opens() -> None:
            while taken() < 10:  # noqa: ASYNC110
                await asyncio.sleep(0.005)
            event.set()

        await asyncio.gather(outer(event), opens())
        return demand.stop(record)

    profile = asyncio.run(main())
    assert profile is not None
    assert {"main", "leaf"} <= {name.rpartition(".")[2] for name in names(profile)}
    assert not any("select" in name for name in names(profile))
    assert "waiting" in {sample.state for sample in profile.samples}


def test_nothing_of_a_frame_is_kept(record: Record) -> None:
    """The variables of a request are gone when it has ended, and with it the look of then."""

    class Large:
        pass

    found: list[weakref.ref[Large]] = []

    def view() -> None:
        variable = Large()
        found.append(weakref.ref(variable))
        works_for_looks(taken() + 5)

    demand.start(record)
    view()
    eventually(lambda: found[0]() is None, "its end")
    demand.stop(record)
