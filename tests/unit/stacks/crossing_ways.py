"""Threads that wait for tasks, and tasks that wait for threads, in all the ways there are."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import anyio
import anyio.from_thread
import anyio.to_thread
from asgiref.sync import async_to_sync, sync_to_async

from slowhound.core.record import Record
from slowhound.flames.sampling import stack_keys
from slowhound.frames.frames import Frame
from slowhound.stacks import capture
from tests.unit.stacks.doors import is_ours


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


def seen_of(record: Record) -> tuple[list[str], list[str]]:
    """The functions of this folder: in a report's stack, and in a flame graph's."""
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
    return tuple([name for file, name in each if is_ours(file)] for each in (frames, codes))  # type: ignore[return-value]
