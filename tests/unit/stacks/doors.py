"""Coroutines that wait at a door, in an event loop of their own thread."""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import Callable, Coroutine
from typing import Any

from asgiref.sync import sync_to_async

from slowhound.frames.frames import Stack
from slowhound.stacks import asyncio_tasks
from tests.harness.waiting import eventually

HERE = os.path.join(os.path.dirname(__file__), "")
Await = Callable[["Door"], Coroutine[Any, Any, object]]


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


def names(stack: Stack) -> list[str]:
    """The functions of this folder in a stack, and the descriptions in the place of others."""
    return [
        frame.function if is_ours(frame.filename) else f"({frame.function})"
        for frame in stack
        if is_ours(frame.filename) or frame.filename.startswith("<")
    ]


def is_ours(filename: str) -> bool:
    """True for the tests of stacks."""
    return filename.startswith(HERE)


def source_line(stack: Stack, function: str) -> str:
    """The text of the line at which a function of this folder is."""
    ((filename, line),) = {(f.filename, f.line) for f in stack if f.function == function}
    with open(filename) as source:
        return source.read().splitlines()[line - 1].strip()


async def directly(door: Door) -> None:
    await door.wait()


async def deeper(door: Door) -> None:
    await directly(door)


def blocks(door: Door) -> None:
    door.wait_in_thread()


async def by_any_thread(door: Door) -> None:
    await sync_to_async(blocks, thread_sensitive=False)(door)
