"""An unresponsive process: it has a box, one request in flight, and holds the GIL.

The request is in its main thread. Its hound only sleeps and never updates the heartbeat, so that
tests can read the process from outside.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from slowhound.blackbox.reader import BoxState, read
from slowhound.gil.reading import Reader
from slowhound.gil.unresponsive import UNRESPONSIVE_AFTER, Hold, examine, silent_for
from tests.harness.waiting import eventually

COMMON = """
import ctypes, os, re, sys, threading, time
from slowhound.blackbox.box import Box
from slowhound.blackbox.layout import HOUND, NAMESPACE
from slowhound.config.config import load
from slowhound.core.box_payloads import who_payload
from slowhound.recorder.own_box import settings_payload
from slowhound.core.record import Record

directory, pids, slow_after = sys.argv[1], sys.argv[2], float(sys.argv[3])
box = Box(directory, 2)
note = settings_payload(load({"DIR": directory, "SLOW_AFTER": slow_after}), "test")
if pids:
    box.cells[NAMESPACE] = int(pids)
box.settings.write(note)
record = Record("GET", "/orders/", time.monotonic())

def carry(thread):
    box.claim(record.number, who_payload(record), thread)

def hound():
    "Tries to run four times a second, like the real one."
    box.cells[HOUND] = threading.get_native_id()
    while True:
        time.sleep(0.25)

threading.Thread(target=hound, daemon=True).start()

def stuck():
    "Sleeps with the GIL until the test ends it."
    ctypes.PyDLL(None).read(0, ctypes.create_string_buffer(1), 1)

def burn():
    "Uses the CPU with the GIL for longer than any test."
    re.match(r"(a+)+$", "a" * 40 + "b")

def say_ready():
    print(box.path, flush=True)
"""
STUCK = "carry(os.getpid())\nsay_ready()\nstuck()\n"
BURN = "carry(os.getpid())\nsay_ready()\nburn()\n"


class Case(NamedTuple):
    """A process and its box."""

    process: subprocess.Popen[str]
    path: str

    @property
    def state(self) -> BoxState:
        found = read(Path(self.path).read_bytes())
        assert found is not None
        return found

    def wait_unresponsive(self) -> BoxState:
        eventually(lambda: silent_for(self.state) > UNRESPONSIVE_AFTER, "it is unresponsive")
        return self.state

    def examined(self, *readers: Reader, checks: int = 1) -> Hold | None:
        """The result of `examine`, once the heartbeat is old."""
        return examine(self.path, self.wait_unresponsive(), readers, checks)

    def end(self) -> int:
        """Lets the process end, and waits for that; returns its exit code."""
        self.process.communicate("x", timeout=30)
        return self.process.returncode


@contextmanager
def process(
    directory: Path, script: str, pids: str = "", slow_after: float = 25.0
) -> Iterator[Case]:
    """A running process, which is killed at the end of the block.

    ``slow_after`` is the threshold of its request, ``pids`` the pid namespace that its box names.
    """
    argv = [sys.executable, "-c", COMMON + script, str(directory), pids, str(slow_after)]
    with subprocess.Popen(
        argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as started:
        try:
            assert started.stdout is not None
            yield Case(started, started.stdout.readline().rstrip("\n"))
        finally:
            started.kill()
