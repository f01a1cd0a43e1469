"""The stack of an asyncio task follows what it awaits, in whichever way it does."""

from __future__ import annotations

import asyncio
import contextlib
import inspect
import threading
import types
from collections.abc import AsyncIterator, Generator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from asgiref.sync import ThreadSensitiveContext, async_to_sync, sync_to_async

from slowhound.frames.frames import Stack
from slowhound.stacks import asyncio_tasks
from tests.harness.waiting import eventually
from tests.unit.stacks.doors import (
    Await,
    Door,
    Loop,
    blocks,
    by_any_thread,
    deeper,
    directly,
    names,
    source_line,
)


# Each is given a door, and waits for it in one way.
async def by_a_task(door: Door) -> None:
    await asyncio.create_task(directly(door))


async def by_gather(door: Door) -> None:
    await asyncio.gather(deeper(door), directly(door))


async def by_gather_of_gathers(door: Door) -> None:
    await asyncio.gather(asyncio.gather(directly(door)))


async def by_gather_of_futures(door: Door) -> None:
    door.here += 1
    await asyncio.gather(door.future)


async def by_group(door: Door) -> None:
    async with asyncio.TaskGroup() as group:
        group.create_task(directly(door))
        group.create_task(directly(door))


async def by_wait(door: Door) -> None:
    await asyncio.wait([asyncio.ensure_future(directly(door))])


async def by_wait_for(door: Door) -> None:
    await asyncio.wait_for(directly(door), 60)


async def by_timeout(door: Door) -> None:
    async with asyncio.timeout(60):
        await directly(door)


async def by_shield(door: Door) -> None:
    await asyncio.shield(directly(door))


async def by_shield_of_a_future(door: Door) -> None:
    door.here += 1
    await asyncio.shield(door.future)


async def parts(door: Door) -> AsyncIterator[int]:
    yield 1
    await directly(door)
    yield 2


async def by_generator(door: Door) -> None:
    async for _ in parts(door):
        pass


async def by_anext(door: Door) -> None:
    generator = parts(door)
    await anext(generator)
    await anext(generator)


async def by_anext_with_a_default(door: Door) -> None:
    generator = parts(door)
    await anext(generator, None)
    await anext(generator, None)


async def by_closing_a_generator(door: Door) -> None:
    async def closes_slowly() -> AsyncIterator[int]:
        try:
            yield 1
        finally:
            await directly(door)

    generator = closes_slowly()
    await anext(generator)
    await generator.aclose()  # type: ignore[attr-defined]


class Awaitable:
    def __init__(self, door: Door) -> None:
        self.door = door

    def __await__(self) -> Generator[Any, Any, None]:
        return self.door.wait().__await__()


class GeneratorAwaitable(Awaitable):
    def __await__(self) -> Generator[Any, Any, None]:
        yield from directly(self.door).__await__()


async def by_awaitable(door: Door) -> None:
    await Awaitable(door)


async def by_generator_awaitable(door: Door) -> None:
    await GeneratorAwaitable(door)


@types.coroutine
def old_style(door: Door) -> Generator[Any, Any, None]:
    yield from directly(door).__await__()


async def by_old_style(door: Door) -> None:
    await old_style(door)


async def by_context_manager(door: Door) -> None:
    @contextlib.asynccontextmanager
    async def manager() -> AsyncIterator[None]:
        await directly(door)
        yield

    async with manager():
        pass


async def by_lock(door: Door) -> None:
    lock = asyncio.Lock()
    await lock.acquire()
    door.here += 1
    door.future.add_done_callback(lambda _: lock.release())
    await lock.acquire()


async def by_queue(door: Door) -> None:
    queue: asyncio.Queue[None] = asyncio.Queue()
    door.here += 1
    door.future.add_done_callback(lambda _: queue.put_nowait(None))
    await queue.get()


async def by_thread(door: Door) -> None:
    async with ThreadSensitiveContext():
        await sync_to_async(blocks)(door)


def back_again(door: Door) -> None:
    async_to_sync(directly)(door)


async def by_thread_and_back(door: Door) -> None:
    async with ThreadSensitiveContext():
        await sync_to_async(back_again)(door)


async def there(door: Door) -> None:
    await sync_to_async(blocks)(door)


def back_and_there(door: Door) -> None:
    async_to_sync(there)(door)


async def by_thread_and_back_and_there(door: Door) -> None:
    async with ThreadSensitiveContext():
        await sync_to_async(back_and_there)(door)


def pending(kind: str, count: int) -> str:
    return f"({kind} of {count}, {count} pending; the first of them)"


CHAINS: list[tuple[Await, list[str]]] = [
    (directly, ["wait"]),
    (deeper, ["directly", "wait"]),
    (by_a_task, ["directly", "wait"]),
    (by_gather, [pending("gather", 2), "deeper", "directly", "wait"]),
    (by_gather_of_gathers, [pending("gather", 1)] * 2 + ["directly", "wait"]),
    (by_gather_of_futures, [pending("gather", 1)]),
    (by_group, [pending("TaskGroup", 2), "directly", "wait"]),
    (by_wait, [pending("wait", 1), "directly", "wait"]),
    (by_wait_for, ["directly", "wait"]),
    (by_timeout, ["directly", "wait"]),
    (by_shield, ["directly", "wait"]),
    (by_shield_of_a_future, []),
    (by_generator, ["parts", "directly", "wait"]),
    (by_anext, ["parts", "directly", "wait"]),
    (by_anext_with_a_default, ["parts", "directly", "wait"]),
    (by_closing_a_generator, ["closes_slowly", "directly", "wait"]),
    (by_awaitable, ["wait"]),
    (by_generator_awaitable, ["__await__", "directly", "wait"]),
    (by_old_style, ["old_style", "directly", "wait"]),
    (by_context_manager, ["manager", "directly", "wait"]),
    (by_lock, []),
    (by_queue, []),
    (by_thread, ["blocks", "wait_in_thread"]),
    (by_any_thread, ["blocks", "wait_in_thread"]),
    (by_thread_and_back, ["back_again", "directly", "wait"]),
    (by_thread_and_back_and_there, ["back_and_there", "there", "blocks", "wait_in_thread"]),
]


@pytest.mark.parametrize(("way", "chain"), CHAINS, ids=lambda each: getattr(each, "__name__", ""))
def test_stack_reaches_from_the_coroutine_to_what_it_awaits(
    loop: Loop, way: Await, chain: list[str]
) -> None:
    """However a coroutine waits, its stack goes to the innermost line, and nowhere else."""
    others = [loop.start(directly), loop.start(by_gather, 2), loop.start(by_any_thread)]
    task = loop.start(way, 2 if way in (by_gather, by_group) else 1)
    if way in (by_thread_and_back, by_thread_and_back_and_there):
        # The coroutine may be at its door before the thread that asked for it waits for it.
        eventually(lambda: len(names(loop.stack(task))) > 2, "the thread waits, too")
    found = loop.stack(task)
    assert names(found) == [way.__name__, *chain]
    assert source_line(found, way.__name__).partition("(")[0].startswith(("await ", "async "))
    assert not any(each.done() for each in others)


def test_suspended_task_is_run_by_no_thread_and_one_in_a_thread_by_that(loop: Loop) -> None:
    """The thread is the one that runs the innermost frame, if any does."""
    waits, in_thread = loop.start(directly), loop.start(by_thread)
    back = loop.start(by_thread_and_back)
    eventually(lambda: asyncio_tasks.stack(waits, loop.ident)[2] is None, "it is suspended")
    assert asyncio_tasks.stack(in_thread, loop.ident)[2] not in (
        None,
        loop.ident,
        threading.get_ident(),
    )
    eventually(
        lambda: asyncio_tasks.stack(back, loop.ident)[2] is None, "the one of them is suspended"
    )
    assert not asyncio_tasks.is_running(waits)


def test_last_live_frame_is_that_of_the_innermost_line(loop: Loop) -> None:
    """Locals are read from it."""
    for way in (directly, by_gather, by_generator, by_thread, by_thread_and_back):
        found, live, _ = asyncio_tasks.stack(loop.start(way), loop.ident)
        assert live is not None
        last = [frame for frame in found if not frame.filename.startswith("<")][-1]
        assert (live.f_code.co_qualname, live.f_lineno) == (last.function, last.line) or (
            live.f_code.co_name == last.function
        )


def test_every_way_of_this_file_is_tested() -> None:
    """The table above has all the ways."""
    ways = {
        function
        for name, function in globals().items()
        if name.startswith("by_") and inspect.iscoroutinefunction(function)
    }
    assert ways <= {way for way, _ in CHAINS}


def test_cycle_of_awaits_ends() -> None:
    """Two futures that claim to wait for each other do not keep the reader."""

    class Odd(asyncio.Future[None]):
        _children: list[Any]

    async def circle() -> Stack:
        first, second = Odd(), Odd()
        first._children, second._children = [second], [first]

        async def waits() -> None:
            await first

        task = asyncio.ensure_future(waits())
        await asyncio.sleep(0)
        with ThreadPoolExecutor(1) as executor:
            found = await asyncio.get_running_loop().run_in_executor(
                executor, asyncio_tasks.stack, task, threading.get_ident()
            )
        task.cancel()
        return found[0]  # type: ignore[no-any-return]

    assert len(asyncio.run(circle())) <= 3
