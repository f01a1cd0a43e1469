"""Work whose true profile is known: each function's share of the time, measured by itself."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from contextlib import contextmanager
from typing import Any

Share = dict[str, float]
_truth: Share = {}
_big = list(range(1_000_000))


@contextmanager
def known(name: str) -> Any:
    """Counts the time inside for the function called ``name``."""
    start = time.perf_counter()
    try:
        yield
    finally:
        _truth[name] = _truth.get(name, 0.0) + time.perf_counter() - start


def cpu(seconds: float) -> int:
    """Runs bytecode for about so long."""
    number = 0
    for each in range(int(seconds * 20e6)):
        number ^= each
    return number


# No library has functions of these names, so they can be found in the output of any tool.


def waits_long() -> None:
    time.sleep(0.03)


def waits_short() -> None:
    time.sleep(0.012)


def loops_long() -> None:
    cpu(0.02)


def loops_short() -> None:
    cpu(0.008)


def calls_long() -> None:
    sum(range(30_000_000))


def calls_short() -> None:
    sum(range(220_000))


def loops_as_short() -> None:
    cpu(0.005)


def searches_list() -> None:
    for _ in range(2):
        -1 in _big  # noqa: B015


def innocent() -> None:
    cpu(0.01)


def goes_deep(depth: int) -> None:
    if depth:
        goes_deep(depth - 1)
    else:
        cpu(0.015)


def goes_flat() -> None:
    cpu(0.01)


async def gathers() -> None:
    await asyncio.gather(asyncio.sleep(0.02), asyncio.sleep(0.03), asyncio.sleep(0.01))


async def computes() -> None:
    await asyncio.sleep(0)
    cpu(0.02)


def switches() -> None:
    time.sleep(0.03)  # gevent's


def blocks_the_hub() -> None:
    cpu(0.02)


CYCLES: dict[str, tuple[Callable[..., Any], ...]] = {
    "I/O": (waits_long, waits_short),
    "pure Python": (loops_long, loops_short),
    "mixed": (waits_short, loops_long, calls_short, loops_short),
    "one long C call": (calls_long, loops_long, waits_long),
    "5 ms C calls": (calls_short, loops_as_short),
    "operators": (searches_list, innocent),
    "recursion": (lambda: goes_deep(60), goes_flat),
    "asyncio gather": (gathers, computes),
    "gevent": (switches, blocks_the_hub),
}
# No sampler in the process can attribute time to these, so unsampled time counts as theirs.
UNSAMPLED = {"searches_list"}


def _name(function: Callable[..., Any]) -> str:
    return "goes_deep" if function.__name__ == "<lambda>" else function.__name__


def work(name: str, seconds: float) -> None:
    """Runs cycles of one scenario until the time is over."""
    end = time.perf_counter() + seconds
    while time.perf_counter() < end:
        for function in CYCLES[name]:
            with known(_name(function)):
                function()


async def work_async(name: str, seconds: float) -> None:
    """The same in an event loop."""
    end = time.perf_counter() + seconds
    while time.perf_counter() < end:
        for function in CYCLES[name]:
            with known(_name(function)):
                await function()


def run(name: str, seconds: float, tool: Callable[[], Any]) -> dict[str, Any]:
    """Runs one scenario with ``tool``, a context manager whose dict is filled at its end."""
    found: dict[str, Any] = {}

    def in_a_thread() -> None:
        with tool() as result:
            work(name, seconds)
        found.update(result)

    async def in_a_loop() -> None:
        with tool() as result:
            await work_async(name, seconds)
        found.update(result)

    if name == "asyncio gather":
        asyncio.run(in_a_loop())
    elif name == "gevent":
        import gevent

        gevent.spawn(in_a_thread).join()
    else:
        in_a_thread()
    whole = sum(_truth.values())
    found["truth"] = {function: time / whole for function, time in _truth.items()}
    return found
