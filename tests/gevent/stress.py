"""`python -m tests.gevent.stress`: reads stacks of greenlets that run, wait, end and are killed.

Each greenlet runs a function of its own name; says as JSON how many stacks were read, and those
that had another one's.
"""

from __future__ import annotations

from gevent import monkey

monkey.patch_all()

import json  # noqa: E402
import random  # noqa: E402
import sys  # noqa: E402
from collections.abc import Callable  # noqa: E402

import gevent  # noqa: E402
import greenlet  # noqa: E402

from slowhound.core import ids  # noqa: E402
from slowhound.core.in_flight import in_flight, snapshot_in_flight  # noqa: E402
from slowhound.core.record import Record  # noqa: E402
from slowhound.stacks.capture import capture_stack  # noqa: E402
from slowhound.system.os_thread import OsThread  # noqa: E402

# The least of each; how often a reader meets a greenlet that runs is for the system's scheduler.
STACKS = 50_000
RUNNING = 100
ENDED = 1000
AT_ONCE = 30
KINDS = 10
OWN = """
def own_{number}(step, depth):
    if depth:
        return own_{number}(step, depth - 1)
    for _ in range(3):
        step()
"""
# For each stack the request's path, by whether it was running.
seen: dict[bool, list[str]] = {True: [], False: []}
wrong: list[list[str]] = []


def step() -> None:
    sum(range(random.randrange(300)))
    gevent.sleep(0)


def own(number: int) -> Callable[..., None]:
    space: dict[str, Callable[..., None]] = {}
    exec(OWN.format(number=number), space)
    return space[f"own_{number}"]


def carry(function: Callable[..., None]) -> None:
    import weakref

    record = Record("GET", f"/{function.__name__}/", 0.0)
    record.greenlet = weakref.ref(greenlet.getcurrent())
    in_flight[record.number] = record
    try:
        function(step, random.randrange(20))
    finally:
        del in_flight[record.number]
        record.done = True


def read(wait: Callable[[float], bool]) -> None:
    while not wait(0):
        for record in snapshot_in_flight():
            found = capture_stack(record)
            if found is not None:
                seen[found.thread is not None].append(record.path)
                names = {frame.function for frame in found.stack}
                owns = {name for name in names if name.startswith("own_")}
                if not owns <= {record.path.strip("/")}:
                    wrong.append([record.path, *owns])


def stacks() -> int:
    return sum(map(len, seen.values()))


def main() -> None:
    ids.use_os_threads()
    sys.setswitchinterval(1e-6)
    functions = [own(number) for number in range(KINDS)]
    readers = [OsThread(read), OsThread(read)]
    for reader in readers:
        reader.start()
    ended = 0
    while all(reader.alive() for reader in readers) and (
        stacks() < STACKS or len(seen[True]) < RUNNING or ended < ENDED
    ):
        batch = [gevent.spawn(carry, random.choice(functions)) for _ in range(AT_ONCE)]
        gevent.sleep(0)
        batch[0].kill(block=False)
        gevent.joinall(batch)
        ended += len(batch)
    alive = [reader.alive() for reader in readers]
    for reader in readers:
        reader.stop(10.0)
    counts = {"stacks": stacks(), "running": len(seen[True]), "ended": ended, "wrong": wrong}
    print(json.dumps({**counts, "alive": alive}))


if __name__ == "__main__":
    main()
