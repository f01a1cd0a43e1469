"""Async views."""

from __future__ import annotations

import asyncio
import os
import time
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from asgiref.sync import async_to_sync, sync_to_async
from django.http import HttpRequest, HttpResponse, StreamingHttpResponse

from tests.site.gates import LONGEST, wait_at
from tests.site.models import Author
from tests.site.options import SCRATCH
from tests.site.views import gil
from tests.site.views.errors import OhNoes

PAUSE = 0.05


async def at_gate(gate: str) -> None:
    """`wait_at` for a coroutine."""
    (SCRATCH / f"{gate}.here.{os.getpid()}.task.{uuid.uuid4().hex}").touch()
    doors = SCRATCH / f"{gate}.open", SCRATCH / "all.open"
    end = time.monotonic() + LONGEST
    while not any(door.exists() for door in doors) and time.monotonic() < end:  # noqa: ASYNC110
        await asyncio.sleep(PAUSE)


async def quick(_request: HttpRequest) -> HttpResponse:
    return HttpResponse("quick")


async def current_id(_request: HttpRequest) -> HttpResponse:
    """Responds with the id that slowhound has for this request; "-" without slowhound."""
    try:
        from slowhound import Context
    except ImportError:
        return HttpResponse("-")
    return HttpResponse(str(Context.get("id", namespace="req")))


async def fails(_request: HttpRequest) -> HttpResponse:
    raise OhNoes("in a coroutine")  # mark: fails


async def cancels(_request: HttpRequest) -> HttpResponse:
    raise asyncio.CancelledError


async def parts(_request: HttpRequest, chunks: int, size: int) -> StreamingHttpResponse:
    async def body() -> AsyncIterator[bytes]:
        for _ in range(chunks):
            await asyncio.sleep(0)
            yield b"p" * size

    return StreamingHttpResponse(body())


async def parts_gated(_request: HttpRequest, gate: str) -> StreamingHttpResponse:
    async def gated_body() -> AsyncIterator[bytes]:
        yield b"before"
        await at_gate(gate)  # mark: gated body
        yield b"after"

    return StreamingHttpResponse(gated_body())


async def parts_break(_request: HttpRequest) -> StreamingHttpResponse:
    async def body() -> AsyncIterator[bytes]:
        yield b"one"
        yield b"two"
        raise OhNoes("the source is gone")  # mark: body breaks

    return StreamingHttpResponse(body())


async def parts_endless(_request: HttpRequest) -> StreamingHttpResponse:
    async def body() -> AsyncIterator[bytes]:
        yield b"begin"
        end = time.monotonic() + LONGEST
        while time.monotonic() < end:
            await asyncio.sleep(0.01)
            yield b"." * 1000

    return StreamingHttpResponse(body())


async def queried(_request: HttpRequest, count: int) -> HttpResponse:
    """Makes this many queries, half of them in child tasks."""

    async def one() -> int:
        return await Author.objects.acount()

    for _ in range(count // 2):
        await one()
    await asyncio.gather(*(one() for _ in range(count - count // 2)))
    return HttpResponse(str(count))


async def waits(_request: HttpRequest, gate: str) -> HttpResponse:
    await at_gate(gate)  # mark: waits
    return HttpResponse("waited")


async def blocks(_request: HttpRequest, gate: str) -> HttpResponse:
    await asyncio.sleep(0)
    wait_at(gate)  # mark: blocks
    return HttpResponse("blocked")


async def child_blocks(_request: HttpRequest, gate: str) -> HttpResponse:
    async def child() -> None:
        await asyncio.sleep(0)
        wait_at(gate)  # mark: child blocks

    await asyncio.gather(asyncio.sleep(0.001), child())
    return HttpResponse("blocked")


async def power(_request: HttpRequest, name: str) -> HttpResponse:
    """Computes in one call, without releasing the GIL, until the test makes a file."""
    await asyncio.sleep(0)
    steps = gil.powers(name)
    gil.begun(name)
    any(steps)  # mark: power
    # Still running when the hound runs: a task that has ended by then cannot be identified.
    gil.until_the_hound_has_run()
    return HttpResponse("raised")


EXECUTOR = ThreadPoolExecutor(1)


def in_executor(number: int, gate: str) -> str:
    wait_at(gate)  # mark: in executor
    return f"{number}"


async def queued(_request: HttpRequest, number: int, gate: str) -> HttpResponse:
    job = sync_to_async(in_executor, thread_sensitive=False, executor=EXECUTOR)
    return HttpResponse(await job(number, gate))  # mark: queued


# Ten ways to wait, each with its own functions and lines.


async def way(request: HttpRequest, name: str, gate: str) -> HttpResponse:
    await WAYS[name](gate)  # mark: way
    return HttpResponse(name)


async def straight_leaf(gate: str) -> None:
    await at_gate(gate)  # mark: straight


async def straight(gate: str) -> None:
    await straight_leaf(gate)


async def gather_leaf(gate: str) -> None:
    await at_gate(gate)  # mark: gather


async def by_gather(gate: str) -> None:
    await asyncio.gather(asyncio.sleep(0), gather_leaf(gate))


async def group_leaf(gate: str) -> None:
    await at_gate(gate)  # mark: group


async def by_group(gate: str) -> None:
    async with asyncio.TaskGroup() as group:
        group.create_task(asyncio.sleep(0))
        group.create_task(group_leaf(gate))


async def wait_for_leaf(gate: str) -> None:
    await at_gate(gate)  # mark: wait_for


async def by_wait_for(gate: str) -> None:
    await asyncio.wait_for(wait_for_leaf(gate), LONGEST)


async def shield_leaf(gate: str) -> None:
    await at_gate(gate)  # mark: shield


async def by_shield(gate: str) -> None:
    await asyncio.shield(shield_leaf(gate))


async def generator_leaf(gate: str) -> AsyncIterator[int]:
    yield 1
    await at_gate(gate)  # mark: generator


async def by_generator(gate: str) -> None:
    async for _ in generator_leaf(gate):
        pass


def thread_leaf(gate: str) -> None:
    wait_at(gate)  # mark: thread


async def by_thread(gate: str) -> None:
    await sync_to_async(thread_leaf)(gate)


def any_thread_leaf(gate: str) -> None:
    wait_at(gate)  # mark: any thread


async def by_any_thread(gate: str) -> None:
    await sync_to_async(any_thread_leaf, thread_sensitive=False, executor=WIDE)(gate)


async def back_leaf(gate: str) -> None:
    await at_gate(gate)  # mark: back


def there(gate: str) -> None:
    async_to_sync(back_leaf)(gate)


async def by_thread_and_back(gate: str) -> None:
    await sync_to_async(there)(gate)


async def future_leaf(gate: str) -> None:
    await asyncio.gather(asyncio.ensure_future(at_gate(gate)))  # mark: future


async def by_future(gate: str) -> None:
    task = asyncio.ensure_future(future_leaf(gate))
    await asyncio.wait([task])


WIDE = ThreadPoolExecutor(20)
WAYS: dict[str, Callable[[str], Awaitable[Any]]] = {
    "straight": straight,
    "gather": by_gather,
    "group": by_group,
    "wait_for": by_wait_for,
    "shield": by_shield,
    "generator": by_generator,
    "thread": by_thread,
    "any-thread": by_any_thread,
    "back": by_thread_and_back,
    "future": by_future,
}
