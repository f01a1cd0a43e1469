"""Work that applications do in Python: frames, classes, threads, garbage and forks."""

from __future__ import annotations

import ast
import asyncio
import gc
import itertools
import multiprocessing
import os
import signal
import sys
import threading
import time
from collections.abc import Callable
from typing import Any

import waits
from kinds import Kind

_switching = threading.Lock()
SOURCE = "\n".join(f"def f{i}(x):\n    return [y * {i} for y in range(x)]" for i in range(100))
DEPTH = 900


def sort(n: int) -> int:
    return sum(sorted(range(3000), key=lambda each: -each)[0] for _ in range(n))  # noqa: FURB192


def classes(n: int) -> int:
    """Makes a class with a method and calls that, ``n`` times."""
    total = 0
    for number in range(n):
        made: Any = type(f"C{number}", (), {"number": lambda self, number=number: number})
        total += made().number()
    return total


def execute(n: int) -> int:
    """Compiles and runs a generator."""
    space: dict[str, Any] = {"total": 0}
    for _ in range(n):
        with waits.compiling():
            exec("def f(x):\n  return sum(y for y in range(x))\ntotal += f(300)", space)
    return int(space["total"])


def recursion(n: int) -> int:
    """Calls itself 900 times, near the default limit of 1,000."""

    def down(depth: int) -> int:
        return 1 + down(depth - 1) if depth else 0

    return sum(down(DEPTH) for _ in range(n))


def coroutines(n: int) -> int:
    """Chains of coroutines, five at a time, in a new event loop."""

    async def chain(depth: int) -> int:
        if depth:
            return 1 + await chain(depth - 1)
        await asyncio.sleep(0)
        return 0

    async def all_of_them() -> int:
        return sum([sum(await asyncio.gather(*map(chain, [40] * 5))) for _ in range(n)])

    return asyncio.run(all_of_them())


def threads(n: int) -> int:
    """Short-lived threads; one whose signal mask is not empty makes the result wrong."""
    ran: list[int] = []

    def run() -> None:
        ran.append(1 + 1000 * len(signal.pthread_sigmask(signal.SIG_BLOCK, ())))

    for _ in range(n):
        batch = [threading.Thread(target=run) for _ in range(5)]
        for thread in batch:
            thread.start()
        for thread in batch:
            thread.join()
    return sum(ran)


class Cycle:
    """Garbage with a finalizer, which runs Python code wherever a collection happens."""

    def __init__(self, ended: Callable[[], object]) -> None:
        self.itself = self
        self.ended = ended

    def __del__(self) -> None:
        sum(each for each in range(20))
        self.ended()


def finalizers(n: int) -> int:
    """Cycles, each of which must be finalized once."""
    ended: list[int] = []
    deadline = time.monotonic() + 30
    for _ in range(n):
        for _ in range(200):
            Cycle(lambda: ended.append(1))
        gc.collect()
    # While another thread is collecting, collect() returns at once.
    while len(ended) < 200 * n and time.monotonic() < deadline:
        time.sleep(0.01)
        gc.collect()
    return len(ended)


def parse(n: int) -> int:
    """Parses a long source while garbage with finalizers is collected; must never fail."""
    found = 0
    for _ in range(n):
        for _ in range(300):
            Cycle(int)
        with waits.compiling():
            found += len(ast.parse(SOURCE).body)
    return found


def fork(n: int) -> int:
    """Children that compute and exit; how many did so with the right exit code."""
    right = 0
    for _ in range(n):
        pid = os.fork()
        if pid == 0:
            try:
                made = sort(3) + classes(20) + execute(3)
                os._exit(7 if made == 3 * 2999 + 190 + 3 * 44850 else 8)
            finally:
                os._exit(9)
        _, status = os.waitpid(pid, 0)
        right += status == 7 << 8
    return right


def square(n: int) -> int:
    return n * n


def pool(n: int) -> int:
    """One call in a pool of one forked process."""
    with multiprocessing.get_context("fork").Pool(1) as made:
        given = made.apply(square, (n,))
        # Leaving the block would send SIGTERM, for which Gunicorn has a handler in the child, too.
        made.close()
        made.join()
    return int(given)


def interval(n: int) -> int:
    """Sets the switch interval for ``n`` milliseconds, as an application may; 1 if it was kept."""
    wanted = (0.0002, 0.02, 1.0)[n % 3]
    with _switching:
        before = sys.getswitchinterval()
        sys.setswitchinterval(wanted)
        end = time.monotonic() + n / 1000
        while time.monotonic() < end:
            sort(1)
        stayed = abs(sys.getswitchinterval() - wanted) < 1e-5
        sys.setswitchinterval(before)
    return int(stayed)


_number = itertools.count(100_000_000)


def locks(n: int) -> int:
    """Waits for ``n`` milliseconds, in one of several ways, for what another thread holds."""
    return waits.wait(n, next(_number))


# A kind that releases the GIL on each pass waits up to 5 ms for it each time: it has fixed sizes.
KINDS = (
    Kind("sort", sort, lambda n: 2999 * n, passes=20),
    Kind("classes", classes, lambda n: n * (n - 1) // 2, passes=500),
    Kind("exec", execute, lambda n: 44850 * n, passes=100),
    Kind("recursion", recursion, lambda n: DEPTH * n, passes=50),
    Kind("coroutines", coroutines, lambda n: 200 * n, (100, 300)),
    Kind("threads", threads, lambda n: 5 * n, (20, 60)),
    Kind("finalizers", finalizers, lambda n: 200 * n, passes=5),
    Kind("parse", parse, lambda n: 100 * n, passes=5, weight=8),
    Kind("fork", fork, lambda n: n, (2, 6)),
    Kind("pool", pool, square, (1, 100), weight=2),
    Kind("interval", interval, lambda n: 1, (300, 800), weight=2),
    Kind("locks", locks, lambda n: n, (600, 1100), weight=8),
)
