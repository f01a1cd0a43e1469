"""The samplers that are compared, each as a context manager with a result.

The result is a dict: ``found`` has each function's share of the time, including what it called, and
``unsampled`` the share of the time that a sampler itself counts as not known.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
import weakref
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any

Shares = dict[str, float]
PY_SPY_HZ = 200


def inclusive(stacks: Iterable[tuple[Iterable[str], float]]) -> Shares:
    """The share of each name; a stack counts once for each name in it."""
    whole = 0.0
    found: Shares = {}
    for names, weight in stacks:
        whole += weight
        for name in set(names):
            found[name] = found.get(name, 0.0) + weight
    return {name: weight / whole for name, weight in found.items()} if whole else {}


def _describe(profile: Any) -> dict[str, Any]:
    frames, stacks = profile.frames, profile.stacks
    return {
        "found": inclusive(
            ([frames[each].name for each in stacks[sample.stack]], sample.weight)
            for sample in profile.samples
        ),
        "unsampled": profile.accuracy.unsampled / profile.duration,
        "estimate": profile.accuracy.error,
        "taken": profile.accuracy.taken,
        "ways": profile.accuracy.ways,
    }


@contextmanager
def on_demand() -> Iterator[dict[str, Any]]:
    """Ours, as with `?flames`."""
    import asyncio

    from slowhound.core.ids import use_os_threads
    from slowhound.core.record import Record
    from slowhound.flames.sampling import session
    from slowhound.runtime.unpatched import is_patched

    use_os_threads()
    record = Record("GET", "/", time.monotonic())
    if asyncio._get_running_loop() is not None:
        record.task = weakref.ref(asyncio.current_task())
    elif is_patched():
        import greenlet

        record.greenlet = weakref.ref(greenlet.getcurrent())
    result: dict[str, Any] = {}
    session.start(record)
    yield result
    result.update(_describe(session.stop(record)))


@contextmanager
def in_process() -> Iterator[dict[str, Any]]:
    """Ours without an external process: Python before 3.14, or the kernel does not allow it."""
    from slowhound.flames.sampling import external

    external.possible = lambda _: False
    with on_demand() as result:
        yield result


@contextmanager
def automatic() -> Iterator[dict[str, Any]]:
    """Ours, as for each request that lasts, but from its beginning on."""
    with tempfile.TemporaryDirectory(prefix="slowhound-bench-") as directory:
        os.chmod(directory, 0o700)
        recorder = start_recorder(directory)
        record = begin(recorder)
        result: dict[str, Any] = {}
        yield result
        recorder.finish(record)
        from slowhound.recorder import process as recorders

        recorders.stop()
        result.update(_describe(recorder.sampler.writer.files.read(record.flame)))


def start_recorder(directory: str) -> Any:
    """A recorder with its hound, as in a worker, that samples from its first tick on."""
    from django.conf import settings

    from slowhound.config.config import load
    from slowhound.recorder import process as recorder

    if not settings.configured:
        settings.configure(SLOWHOUND={})
    return recorder.start(load({"DIR": directory, "STREAM": None, "SAMPLE_AFTER": 0.05}))


def begin(recorder: Any) -> Any:
    """The record of a request that begins now."""
    from slowhound.core.record import Record

    record = Record("GET", "/", time.monotonic())
    recorder.begin(record)
    return record


@contextmanager
def pyinstrument() -> Iterator[dict[str, Any]]:
    """Pyinstrument with its defaults."""
    import asyncio

    from pyinstrument import Profiler

    mode = "enabled" if asyncio._get_running_loop() is not None else "disabled"
    profiler = Profiler(async_mode=mode)
    result: dict[str, Any] = {}
    profiler.start()
    yield result
    session = profiler.stop()
    stacks: list[tuple[list[str], float]] = []

    def walk(frame: Any, above: list[str]) -> None:
        here = [*above, frame.function]
        stacks.append((here, frame.time - sum(child.time for child in frame.children)))
        for child in frame.children:
            walk(child, here)

    walk(session.root_frame(trim_stem=False), [])
    result["found"] = inclusive(stacks)


@contextmanager
def nothing() -> Iterator[dict[str, Any]]:
    """No sampler in the process; py-spy samples from outside."""
    yield {}


TOOLS: dict[str, Callable[[], Any]] = {
    "on demand": on_demand,
    "in process": in_process,
    "automatic": automatic,
    "pyinstrument": pyinstrument,
    "nothing": nothing,
}


def py_spy(name: str, seconds: float) -> dict[str, Any]:
    """The scenario in a child process that py-spy starts and samples.

    Raises:
        OSError: there is no py-spy.
        subprocess.CalledProcessError: py-spy is not allowed to read the process, or failed.
    """
    import json
    import shutil

    program = shutil.which("py-spy") or os.path.join(os.path.dirname(sys.executable), "py-spy")
    with tempfile.TemporaryDirectory(prefix="slowhound-bench-") as directory:
        raw = os.path.join(directory, "raw")
        options = ["--idle", "--format", "raw", "--rate", str(PY_SPY_HZ), "--output", raw]
        child = [sys.executable, "-m", "bench.run_scenario", name, "nothing", str(seconds)]
        ended = subprocess.run(
            [program, "record", *options, "--", *child],
            check=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
        )
        # py-spy prints after its child.
        printed = [line for line in ended.stdout.splitlines() if line.startswith(b"{")]
        result: dict[str, Any] = json.loads(printed[-1])
        with open(raw, encoding="utf-8") as lines:
            result["found"] = inclusive(_raw(lines))
    return result


def _raw(lines: Iterable[str]) -> Iterator[tuple[list[str], float]]:
    for line in lines:
        stack, _, count = line.rpartition(" ")
        names = [frame.partition(" (")[0] for frame in stack.split(";")]
        if "_find_and_load" not in names:  # imports come before the measured time
            yield names, float(count)
