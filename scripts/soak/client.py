"""Sends requests of all kinds, whose responses are known."""

from __future__ import annotations

import contextlib
import http.client
import itertools
import random
import subprocess
import threading
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from kinds import Sized

# Seconds after which a request without a response counts as hanging.
ANSWER_WITHIN = 60.0
CLIENTS = 5
# The share of crash kinds among all requests, and of requests for a flame graph.
CRASH_SHARE, FLAMES_SHARE = 0.25, 0.05


class Traffic:
    """Several clients, each of which sends one request after another until ``stop``."""

    def __init__(self, port: int, kinds: list[Sized], seed: int, name: str) -> None:
        self.port = port
        self.name = name
        self.done: Counter[str] = Counter()  # right responses, by kind
        self.wrong: list[str] = []
        self.agents: list[str] = []
        self.interrupted = 0  # how often native code got EINTR
        self._kinds = kinds
        self._numbers = itertools.count()
        self._stop = threading.Event()
        self._turn = threading.Condition()
        self._paused = False
        self._under_way = 0
        self._threads = [
            threading.Thread(target=self._run, args=(random.Random(seed * 100 + number),))
            for number in range(CLIENTS)
        ]
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        """Stops, and waits for the responses to the requests in flight."""
        self._stop.set()
        for thread in self._threads:
            thread.join()

    @contextlib.contextmanager
    def paused(self) -> Iterator[None]:
        """No request is in flight during the block."""
        with self._turn:
            self._paused = True
            self._turn.wait_for(lambda: not self._under_way)
        try:
            yield
        finally:
            with self._turn:
                self._paused = False
                self._turn.notify_all()

    @contextlib.contextmanager
    def _one(self) -> Iterator[None]:
        with self._turn:
            self._turn.wait_for(lambda: not self._paused)
            self._under_way += 1
        try:
            yield
        finally:
            with self._turn:
                self._under_way -= 1
                self._turn.notify_all()

    def _run(self, chance: random.Random) -> None:
        crash = [each for each in self._kinds if each.kind.crash]
        rest = [each for each in self._kinds if not each.kind.crash]
        weights = [each.kind.weight for each in rest]
        while not self._stop.is_set():
            if crash and (not rest or chance.random() < CRASH_SHARE):
                sized = chance.choice(crash)
            else:
                (sized,) = chance.choices(rest, weights)
            with self._one():
                self._ask(sized, sized.choose(chance), flames=chance.random() < FLAMES_SHARE)

    def _ask(self, sized: Sized, size: int, *, flames: bool) -> None:
        kind = sized.kind
        agent = f"{self.name}-{next(self._numbers)}"
        self.agents.append(agent)
        asked = f"/{kind.name}/{size}/{'?flames=svg' if flames else ''}"
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=ANSWER_WITHIN)
        try:
            connection.request("GET", asked, headers={"User-Agent": agent, "Connection": "close"})
            response = connection.getresponse()
            body = response.read()
        except (OSError, http.client.HTTPException) as exc:
            self.wrong.append(f"{agent} {asked}: {exc!r}")
            return
        finally:
            connection.close()
        drawn = flames and (response.getheader("Content-Type") or "").startswith("image/svg")
        if response.status == 200 and (drawn or body.decode() == str(kind.answer(size))):
            self.done[kind.name] += 1
        elif kind.native and response.status == 200:
            self.interrupted += int(body)
        else:
            self.wrong.append(f"{agent} {asked}: {response.status} {body[:200]!r}")


def still_answers(port: int) -> bool:
    """True when the site responds at the end of a run."""
    return _get(port, "/") == b"ready"


def settle(port: int, workers: list[int]) -> None:
    """Has each worker that responds give back the memory that is not in use."""
    left, end = set(workers), time.monotonic() + ANSWER_WITHIN
    while left and time.monotonic() < end:
        left.discard(int(_get(port, "/settled/") or 0))


def _get(port: int, path: str) -> bytes:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=ANSWER_WITHIN)
    try:
        connection.request("GET", path, headers={"User-Agent": "soak", "Connection": "close"})
        return connection.getresponse().read()
    except (OSError, http.client.HTTPException):
        return b""
    finally:
        connection.close()


class Outside(threading.Thread):
    """An operator who keeps running ``ps`` and ``dump``; counts calls and failures."""

    def __init__(self, command: list[str], directory: Path) -> None:
        super().__init__(daemon=True)
        self.calls = 0
        self.failed: list[str] = []
        self._command = command
        self._dir = directory
        self._over = threading.Event()

    def run(self) -> None:
        while not self._over.wait(4.0):
            for words in (["ps", "--json"], ["dump"]):
                argv: list[Any] = [*self._command, *words, "--dir", self._dir]
                done = subprocess.run(argv, capture_output=True, text=True, check=False)
                self.calls += 1
                # 1: nothing in flight, or a worker that holds its GIL did not answer.
                if done.returncode not in (0, 1) or "Traceback" in done.stderr:
                    self.failed.append(f"{words}: {done.returncode} {done.stderr[-300:]}")

    def end(self) -> None:
        """Stops, and waits for the last call."""
        self._over.set()
        self.join()
