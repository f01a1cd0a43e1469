"""The stack of an asyncio task, read from another thread: from its coroutine to the last await."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import AsyncIterator, Callable, Coroutine
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from asgiref.sync import sync_to_async

from slowhound.core.in_flight import current_record
from slowhound.core.record import Record
from slowhound.frames.frames import Stack
from slowhound.stacks import asyncio_tasks, hops
from tests.harness.waiting import eventually
from tests.unit.stacks.doors import Door, Loop, blocks, by_any_thread, directly, names

READS = 3000


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
        assert note.endswith(f"doors.py:{line}:wait_in_thread)")
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
