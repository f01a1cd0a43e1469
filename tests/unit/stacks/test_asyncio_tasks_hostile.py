"""Objects of the application in an asyncio task's chain are read, and none of their code runs."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Callable, Coroutine, Iterator
from concurrent import futures
from typing import Any

import pytest

from slowhound.frames.frames import Stack
from slowhound.stacks import asyncio_tasks, executors

asked: list[str] = []


@pytest.fixture(autouse=True)
def nothing_is_asked() -> Iterator[None]:
    """Each test fails when code of the classes below has run in the reading thread."""
    asked.clear()
    yield
    assert asked == []


def note(what: str) -> None:
    if threading.current_thread().name == "reader":
        asked.append(what)


class Meta(type):
    """A metaclass with a property, and with an ``__eq__``."""

    @property
    def __name__(cls) -> str:  # type: ignore[override]
        note("metaclass __name__")
        return "async_generator_asend"

    def __eq__(cls, other: object) -> bool:
        note("metaclass __eq__")
        return cls is other

    def __hash__(cls) -> int:
        note("metaclass __hash__")
        return 7


class Nosy(metaclass=Meta):
    """Records all that is read of it."""

    def __getattribute__(self, name: str) -> Any:
        note(f"asked for {name}")
        return object.__getattribute__(self, name)

    def __getattr__(self, name: str) -> Any:
        note(f"asked for {name} that it has not")
        raise AttributeError(name)

    def __bool__(self) -> bool:
        note("asked whether it is true")
        return True

    def __call__(self, *_: object) -> None:
        pass


class Awaitable(Nosy):
    """An iterator of its own, with another object that may be what it waits for."""

    def __init__(self) -> None:
        self.holds = Nosy()

    def __await__(self) -> Awaitable:
        return self

    def __iter__(self) -> Awaitable:
        return self

    def __next__(self) -> None:
        pass


class NosyFuture(asyncio.Future[None]):
    def done(self) -> bool:
        note("done()")
        return super().done()

    @property
    def _children(self) -> None:
        note("_children")


class NosyTask(asyncio.Task[None]):
    def get_coro(self) -> Any:
        note("get_coro()")
        return super().get_coro()

    def get_loop(self) -> Any:
        note("get_loop()")
        return super().get_loop()


def read_stack(task: asyncio.Task[Any]) -> Stack:
    """The stack of a task of the running loop, as another thread sees it."""
    found: list[Stack] = []

    def reads() -> None:
        asyncio_tasks.is_running(task)
        found.append(asyncio_tasks.stack(task, main)[0])

    main = threading.get_ident()
    thread = threading.Thread(target=reads, name="reader")
    thread.start()
    thread.join()
    return found[0]


def seen(way: Callable[[], Coroutine[Any, Any, None]], kind: Any = asyncio.Task) -> list[str]:
    """The functions, and descriptions, in the stack of a task that waits in this way."""

    async def run() -> Stack:
        task = kind(way(), loop=asyncio.get_running_loop())
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        stack = read_stack(task)
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task
        return stack

    return [frame.function for frame in asyncio.run(run())]


async def by_awaitable() -> None:
    await Awaitable()


async def by_callback() -> None:
    future = asyncio.get_running_loop().create_future()
    future.add_done_callback(Nosy())
    await future


async def by_future() -> None:
    await NosyFuture()


async def by_wait_of_a_future() -> None:
    await asyncio.wait([NosyFuture()])


async def by_gather_of_a_future() -> None:
    await asyncio.gather(NosyFuture())


@pytest.mark.parametrize(
    "way",
    [by_awaitable, by_callback, by_future, by_wait_of_a_future, by_gather_of_a_future],
    ids=lambda way: way.__name__,
)
def test_what_is_awaited_is_not_called(way: Callable[[], Coroutine[Any, Any, None]]) -> None:
    """Not for its class, not for an attribute, not whether it is done."""
    assert seen(way)[0] == way.__name__
    assert seen(way, NosyTask)[0] == way.__name__


def test_group_of_futures_with_a_done_of_their_own_is_counted() -> None:
    """They are in the number of its members, though their ``done()`` is not called."""
    assert seen(by_wait_of_a_future)[1:] == [
        "wait",
        "_wait",
        "wait of 1, 1 pending; the first of them",
    ]


def test_file_that_is_called_as_one_of_asyncio_is_not_taken_for_it() -> None:
    """An application's ``.../asyncio-shop/tasks.py`` has its own ``self``."""
    source = "async def _wait_for_one(self): await sleep(60)"
    names: dict[str, Any] = {"sleep": asyncio.sleep}
    exec(compile(source, "/srv/asyncio-shop/tasks.py", "exec"), names)

    async def shop() -> None:
        await names["_wait_for_one"](Nosy())

    assert seen(shop) == ["shop", "_wait_for_one", "sleep"]


def test_file_that_is_called_as_that_of_pools_is_not_taken_for_it() -> None:
    """Nor an application's ``concurrent/futures/thread.py``."""
    source = "class _WorkItem:\n def run(self, callback): callback()"
    names: dict[str, Any] = {}
    exec(compile(source, "/srv/concurrent/futures/thread.py", "exec"), names)
    job: futures.Future[None] = futures.Future()
    work = names["_WorkItem"]()
    work.future = job
    found: list[Any] = []
    work.run(lambda: found.append(executors.thread_of(job)))
    assert found == [None]


def test_job_is_known_as_finished_by_its_state() -> None:
    """Its ``done()`` may be the application's, and takes a lock of the job."""

    class Job(futures.Future[None]):
        def done(self) -> bool:
            raise AssertionError("was run")

    job = Job()
    assert not executors.is_finished(job)
    job.set_result(None)
    assert executors.is_finished(job)
    assert not executors.is_finished(Nosy())
