"""From a thread into the task that it waits for, and from a task of anyio's into its thread."""

from __future__ import annotations

import asyncio
import contextlib
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import anyio
import anyio.from_thread
import anyio.to_thread
import pytest
from asgiref.sync import async_to_sync, sync_to_async

from slowhound.core.record import Record
from slowhound.flames.sampling import stack_keys
from slowhound.frames.frames import Frame
from slowhound.stacks import capture
from tests.harness.waiting import eventually


class Gate:
    """What coroutines and threads wait for until the test has read their stacks."""

    def __init__(self) -> None:
        self.here, self.open = threading.Event(), threading.Event()

    async def waits(self) -> None:
        self.here.set()
        while not self.open.is_set():  # noqa: ASYNC110  it is set by another thread
            await asyncio.sleep(0.05)

    def blocks(self) -> None:
        self.here.set()
        assert self.open.wait(30)


async def job(gate: Gate) -> None:
    await gate.waits()


async def hands_over(gate: Gate) -> None:
    await asyncio.to_thread(gate.blocks)


async def hands_over_to_anyio(gate: Gate) -> None:
    await anyio.to_thread.run_sync(gate.blocks)


async def in_group(gate: Gate) -> None:
    async with anyio.create_task_group() as group:
        group.start_soon(job, gate)


async def is_fed(gate: Gate) -> None:
    """As Starlette's middleware: the application runs in a task, whose first message it awaits."""
    send, receive = anyio.create_memory_object_stream[None]()

    async def application() -> None:
        await listens(gate)
        await send.send(None)

    with send, receive:
        async with anyio.create_task_group() as group:
            group.start_soon(application)
            await receive.receive()


async def listens(gate: Gate) -> None:
    """As Starlette's streams: they end when the client goes away."""
    gone = asyncio.Event()

    async def listen_for_disconnect() -> None:
        async with anyio.create_task_group() as another:
            another.start_soon(gone.wait)
            await gone.wait()

    async def streams() -> None:
        await job(gate)
        gone.set()

    async with anyio.create_task_group() as group:
        group.start_soon(streams)
        await listen_for_disconnect()


async def goes_on_by_itself(gate: Gate) -> None:
    """It has a group, and waits for something else."""
    async with anyio.create_task_group() as group:
        group.start_soon(asyncio.sleep, 0.1)
        await gate.waits()


async def back_and_forth(gate: Gate) -> None:
    await sync_to_async(gate.blocks)()


async def blocks_its_loop(gate: Gate) -> None:
    gate.blocks()


async def has_a_busy_sibling(gate: Gate) -> None:
    async def sibling() -> None:
        gate.blocks()

    await asyncio.ensure_future(sibling())


def by_run(coroutine: Any, gate: Gate) -> None:
    asyncio.run(coroutine(gate))


def by_a_new_loop(coroutine: Any, gate: Gate) -> None:
    loop = asyncio.new_event_loop()
    try:
        loop.run_until_complete(coroutine(gate))
    finally:
        loop.run_until_complete(loop.shutdown_default_executor())
        loop.close()


def by_runner(coroutine: Any, gate: Gate) -> None:
    with asyncio.Runner() as runner:
        runner.run(coroutine(gate))


def by_async_to_sync(coroutine: Any, gate: Gate) -> None:
    async_to_sync(coroutine)(gate)


def by_another_loop(coroutine: Any, gate: Gate) -> None:
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    try:
        asyncio.run_coroutine_threadsafe(coroutine(gate), loop).result()
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.run_until_complete(loop.shutdown_default_executor())
        loop.close()


def by_anyio(coroutine: Any, gate: Gate) -> None:
    anyio.run(coroutine, gate)


def by_a_thread_of_a_loop(coroutine: Any, gate: Gate) -> None:
    """A sync view below ASGI, which runs a loop of its own."""

    async def request() -> None:
        await sync_to_async(by_run, thread_sensitive=False)(coroutine, gate)

    asyncio.run(request())


def by_a_loop_that_asks_back(coroutine: Any, gate: Gate) -> None:
    """A thread of anyio's that has a coroutine run in its loop."""

    def in_thread() -> None:
        anyio.from_thread.run(coroutine, gate)

    async def request() -> None:
        await anyio.to_thread.run_sync(in_thread)

    asyncio.run(request())


def by_a_pool(coroutine: Any, gate: Gate) -> None:
    """A job of a thread pool's, whose result is waited for."""
    with ThreadPoolExecutor(1) as pool:
        pool.submit(by_run, coroutine, gate).result()


WAYS: list[Callable[[Any, Gate], None]] = [
    by_run,
    by_a_new_loop,
    by_runner,
    by_async_to_sync,
    by_another_loop,
    by_anyio,
    by_a_thread_of_a_loop,
    by_a_loop_that_asks_back,
    by_a_pool,
]
LISTENS = ["listens", "listen_for_disconnect", "streams", "job", "waits"]
ENDS: dict[Any, list[str]] = {
    job: ["job", "waits"],
    hands_over: ["hands_over", "blocks"],
    hands_over_to_anyio: ["hands_over_to_anyio", "blocks"],
    in_group: ["in_group", "job", "waits"],
    is_fed: ["is_fed", "application", *LISTENS],
    listens: LISTENS,
    goes_on_by_itself: ["goes_on_by_itself", "waits"],
    back_and_forth: ["blocks"],
    blocks_its_loop: ["blocks_its_loop", "blocks"],
    has_a_busy_sibling: ["sibling", "blocks"],
}


@pytest.fixture
def gate() -> Iterator[Gate]:
    """It is open when the test ends."""
    made = Gate()
    yield made
    made.open.set()


def seen_of(record: Record) -> tuple[list[str], list[str]]:
    """The functions of this file: in a report's stack, and in a flame graph's."""
    captured, key = capture.capture_stack(record), stack_keys.sample_stack(record)
    frames: list[tuple[str, str]] = (
        [] if captured is None else [(f.filename, f.function) for f in captured.stack]
    )
    codes = [
        (code.filename, code.function)
        if isinstance(code, Frame)
        else (code.code.co_filename, code.code.co_name)
        for code, _ in (key.key if key is not None else ())
    ]
    return tuple([name for file, name in each if file == __file__] for each in (frames, codes))  # type: ignore[return-value]


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
