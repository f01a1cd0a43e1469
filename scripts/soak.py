"""Tries to break the rule that a stack is never dumped from running bytecode.

A victim process runs the real hound and dead man's switch beside threads that do what crashed
CPython when a dump interrupted it (sorts with a key function, classes, generators, exec), threads
that hold the GIL in C for 0.3 to 3 s, and forks. Meanwhile this process stops and continues it,
looks at it as a neighbour does, and where it may, throttles its CPU through a cgroup. A crash of
the victim, or of one of its children, fails the run; so does a dump of a thread that never held
the GIL.

    python scripts/soak.py --minutes 10 --mode threads
    python scripts/soak.py --minutes 10 --mode gevent

The figures of past runs stand in docs/gil.md.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import platform
import random
import re
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

# Seconds: around the timer's threshold of 1, and long enough for a neighbour to look.
HOLDS = (0.3, 0.7, 0.9, 0.97, 1.0, 1.03, 1.1, 1.4, 1.6, 2.0, 3.0)
QUOTA = Path("/sys/fs/cgroup/cpu")


# --- the victim -----------------------------------------------------------------------------------


class Hog:
    """Holds the GIL in one C call for about so many seconds of CPU."""

    PROBE = 8_000

    def __init__(self) -> None:
        self.pattern = re.compile(r"\s+$")  # quadratic for white space that is not at the end
        took = []
        for _ in range(5):
            start = time.thread_time()
            self.pattern.sub("", " " * self.PROBE + "x")
            took.append(time.thread_time() - start)
        self.took = min(took)

    def hold(self, seconds: float) -> None:
        """One call that takes so long."""
        length = round(self.PROBE * (seconds / self.took) ** 0.5)
        self.pattern.sub("", " " * length + "x")


def bytecode(stop: Callable[[], bool], pause: Callable[[], None]) -> None:
    """What crashed CPython up to 3.13 when a dump interrupted it."""
    while not stop():
        sorted(range(3000), key=lambda each: -each)
        for number in range(50):
            type(f"C{number}", (), {"m": lambda self: self})
        sum(each for each in (item * 2 for item in range(2000)))
        exec("def f(x):\n return [y for y in range(x)]\nf(500)", {})
        pause()


def victim(mode: str, seconds: float, folder: str) -> None:
    """Runs for so long and prints what it saw."""
    if mode == "gevent":
        from gevent import monkey

        monkey.patch_all()
    from django.conf import settings

    settings.configure(SLOWHOUND={"DIR": folder}, SECRET_KEY="soak")
    import django

    django.setup()
    from slowhound import recorder
    from slowhound.config import load

    active = recorder.start(load({"DIR": folder, "SLOW_AFTER": 0.5, "STREAM": None}))
    assert active is not None
    seen = watch_dumps(active.deadman)
    end = time.monotonic() + seconds
    hogs, crashed = run_victim(mode, active, lambda: time.monotonic() > end)
    innocent = sum(count for thread, count in seen.items() if thread not in hogs)
    print(
        json.dumps(
            {
                "dumps": sum(seen.values()),
                "innocent": innocent,
                "crashed_children": crashed,
                "hogs": sorted(hogs),
            }
        )
    )
    sys.stdout.flush()
    os._exit(0)


def watch_dumps(deadman: object) -> Counter[int]:
    """Counts each dump when it is first read, by thread."""
    seen: Counter[int] = Counter()
    known: set[tuple[int, float]] = set()
    original = deadman.read_all  # type: ignore[attr-defined]

    def read_all() -> dict[int, Any]:
        found: dict[int, Any] = original()
        proofs = {(thread, dump.taken) for thread, dump in found.items() if dump.by == "thread"}
        seen.update(thread for thread, _ in proofs - known)
        known.update(proofs)
        return found

    deadman.read_all = read_all  # type: ignore[attr-defined]
    return seen


def run_victim(mode: str, active: object, stop: Callable[[], bool]) -> tuple[set[int], int]:
    """Starts all threads, forks now and then; the ids of the hogs, and crashed children."""
    hog, hogs = Hog(), set[int]()

    def request(work: Callable[[], None]) -> Callable[[], None]:
        def carried() -> None:
            record = active.begin("GET", "/soak/")  # type: ignore[attr-defined]
            work()
            active.finish(record)  # type: ignore[attr-defined]

        return carried

    def hold() -> None:
        hogs.add(threading.get_native_id())
        while not stop():
            request(lambda: hog.hold(random.choice(HOLDS)))()
            time.sleep(random.random() * 0.1)

    def compute() -> None:
        pause = (lambda: time.sleep(0)) if mode == "gevent" else (lambda: None)
        request(lambda: bytecode(stop, pause))()

    work = (hold, hold, compute, compute, compute)
    threads = [threading.Thread(target=each) for each in work]
    for thread in threads:
        thread.start()
    crashed = 0
    while not stop():
        time.sleep(1.5)
        crashed += fork_one(hog)
    for thread in threads:
        thread.join()
    return hogs, crashed


def fork_one(hog: Hog) -> int:
    """A child that computes and holds the GIL for a while; 1 when it crashed."""
    pid = os.fork()
    if pid == 0:
        count = iter(range(3))
        bytecode(lambda: next(count, None) is None, lambda: None)
        pow(3, 50_000)
        os._exit(0)
    _, status = os.waitpid(pid, 0)
    return int(status != 0)


# --- who torments it ------------------------------------------------------------------------------


@contextlib.contextmanager
def throttle(pid: int) -> Iterator[Callable[[bool], None]]:
    """A function that takes four fifths of a CPU from the process, or gives them back."""
    group = QUOTA / f"slowhound-soak-{pid}"
    try:
        group.mkdir()
        (group / "cpu.cfs_period_us").write_text("100000")
        (group / "tasks").parent.joinpath("cgroup.procs").write_text(str(pid))
    except OSError:
        yield lambda on: None
        return
    try:
        yield lambda on: _write(group / "cpu.cfs_quota_us", "20000" if on else "-1")
    finally:
        with contextlib.suppress(OSError):
            group.rmdir()


def _write(path: Path, text: str) -> None:
    with contextlib.suppress(OSError):
        path.write_text(text)


def neighbour(process: subprocess.Popen[str], folder: str, seen: Counter[int]) -> None:
    """Looks at the victim as Gunicorn's arbiter does at a worker, only more often."""
    from slowhound import late
    from slowhound.boxes import read

    late.remote.stacks = lambda pid, python: {}  # by signal only
    while process.poll() is None:
        time.sleep(0.2)
        for path in Path(folder, "boxes").glob(f"{process.pid}-*.box"):
            state = read(path.read_bytes())
            if state is not None and late.late_by(state) > late.LATE:
                seen.update(late.stacks(str(path), state).keys())


def torment(process: subprocess.Popen[str], seconds: float) -> tuple[int, int]:
    """Stops, continues and throttles the victim until it ends; how often each."""
    stops = throttled = 0
    end = time.monotonic() + seconds * 1.5 + 60
    with throttle(process.pid) as slow:
        while process.poll() is None and time.monotonic() < end:
            time.sleep(2.1)
            process.send_signal(signal.SIGSTOP)
            time.sleep(1.2)
            process.send_signal(signal.SIGCONT)
            stops += 1
            if stops % 3 == 0:
                throttled += 1
                slow(True)
                time.sleep(2)
                slow(False)
    return stops, throttled


def main() -> int:
    """Runs victims one after the other; 1 when one crashed or an innocent thread was dumped."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--minutes", type=float, default=10.0)
    parser.add_argument("--mode", choices=("threads", "gevent"), default="threads")
    parser.add_argument("--victim", type=float, help=argparse.SUPPRESS)
    parser.add_argument("--folder", default=tempfile.mkdtemp(), help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.victim:
        victim(arguments.mode, arguments.victim, arguments.folder)
    seconds = arguments.minutes * 60
    command = [sys.executable, __file__, "--mode", arguments.mode, "--victim", str(seconds)]
    command += ["--folder", arguments.folder]
    looks: Counter[int] = Counter()
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        watcher = threading.Thread(target=neighbour, args=(process, arguments.folder, looks))
        watcher.start()
        stops, throttled = torment(process, seconds)
        watcher.join()
        assert process.stdout is not None
        said = process.stdout.read()
    result = json.loads(said) if said.startswith("{") else {}
    innocent = looks.keys() - set(result.pop("hogs", ()))
    print(
        f"Python {platform.python_version()}, {arguments.mode}, {arguments.minutes:g} minutes:"
        f" exit {process.returncode}, {stops} stops, {throttled} throttled, {result or said},"
        f" a neighbour saw {looks.total()} stacks, {len(innocent)} threads of them innocent"
    )
    fine = process.returncode == 0 and result and not result["innocent"] and not innocent
    return 0 if fine and not result["crashed_children"] else 1


if __name__ == "__main__":
    sys.exit(main())
