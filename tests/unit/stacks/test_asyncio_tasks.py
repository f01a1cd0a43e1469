"""The stack of an asyncio task, read from another thread: from its coroutine to the last await."""

from __future__ import annotations

import asyncio
import contextlib
import inspect
import threading
import time
import types
from collections.abc import AsyncIterator, Callable, Coroutine, Generator, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from asgiref.sync import ThreadSensitiveContext, async_to_sync, sync_to_async

from slowhound.core.in_flight import current_record
from slowhound.core.record import Record
from slowhound.frames.frames import Stack
from slowhound.stacks import asyncio_tasks, hops
from tests.harness.waiting import eventually

Await = Callable[["Door"], Coroutine[Any, Any, object]]
READS = 3000


class Door:
    """What coroutines and threads wait for; `here` counts those who do."""

    def __init__(self) -> None:
        self.loop = asyncio.get_running_loop()
        self.future: asyncio.Future[None] = self.loop.create_future()
        self.event = threading.Event()
        self.here = 0

    async def wait(self) -> None:
        self.here += 1
        await self.future

    def wait_in_thread(self) -> None:
        self.here += 1
        assert self.event.wait(30)

    def open(self) -> None:
        self.event.set()
        self.let_in()

    def let_in(self) -> None:
        """Lets those go on who await it, and keeps those who block."""
        self.loop.call_soon_threadsafe(self._let_go)

    def _let_go(self) -> None:
        if not self.future.done():
            self.future.set_result(None)


class Loop:
    """An event loop in a thread of its own."""

    def __init__(self) -> None:
        self.loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self.loop.run_forever)
        self._thread.start()
        self.ident = self._thread.ident or 0
        self.doors: list[Door] = []

    def call(self, function: Callable[[], Any]) -> Any:
        """What `function` returns in the loop's thread."""

        async def run() -> Any:
            return function()

        return asyncio.run_coroutine_threadsafe(run(), self.loop).result(10)

    def door(self) -> Door:
        """A door that is opened when the test ends, if not before."""
        door: Door = self.call(Door)
        self.doors.append(door)
        return door

    def start(self, coroutine: Await, visitors: int = 1) -> asyncio.Task[Any]:
        """The task of `coroutine`, which has come as far as its door."""
        door = self.door()
        task: asyncio.Task[Any] = self.call(lambda: self.loop.create_task(coroutine(door)))
        eventually(lambda: door.here >= visitors, "the task waits at its door")
        self.call(lambda: None)  # and the loop's turn in which it came there is over
        return task

    def stack(self, task: asyncio.Task[Any]) -> Stack:
        return asyncio_tasks.stack(task, self.ident)[0]

    def close(self) -> None:
        for door in self.doors:
            door.open()
        left = [t for t in asyncio.all_tasks(self.loop) if not t.done()]
        for task in left:
            eventually(task.done, f"{task} ends")
        self.loop.call_soon_threadsafe(self.loop.stop)
        self._thread.join()
        self.loop.run_until_complete(self.loop.shutdown_asyncgens())
        self.loop.run_until_complete(self.loop.shutdown_default_executor())
        self.loop.close()


@pytest.fixture
def loop() -> Iterator[Loop]:
    running = Loop()
    yield running
    running.close()


def names(stack: Stack) -> list[str]:
    """The functions of this file in a stack, and the descriptions in the place of others."""
    return [
        frame.function if frame.filename == __file__ else f"({frame.function})"
        for frame in stack
        if frame.filename == __file__ or frame.filename.startswith("<")
    ]


def source_line(stack: Stack, function: str) -> str:
    """The text of the line at which a function of this file is."""
    (line,) = {f.line for f in stack if f.function == function}
    with open(__file__) as source:
        return source.read().splitlines()[line - 1].strip()


# Each is given a door, and waits for it in one way.


async def directly(door: Door) -> None:
    await door.wait()


async def deeper(door: Door) -> None:
    await directly(door)


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


def blocks(door: Door) -> None:
    door.wait_in_thread()


async def by_thread(door: Door) -> None:
    async with ThreadSensitiveContext():
        await sync_to_async(blocks)(door)


async def by_any_thread(door: Door) -> None:
    await sync_to_async(blocks, thread_sensitive=False)(door)


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


def test_task_that_runs_shows_all_that_it_called(loop: Loop) -> None:
    """While a coroutine blocks its loop, its stack goes into what it called."""

    async def outer(door: Door) -> None:
        await inner(door)

    async def inner(door: Door) -> None:
        await door.wait()
        blocks(door)

    waits, task = loop.start(directly), loop.start(outer)
    loop.doors[-1].let_in()
    eventually(lambda: loop.doors[-1].here == 2, "the coroutine blocks the loop")
    found, _, ident = asyncio_tasks.stack(task, loop.ident)
    assert names(found) == ["outer", "inner", "blocks", "wait_in_thread"]
    assert ident == loop.ident
    assert asyncio_tasks.is_running(task)
    assert names(loop.stack(waits)) == ["directly", "wait"]


def test_of_several_the_one_that_runs_is_shown(loop: Loop) -> None:
    """When a child of gather blocks the loop, the parent's stack shows that child."""

    async def blocking(door: Door) -> None:
        await door.wait()
        blocks(door)

    async def parent(door: Door) -> None:
        await asyncio.gather(directly(other), blocking(door))

    other = loop.door()
    task = loop.start(parent)
    loop.doors[-1].let_in()
    eventually(lambda: loop.doors[-1].here == 2, "the second child blocks the loop")
    found, _, ident = asyncio_tasks.stack(task, loop.ident)
    note = "(gather of 2, 2 pending; the one that runs)"
    assert names(found) == ["parent", note, "blocking", "blocks", "wait_in_thread"]
    assert ident == loop.ident


def test_request_runs_while_one_of_its_child_tasks_does(loop: Loop) -> None:
    """The request that blocks the loop is known by the record in the task's context."""

    async def blocking(door: Door) -> None:
        await door.wait()
        blocks(door)

    async def request(door: Door) -> None:
        current_record.set(Record("GET", "/", 0.0))
        await asyncio.gather(blocking(door))

    async def another(door: Door) -> None:
        current_record.set(Record("GET", "/", 0.0))
        await asyncio.gather(directly(door))

    outside, other, task = loop.start(directly), loop.start(another), loop.start(request)
    assert not asyncio_tasks.is_running(task)
    loop.doors[-1].let_in()
    eventually(lambda: loop.doors[-1].here == 2, "the child blocks the loop")
    assert asyncio_tasks.is_running(task)
    assert not asyncio_tasks.is_running(other)
    assert not asyncio_tasks.is_running(outside)


def test_children_that_have_ended_are_left_out(loop: Loop) -> None:
    """Of a group the first that is still pending represents all, the listener none."""

    async def quick() -> None:
        pass

    async def parent(door: Door) -> None:
        await asyncio.gather(quick(), quick(), directly(door))

    assert names(loop.stack(loop.start(parent))) == [
        "parent",
        "(gather of 3, 1 pending; the first of them)",
        "directly",
        "wait",
    ]


def test_group_whose_children_have_all_ended_ends_the_chain(loop: Loop) -> None:
    """Between the end of the last child and the next step of its parent nothing is pending."""
    seen: list[Stack] = []

    async def quick() -> None:
        pass

    async def parent(door: Door) -> None:
        children = [asyncio.ensure_future(quick()) for _ in range(2)]
        # Called right after the last child has ended, and before gather's own callback.
        children[-1].add_done_callback(lambda _: seen.append(loop.stack(me)))
        me = asyncio.current_task()
        assert me is not None
        await asyncio.gather(*children)
        await door.wait()

    loop.start(parent)
    assert [names(each) for each in seen] == [["parent", "(gather of 2, 0 pending)"]]


def test_listener_for_the_client_does_not_represent_a_request(loop: Loop) -> None:
    """Django's handler waits for two tasks, and only one of them does the work."""

    async def listen_for_disconnect(door: Door) -> None:
        await door.wait()

    async def handler(door: Door) -> None:
        await asyncio.wait(
            [asyncio.ensure_future(each(door)) for each in (listen_for_disconnect, directly)]
        )

    found = names(loop.stack(loop.start(handler, 2)))
    assert found == ["handler", "(wait of 2, 1 pending; the first of them)", "directly", "wait"]


def test_job_in_the_queue_of_a_full_executor_says_so(loop: Loop) -> None:
    """A job that waits behind others has no thread, and its stack says what it waits for."""

    async def with_own_executor(door: Door) -> None:
        await sync_to_async(blocks, thread_sensitive=False, executor=executor)(door)

    with ThreadPoolExecutor(1) as executor:
        first = loop.start(with_own_executor)
        second = loop.start(with_own_executor, 0)
        eventually(lambda: executor._work_queue.qsize() == 1, "one job is queued")
        assert names(loop.stack(first))[-2:] == ["blocks", "wait_in_thread"]
        name, note = names(loop.stack(second))
        line = next(f.line for f in loop.stack(first) if f.function == "wait_in_thread")
        assert name == "with_own_executor"
        assert note.startswith("(waits for a thread of its executor; its only thread is at ")
        assert note.endswith(f"test_asyncio_tasks.py:{line}:wait_in_thread)")
        loop.doors[0].open()
        eventually(lambda: loop.doors[1].here, "the second has its thread")
        assert names(loop.stack(second))[-2:] == ["blocks", "wait_in_thread"]
        for door in loop.doors:
            door.open()


def test_job_of_a_plain_pool_shows_its_thread(loop: Loop) -> None:
    """``to_thread`` and ``run_in_executor`` go on in the frames of the thread that works."""

    async def to_thread(door: Door) -> None:
        await asyncio.to_thread(blocks, door)

    async def in_pool(door: Door) -> None:
        await asyncio.get_running_loop().run_in_executor(pool, blocks, door)

    with ThreadPoolExecutor(2) as pool:
        by_default, *pooled = [loop.start(each) for each in (to_thread, in_pool, in_pool)]
        eventually(lambda: all(door.here for door in loop.doors), "all of them work")
        third = loop.start(in_pool, 0)
        assert names(loop.stack(by_default)) == ["to_thread", "blocks", "wait_in_thread"]
        for each in pooled:
            assert names(loop.stack(each)) == ["in_pool", "blocks", "wait_in_thread"]
        eventually(lambda: pool._work_queue.qsize() == 1, "one job is queued")
        name, note = names(loop.stack(third))
        assert name == "in_pool"
        assert "its executor; all 2 are at" in note
        assert note.count("wait_in_thread") == 2
        for door in loop.doors:
            door.open()


def test_job_that_is_done_waits_for_its_loop(loop: Loop) -> None:
    """With the loop blocked, a thread's result is not fetched: no thread is what is missing."""
    task = loop.start(by_any_thread)
    blocker = loop.door()
    loop.loop.call_soon_threadsafe(blocks, blocker)
    eventually(lambda: blocker.here, "the loop is blocked")
    loop.doors[0].event.set()
    said = f"({hops.WAITS_FOR_ITS_LOOP})"
    eventually(lambda: names(loop.stack(task))[-1] == said, said)
    blocker.event.set()


def test_task_that_has_ended_has_no_stack(loop: Loop) -> None:
    """Nothing is left of it, and no other task is shown."""
    task = loop.start(directly)
    loop.doors[0].open()
    eventually(task.done, "the task ends")
    assert asyncio_tasks.stack(task, loop.ident) == ((), None, None)


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


def test_short_tasks_are_read_while_they_end(loop: Loop) -> None:  # noqa: C901
    """Thousands of reads beside tasks that end at once: no error, and no frame of another task."""
    stop = threading.Event()
    running: dict[str, asyncio.Task[None]] = {}

    async def red() -> None:
        await red_step()

    async def red_step() -> None:
        await asyncio.gather(red_leaf(), red_leaf())

    async def red_leaf() -> None:
        await asyncio.sleep(0)

    async def blue() -> None:
        async with asyncio.TaskGroup() as group:
            group.create_task(blue_leaf())

    async def blue_leaf() -> None:
        await sync_to_async(blue_thread, thread_sensitive=False)()

    def blue_thread() -> None:
        pass

    async def green() -> None:
        async for _ in green_parts():
            await asyncio.wait_for(asyncio.shield(green_leaf()), 10)

    async def green_parts() -> AsyncIterator[int]:
        await asyncio.sleep(0)
        yield 1

    async def green_leaf() -> None:
        await asyncio.sleep(0)

    async def traffic(function: Callable[[], Coroutine[Any, Any, None]]) -> None:
        while not stop.is_set():
            task = asyncio.ensure_future(function())
            running[function.__name__] = task
            await task

    ends = [
        asyncio.run_coroutine_threadsafe(traffic(each), loop.loop) for each in (red, blue, green)
    ]
    eventually(lambda: len(running) == 3, "all have begun")
    seen: dict[str, set[str]] = {"red": set(), "blue": set(), "green": set()}
    end = time.monotonic() + 30
    reads = 0
    # Until each was seen inside: on a busy machine the threads take their turns slowly.
    try:
        while time.monotonic() < end and (
            reads < READS or not all(len(each) >= 2 for each in seen.values())
        ):
            for colour, task in list(running.items()):
                reads += 1
                found, _, _ = asyncio_tasks.stack(task, loop.ident)
                seen[colour] |= {frame.function for frame in found if frame.filename == __file__}
    finally:
        stop.set()
    for each in ends:
        each.result(10)
    for colour, functions in seen.items():
        assert len(functions) >= 2, seen
        assert all(name.startswith(colour) for name in functions), seen
    assert reads >= READS


def test_every_way_of_this_file_is_tested() -> None:
    """The table above has all the ways."""
    ways = {
        function
        for name, function in globals().items()
        if name.startswith("by_") and inspect.iscoroutinefunction(function)
    }
    assert ways <= {way for way, _ in CHAINS}
