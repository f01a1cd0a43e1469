"""From a thread into the task that it waits for, and from a task of anyio's into its thread."""

from __future__ import annotations

import asyncio
import contextlib
import threading
import time
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import pytest

from slowhound.core.record import Record
from slowhound.stacks import capture
from tests.harness.waiting import eventually
from tests.unit.stacks.crossing_ways import ENDS, WAYS, Gate, by_run, hands_over, seen_of


@pytest.fixture
def gate() -> Iterator[Gate]:
    """It is open when the test ends."""
    made = Gate()
    yield made
    made.open.set()


@pytest.mark.parametrize("coroutine", ENDS, ids=lambda each: each.__name__)
@pytest.mark.parametrize("way", WAYS, ids=lambda each: each.__name__)
def test_stack_of_a_thread_goes_on_in_the_coroutine_that_it_waits_for(
    gate: Gate, way: Any, coroutine: Any
) -> None:
    """``asyncio.run`` in a sync view, ``async_to_sync``, anyio's threads and task groups."""
    thread = threading.Thread(target=way, args=(coroutine, gate))
    thread.start()
    try:
        assert gate.here.wait(30)
        record = Record("GET", "/", 0.0)
        record.thread_id = thread.ident or 0
        inner = ENDS[coroutine]

        def found() -> bool:
            return all(each[-len(inner) :] == inner for each in seen_of(record))

        try:
            eventually(found, "the whole stack", deadline=5)
        except AssertionError as exc:
            raise AssertionError(f"{seen_of(record)} and not {inner}") from exc
        assert all(each[0] == way.__name__ for each in seen_of(record))
    finally:
        gate.open.set()
        thread.join()


def test_thread_of_the_stack_is_the_one_that_works(gate: Gate) -> None:
    """Its wait and its CPU time are those of that thread."""
    thread = threading.Thread(target=by_run, args=(hands_over, gate))
    thread.start()
    assert gate.here.wait(30)
    record = Record("GET", "/", 0.0)
    record.thread_id, record.native_id = thread.ident or 0, thread.native_id or 0
    eventually(lambda: "blocks" in seen_of(record)[0], "it works")
    captured = capture.capture_stack(record)
    assert captured is not None
    works = {each.native_id for each in threading.enumerate() if each.name.startswith("asyncio_")}
    assert captured.thread in works
    gate.open.set()
    thread.join()


def test_chain_that_comes_back_to_itself_ends(gate: Gate) -> None:
    """A thread that waits for a task that waits for that thread's job waits for ever."""
    loop = asyncio.new_event_loop()
    done = threading.Event()
    running = threading.Thread(target=loop.run_forever)
    running.start()
    tasks: list[asyncio.Task[Any]] = []

    async def waits_for_itself() -> None:
        tasks.append(asyncio.current_task())  # type: ignore[arg-type]
        await asyncio.to_thread(asks)

    def asks() -> None:
        async def again() -> None:
            gate.here.set()
            await asyncio.wait(tasks)

        asyncio.run_coroutine_threadsafe(again(), loop).result()
        done.set()

    record = Record("GET", "/", 0.0)
    record.thread_id = running.ident or 0
    record.task = lambda: tasks[0]
    asyncio.run_coroutine_threadsafe(waits_for_itself(), loop)
    assert gate.here.wait(30)
    eventually(lambda: seen_of(record)[0][-1:] == ["again"], "the circle is seen")
    assert seen_of(record) == (["waits_for_itself", "asks", "again"],) * 2
    loop.call_soon_threadsafe(tasks[0].cancel)
    eventually(done.is_set, "all end")
    loop.call_soon_threadsafe(loop.stop)
    running.join()
    loop.run_until_complete(loop.shutdown_default_executor())
    loop.close()


def test_jobs_that_wait_for_each_other_are_shown_once() -> None:
    """They do so for ever; here, until the test has read their stacks."""
    jobs: list[Future[None]] = []
    given, seen = threading.Event(), threading.Event()

    def waits_for(other: int) -> None:
        given.wait()
        while not seen.is_set():
            with contextlib.suppress(TimeoutError):
                jobs[other].result(0.2)

    def asks() -> None:
        jobs[0].result()

    with ThreadPoolExecutor(2) as pool:
        jobs += [pool.submit(waits_for, 1), pool.submit(waits_for, 0)]
        thread = threading.Thread(target=asks)
        thread.start()
        given.set()
        record = Record("GET", "/", 0.0)
        record.thread_id = thread.ident or 0
        expected = ["asks", "waits_for", "waits_for"]
        try:
            eventually(lambda: seen_of(record) == (expected,) * 2, "the circle is seen")
        finally:
            seen.set()
            thread.join()


def test_stacks_beside_short_runs_show_only_what_is_theirs() -> None:
    """Thousands of stacks of a thread that runs loops, one after the other."""
    stop = threading.Event()

    async def leaf() -> None:
        await asyncio.sleep(0)

    async def root() -> None:
        await asyncio.gather(leaf(), asyncio.to_thread(time.sleep, 0))

    def runs() -> None:
        while not stop.is_set():
            asyncio.run(root())

    thread = threading.Thread(target=runs)
    thread.start()
    record = Record("GET", "/", 0.0)
    record.thread_id = thread.ident or 0
    seen: set[str] = set()
    try:

        def all_seen() -> bool:
            for _ in range(100):
                seen.update(*seen_of(record))
            return {"runs", "root"} <= seen

        eventually(all_seen, "it was seen inside")
    finally:
        stop.set()
        thread.join()
    assert seen <= {"runs", "root", "leaf"}
