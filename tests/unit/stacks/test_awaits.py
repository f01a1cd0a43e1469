"""What a coroutine of another thread awaits is read without crashing the process."""

from __future__ import annotations

import subprocess
import sys
import types
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest

from slowhound.stacks import awaits

# A debugger's or coverage's trace function is called while an exception is thrown into the
# coroutine that waits; the other thread reads from it.
THROWN_INTO = """
import asyncio, sys, threading
from slowhound.stacks import awaits
class Iterator:
    THROW
    def __await__(self): return self
    def __iter__(self): return self
    def __next__(self): return None
    def __del__(self): read_awaited()
def read_awaited(*_):
    if thing is not None:
        seen.append(type(awaits.step(thing, task)[2]).__name__)
    return read_awaited
seen, thing, task = [], None, None
WAY
assert seen, "never read"
print(*set(seen))
"""
NO_THROW = "pass"
# It raises without a frame, which would keep the iterator.
THROW_IN_C = "throw = staticmethod(int)"
AS_COROUTINE = """
async def job(): await Iterator()
thing = job()
thing.send(None)
sys.settrace(read_awaited)
try: thing.throw(ValueError())
except (ValueError, TypeError): pass
sys.settrace(None)
thing = None
"""
AS_GENERATOR = AS_COROUTINE.replace("async def job(): await", "def job(): yield from")
AS_ASYNC_GENERATOR = """
async def job():
    await Iterator()
    yield
thing = job()
outer = thing.asend(None)
outer.send(None)
sys.settrace(read_awaited)
try: outer.throw(ValueError())
except (ValueError, TypeError): pass
sys.settrace(None)
thing = None
"""
AS_TASK = """
async def job(): await Iterator()
async def main():
    global thing, task
    thing = job()
    task = asyncio.ensure_future(thing)
    await asyncio.sleep(0)
    task.cancel()
    try: await task
    except (asyncio.CancelledError, TypeError): pass
    thing = None
asyncio.run(main())
"""


@pytest.mark.parametrize(
    ("way", "throw"),
    [
        (AS_COROUTINE, NO_THROW),
        (AS_GENERATOR, NO_THROW),
        (AS_ASYNC_GENERATOR, NO_THROW),
        (AS_TASK, THROW_IN_C),
    ],
    ids=["coroutine", "generator", "async-generator", "task-whose-iterator-is-freed"],
)
def test_coroutine_that_is_thrown_into_may_be_read(way: str, throw: str) -> None:
    """Python before 3.13 would read what it awaits from a place of its stack that is gone."""
    program = THROWN_INTO.replace("WAY", way).replace("THROW", throw)
    ran = subprocess.run(
        [sys.executable, "-c", program], check=False, capture_output=True, text=True, timeout=60
    )
    assert (ran.returncode, ran.stderr) == (0, "")
    assert set(ran.stdout.split()) <= {"NoneType", "Iterator"}


def test_awaited_object_of_what_is_suspended_is_found() -> None:
    """Coroutines, generators and asynchronous ones; of what has not begun or has ended, nothing."""

    @types.coroutine
    def stops() -> Iterator[None]:
        yield

    async def coroutine() -> None:
        await stops()

    async def generator() -> AsyncIterator[None]:
        await stops()
        yield

    first: Any = coroutine()
    inside, second = stops(), generator()
    assert awaits.step(first, None) == (first.cr_frame, True, None)
    first.send(None)
    asend: Any = second.asend(None)  # type: ignore[attr-defined]
    asend.send(None)
    for thing in (first, second):
        frame, running, awaited = awaits.step(thing, None)
        assert frame is not None
        assert not running
        assert type(awaited) is types.GeneratorType
    first.close()
    asend.close()
    assert awaits.step(first, None) == (None, False, None)
    assert awaits.step(inside, None)[1:] == (True, None)
