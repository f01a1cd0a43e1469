"""One request at a time is sampled on demand."""

from __future__ import annotations

import asyncio
import os
import sys
import threading
import time
import weakref
from collections.abc import Iterator

import pytest

from slowhound.core.in_flight import in_flight
from slowhound.core.record import Record
from slowhound.flames.profile import Profile
from slowhound.flames.sampling import session as module
from slowhound.flames.sampling import switch_interval
from slowhound.system import guard
from tests.harness.waiting import eventually


@pytest.fixture(autouse=True)
def _alone() -> Iterator[None]:
    before = sys.getswitchinterval()
    yield
    if module._session is not None:
        module.stop(module._session.record)
    in_flight.clear()
    assert sys.getswitchinterval() == before


@pytest.fixture
def record() -> Record:
    """The record of a request that this thread carries."""
    return Record("GET", "/", time.monotonic())


def taken() -> int:
    session = module._session
    return session.samples.taken if session is not None else 0


def names(profile: Profile) -> set[str]:
    return {frame.name for frame in profile.frames}


def works_for_samples(count: int) -> None:
    """Runs bytecode until so many samples were taken."""
    end = time.monotonic() + 20
    while taken() < count:
        assert time.monotonic() < end, "no samples were taken"
        sum(range(100))


def test_profile_shows_what_ran(record: Record) -> None:
    """From the start to the stop; the weights add up to that."""
    assert module.start(record)
    works_for_samples(20)
    profile = module.stop(record)
    assert profile is not None
    assert "works_for_samples" in names(profile)
    assert sum(each.weight for each in profile.samples) == pytest.approx(profile.duration)
    assert profile.accuracy.taken >= 20
    assert profile.started == pytest.approx(time.time() - record.age(), abs=5)


def test_second_request_is_refused_while_one_is_sampled(record: Record) -> None:
    """And accepted after that."""
    other = Record("GET", "/other", time.monotonic())
    assert module.start(record)
    assert module.start(other) is False
    assert module.stop(other) is None
    works_for_samples(2)
    assert module.stop(record) is not None
    assert module.start(other)


def test_only_one_of_many_threads_begins() -> None:
    """Also when they start at the same time."""
    records = [Record("GET", "/", time.monotonic()) for _ in range(8)]
    barrier = threading.Barrier(len(records))
    begun: list[Record] = []

    def ask(one: Record) -> None:
        barrier.wait()
        if module.start(one):
            begun.append(one)

    threads = [threading.Thread(target=ask, args=(one,)) for one in records]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(begun) == 1
    module.stop(begun[0])


def test_switch_interval_is_shorter_only_while_it_runs(record: Record) -> None:
    """The interval of the whole process is restored at the stop."""
    before = sys.getswitchinterval()
    module.start(record)
    assert sys.getswitchinterval() == pytest.approx(switch_interval.OUR_INTERVAL * 1e-6)
    module.stop(record)
    assert sys.getswitchinterval() == before


@pytest.mark.parametrize(
    "limit", ["LONGEST_SESSION", "MOST_SESSION_SAMPLES", "MOST_SESSION_ENTRIES"]
)
def test_it_ends_by_itself(record: Record, monkeypatch: pytest.MonkeyPatch, limit: str) -> None:
    """After its seconds, samples or entries; those are kept, the rest is unsampled."""
    monkeypatch.setattr(module, limit, 0.05 if limit == "LONGEST_SESSION" else 1)
    before = sys.getswitchinterval()
    module.start(record)
    session = module._session
    assert session is not None
    eventually(lambda: not session.alive(), "its end")
    eventually(lambda: sys.getswitchinterval() == before, "Python's own interval")
    profile = module.stop(record)
    assert profile is not None
    assert sum(each.weight for each in profile.samples) == pytest.approx(profile.duration)


def test_session_that_was_never_stopped_does_not_block_the_next(record: Record) -> None:
    """When its request has ended, another one can be sampled."""
    module.start(record)
    record.done = True
    other = Record("GET", "/other", time.monotonic())
    assert module.start(other)
    works_for_samples(2)
    assert module.stop(other) is not None


def test_sampling_that_fails_ends_it(record: Record, monkeypatch: pytest.MonkeyPatch) -> None:
    """The application is not affected; the interval is restored."""

    def broken(_: Record) -> None:
        raise RuntimeError("broken")

    guard.loud = False
    monkeypatch.setattr(module, "sample_stack", broken)
    before = sys.getswitchinterval()
    module.start(record)
    eventually(lambda: sys.getswitchinterval() == before, "Python's own interval")
    profile = module.stop(record)
    assert profile is None or profile.accuracy.taken == 0


def test_forked_child_can_begin_one(record: Record) -> None:
    """Its parent's session continues."""
    module.start(record)
    pid = os.fork()
    if pid == 0:
        ok = module.stop(record) is None and module.start(Record("GET", "/", time.monotonic()))
        os._exit(0 if ok else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
    works_for_samples(2)
    assert module.stop(record) is not None


async def leaf(event: asyncio.Event) -> None:
    await event.wait()


async def outer(event: asyncio.Event) -> None:
    await asyncio.gather(leaf(event), leaf(event))


def test_task_is_seen_where_it_awaits(record: Record) -> None:
    """Through gather to the awaited coroutine, not in the event loop's select."""

    async def main() -> Profile | None:
        task = asyncio.current_task()
        assert task is not None
        record.task = weakref.ref(task)
        event = asyncio.Event()
        module.start(record)

        async def opens() -> None:
            while taken() < 10:  # noqa: ASYNC110
                await asyncio.sleep(0.005)
            event.set()

        await asyncio.gather(outer(event), opens())
        return module.stop(record)

    profile = asyncio.run(main())
    assert profile is not None
    assert {"main", "leaf"} <= {name.rpartition(".")[2] for name in names(profile)}
    assert not any("select" in name for name in names(profile))
    assert "waiting" in {sample.state for sample in profile.samples}


def test_nothing_of_a_frame_is_kept(record: Record) -> None:
    """The variables of a request are freed when it has ended."""

    class Large:
        pass

    found: list[weakref.ref[Large]] = []

    def view() -> None:
        variable = Large()
        found.append(weakref.ref(variable))
        works_for_samples(taken() + 5)

    module.start(record)
    view()
    eventually(lambda: found[0]() is None, "its end")
    module.stop(record)
