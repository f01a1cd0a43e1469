"""The thread that is reported to have held the GIL, in a process with a real recorder."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import threading
import time
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar

import pytest

from slowhound.blackbox.reader import BoxState, survey
from slowhound.gil.holders import HOLDER_CPU_SHARE, Holders
from slowhound.gil.unresponsive import silent_for
from tests.harness.stopped import stopped
from tests.harness.waiting import eventually

pytestmark = [
    pytest.mark.skipif(not sys.platform.startswith("linux"), reason="needs the clocks of threads"),
    pytest.mark.slow,
]

# Seconds for which nothing is heard of the process before it is let go; and what of them must be
# found at least: half of them, where the machine has other work.
HELD = 1.5
LEAST = HELD / 2
# The share of a CPU with which a thread is found for certain: a busy machine gives it in the end.
ENOUGH = 1.5 * HOLDER_CPU_SHARE
SCRIPT = """
import ctypes, json, os, sys, threading, time
from itertools import repeat
from operator import not_
from django.conf import settings
settings.configure()
import django
django.setup()
from slowhound.recorder import process as recorder
from slowhound.config.config import load
from slowhound.core.record import Record

folder = sys.argv[1]
go = os.fsencode(folder + "/go")
active = recorder.start(load({"DIR": folder + "/d", "STREAM": None, "SLOW_AFTER": 0.5}))
events = {}

def burns():
    "Uses the CPU with the GIL until the test lets it go."
    any(map(not_, map(ctypes.PyDLL(None).access, repeat(go, 10**9), repeat(0))))

def sleeps():
    "Sleeps with the GIL until the test lets it go."
    ctypes.PyDLL(None).open(go + b"-pipe", os.O_RDONLY)

def waits():
    while not os.path.exists(go):
        time.sleep(0.01)
    # Until the hound has run as well.
    seen = active.own_box.box.cells[4]
    while active.own_box.box.cells[4] == seen:
        time.sleep(0.01)

def computes():
    while not os.path.exists(go):
        sum(range(1000))

def request(work):
    record = Record("GET", f"/{work.__name__}/", time.monotonic())
    active.begin(record)
    record.on_end = lambda event: events.setdefault(work.__name__, event)
    work()
    waits()
    active.finish(record)

def run(*works):
    threads = [threading.Thread(target=request, args=(work,)) for work in works]
    for thread in threads:
        thread.start()
    return threads

def end(threads):
    for thread in threads:
        thread.join()
    fields = ("gil_hold_est", "gil_wait_est", "gil_held_by", "req_id")
    print(json.dumps({name: {field: event[field] for field in fields if field in event}
                      for name, event in events.items()}), flush=True)
    os._exit(0)
"""


class Process:
    """A process that runs such a script."""

    started: ClassVar[list[subprocess.Popen[str]]] = []

    def __init__(self, folder: Path, script: str) -> None:
        self.folder = folder
        os.mkfifo(folder / "go-pipe")
        argv = [sys.executable, "-c", SCRIPT + script, str(folder)]
        self.process = subprocess.Popen(argv, stdout=subprocess.PIPE, text=True)
        self.started.append(self.process)

    def state(self) -> BoxState | None:
        if not (self.folder / "d" / "boxes").exists():
            return None
        return next(iter(survey(str(self.folder / "d"))[0]), None)

    def wait_silent(self, share: float = 0.0) -> None:
        """Until its hound has not run for long; it had at least this share of a CPU meanwhile."""
        used: list[float] = []

        def long_enough() -> bool:
            state = self.state()
            silent = silent_for(state) if state is not None else 0.0
            if silent > HELD / 4:
                used.append(self.cpu())
            return silent > HELD and used[-1] - used[0] >= share * silent

        eventually(long_enough, "it is silent", deadline=45)

    def cpu(self) -> float:
        """Seconds of CPU that it has used."""
        fields = Path(f"/proc/{self.process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def let_go(self) -> dict[str, dict[str, Any]]:
        """The events of its requests in the end."""
        (self.folder / "go").touch()
        text, _ = self.process.communicate(timeout=50)
        found: dict[str, dict[str, Any]] = json.loads(text)
        return found


@pytest.fixture(autouse=True)
def end_all() -> Iterator[None]:
    """One that was not ended would use a CPU for good."""
    yield
    while Process.started:
        with Process.started.pop() as process:
            process.kill()


def held(folder: Path, script: str) -> dict[str, dict[str, Any]]:
    """The events of a process that held the GIL until nothing was heard of it for long."""
    process = Process(folder, script)
    process.wait_silent(share=ENOUGH)
    return process.let_go()


def test_request_that_burned_the_cpu_held_the_gil(tmp_path: Path) -> None:
    """The one beside it waited, and names it and where it was afterwards; both say for how long."""
    found = held(tmp_path, "end(run(waits, burns))")
    thief, victim = found["burns"], found["waits"]
    assert thief["gil_hold_est"] >= LEAST
    assert "gil_wait_est" not in thief
    assert "gil_hold_est" not in victim
    assert victim["gil_wait_est"] >= LEAST
    # It waits for a file by then, in the code above or in Python's.
    assert victim["gil_held_by"].startswith(
        f"{thief['req_id']} (its URL is not resolved yet), afterwards at "
    )


def test_thread_that_is_no_requests_is_named_by_its_name(tmp_path: Path) -> None:
    """With its place afterwards."""
    script = """
def nightly():
    # The hound learns of threads now and then: what it did not know before, it cannot compare.
    while threading.get_native_id() not in active.watch.starvation.holders._cpu:
        time.sleep(0.01)
    burns()
    waits()

started = run(waits)
threading.Thread(target=nightly, name="nightly").start()
end(started)
"""
    found = held(tmp_path, script)
    assert found["waits"]["gil_held_by"].startswith("thread nightly, afterwards at ")
    assert found["waits"]["gil_wait_est"] >= LEAST


def test_thread_that_slept_with_the_gil_is_not_found(tmp_path: Path) -> None:
    """No thread is accused: from inside, it appears like all others that sleep."""
    process = Process(tmp_path, "end(run(waits, sleeps))")
    process.wait_silent()
    with open(tmp_path / "go-pipe", "wb"):
        found = process.let_go()
    assert found.keys() == {"waits", "sleeps"}
    assert not [each for each in found.values() if each.keys() & {"gil_hold_est", "gil_held_by"}]


def test_stopped_process_accuses_no_thread(tmp_path: Path) -> None:
    """Its threads did not run either, and its hound did not wait for the GIL."""
    process = Process(tmp_path, "end(run(waits, computes))")
    eventually(lambda: len(pending(process)) == 2, "both begin")
    with stopped([process.process.pid]):
        process.wait_silent()
    found = process.let_go()
    assert not [each for each in found.values() if each.keys() & {"gil_hold_est", "gil_held_by"}]


def pending(process: Process) -> tuple[Any, ...]:
    """The requests that its box names."""
    from slowhound.blackbox.reader import read

    state = process.state()
    whole = read(Path(state.path).read_bytes()) if state is not None else None
    return whole.pending if whole is not None else ()


@pytest.mark.parametrize("held", [True, False])
def test_request_that_ends_first_knows_that_it_held_the_gil(held: bool) -> None:
    """Even where it ends before the hound runs; one that computes without it did not."""
    holders, slept, over, end = Holders(), *(threading.Event() for _ in range(3))

    def hound() -> None:
        holders.asleep(time.monotonic())
        slept.set()
        over.wait()  # then for the GIL: from now on it wants to run
        end.wait()

    thread = threading.Thread(target=hound)
    thread.start()
    slept.wait()
    begun, began = time.thread_time(), time.monotonic()
    while (used := time.thread_time() - begun) < max(1.0, ENOUGH * (time.monotonic() - began)):
        if held:
            over.set()
            re.match(r"(a+)+$", "a" * 23 + "b")  # 0.5 s, in one call
        else:
            time.sleep(0)
            zlib.compress(bytes(10**6))
    held_for = holders.held_by(threading.get_native_id(), begun + used, begun)
    over.set()
    end.set()
    thread.join()
    assert (held_for > 0) is held
