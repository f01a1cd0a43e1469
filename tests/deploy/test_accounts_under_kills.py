"""Two hundred workers are killed at random moments under load, and every request is accounted for.

A request has a terminal event as soon as its view was reached or its response came, and never two.
"""

from __future__ import annotations

import itertools
import os
import random
import signal
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

import pytest

from tests.harness.accounts import (
    check_boxes_are_of_the_living,
    counted,
    printed,
    terminal_events,
)
from tests.harness.launch import Launcher
from tests.harness.site import Site
from tests.harness.waiting import eventually

WORKERS, THREADS, CLIENTS = 3, 3, 6
KILLS = 100  # of each kind of worker
# Requests between two kills, at most: a worker dies young, old, idle and busy.
BETWEEN = 12
SEED = 4711


class Asked(NamedTuple):
    """One request as its client saw it."""

    name: str
    agent: str
    answered: bool


class Load:
    """Clients that ask for one thing after another until they are told to stop."""

    def __init__(self, site: Site) -> None:
        self.site = site
        self.enough = threading.Event()
        self.done = itertools.count()
        self.count = 0

    def client(self, number: int) -> list[Asked]:
        chance = random.Random(SEED + number)
        found = []
        for each in itertools.count():
            if self.enough.is_set():
                return found
            name = f"client-{number}-{each}"
            try:
                wire = self.site.open(f"/started/{name}/{chance.choice((0, 0.001, 0.02)):.4f}/")
            except OSError:
                continue
            answered = wire.read_what_comes().startswith(b"HTTP/1.1 200")
            found.append(Asked(name, wire.agent, answered))
            self.count = next(self.done)
        raise AssertionError("unreachable")

    def wait_for(self, more: int) -> None:
        """Until that many requests more have ended."""
        wanted = self.count + more
        eventually(
            lambda: self.count >= wanted,
            "some requests more",
            transcript=self.site.process.transcript,
        )


@pytest.mark.timeout(150)
@pytest.mark.parametrize("worker", ["sync", "gthread"])
def test_each_request_has_one_event_however_many_workers_are_killed(
    serve: Launcher, worker: str
) -> None:
    """None is missing of those that were started, none is there twice, answered ones are right."""
    site = serve(worker=worker, workers=WORKERS, threads=THREADS, gunicorn_args=["--preload"])
    chance = random.Random(SEED)
    load = Load(site)
    with ThreadPoolExecutor(CLIENTS) as clients:
        running = [clients.submit(load.client, number) for number in range(CLIENTS)]
        try:
            for _ in range(KILLS):
                load.wait_for(chance.randrange(BETWEEN))
                victim = chance.choice(eventually(site.worker_pids, "a worker"))
                os.kill(victim, signal.SIGKILL)
                eventually(lambda pid=victim: pid not in site.worker_pids(), "its end")
        finally:
            load.enough.set()
        asked = [each for client in running for each in client.result()]
    started = [each for each in asked if (site.scratch / f"{each.name}.started").exists()]
    answered = [each for each in asked if each.answered]
    wanted = {each.agent for each in (*started, *answered)}
    eventually(
        lambda: wanted <= set(counted(site)),
        "an event of each request",
        transcript=lambda: f"no event: {wanted - set(counted(site))}",
    )
    # The last ones dead are buried, too: what comes now came too often.
    check_boxes_are_of_the_living(site)
    assert {agent: times for agent, times in counted(site).items() if times > 1} == {}
    assert set(counted(site)) <= {each.agent for each in asked}
    assert set(printed(site).values()) == {1}
    kinds = {event["req_user_agent"]: event["event_type"] for event in terminal_events(site)}
    assert {kinds[each.agent] for each in answered} <= {"request", "crash"}
    assert {kinds[each.agent] for each in started if not each.answered} <= {"crash", "request"}
    died = [event for event in terminal_events(site) if event["event_type"] == "crash"]
    assert {(event["crash_cause"], event["crash_signal"]) for event in died} == {
        ("signal", "SIGKILL")
    }
    # It was load, and not a queue of clients before workers that start.
    assert len(died) > KILLS / 4
    assert len(answered) > 2 * KILLS
