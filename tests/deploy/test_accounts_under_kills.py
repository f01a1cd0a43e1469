"""Many workers are killed at random moments under load, and no request is lost.

A request whose view was reached, or whose response arrived, has one terminal event, and never two.
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
    check_boxes_are_of_running_workers,
    counted,
    printed,
    terminal_events,
)
from tests.harness.launch import Launcher
from tests.harness.recorded import Event
from tests.harness.site import Site
from tests.harness.waiting import eventually

WORKERS, THREADS, CLIENTS = 3, 3, 6
KILLS = 20  # for each kind of worker, and more until the load was real
# Requests between two kills, at most: new, old, idle and busy workers are killed.
BETWEEN = 12
SEED = 4711


class Sent(NamedTuple):
    """A request as its client saw it."""

    name: str
    agent: str
    answered: bool


class Load:
    """Clients that send one request after another until they are told to stop."""

    def __init__(self, site: Site) -> None:
        self.site = site
        self.enough = threading.Event()
        self.ended: list[Sent] = []

    def client(self, number: int) -> None:
        chance = random.Random(SEED + number)
        for each in itertools.count():
            if self.enough.is_set():
                return
            name = f"client-{number}-{each}"
            try:
                wire = self.site.open(f"/started/{name}/{chance.choice((0, 0.001, 0.02)):.4f}/")
            except OSError:
                continue
            answered = wire.read_what_comes().startswith(b"HTTP/1.1 200")
            self.ended.append(Sent(name, wire.agent, answered))

    def wait_for(self, more: int) -> None:
        """Waits until this many more requests have ended."""
        wanted = len(self.ended) + more
        eventually(
            lambda: len(self.ended) >= wanted,
            "some requests more",
            transcript=self.site.process.transcript,
        )

    def was_load(self) -> bool:
        """Whether enough requests were answered, and enough were cut off by a kill."""
        answered = sum(each.answered for each in self.ended)
        return answered > 2 * KILLS and len(crashes(self.site)) > KILLS / 4


def crashes(site: Site) -> list[Event]:
    """The events of requests whose worker died."""
    return [event for event in terminal_events(site) if event["event_type"] == "crash"]


@pytest.mark.parametrize("worker", ["sync", "gthread"])
def test_each_request_has_one_event_however_many_workers_are_killed(
    serve: Launcher, worker: str
) -> None:
    """No started request is missing or doubled, and answered ones have the right event."""
    site = serve(
        worker=worker, workers=WORKERS, threads=THREADS, gunicorn_args=["--preload"], warm=True
    )
    chance = random.Random(SEED)
    load = Load(site)
    with ThreadPoolExecutor(CLIENTS) as clients:
        running = [clients.submit(load.client, number) for number in range(CLIENTS)]
        try:
            for kills in range(10 * KILLS):
                if kills >= KILLS and load.was_load():
                    break
                load.wait_for(chance.randrange(BETWEEN))
                victim = chance.choice(eventually(site.worker_pids, "a worker"))
                os.kill(victim, signal.SIGKILL)
                eventually(lambda pid=victim: pid not in site.worker_pids(), "its end")
        finally:
            load.enough.set()
        for client in running:
            client.result()
    sent = load.ended
    started = [each for each in sent if (site.scratch / f"{each.name}.started").exists()]
    answered = [each for each in sent if each.answered]
    wanted = {each.agent for each in (*started, *answered)}
    eventually(
        lambda: wanted <= set(counted(site)),
        "an event of each request",
        transcript=lambda: f"no event: {wanted - set(counted(site))}",
    )
    # By now the last workers have been reaped, too: a further event would be one too many.
    check_boxes_are_of_running_workers(site)
    assert {agent: times for agent, times in counted(site).items() if times > 1} == {}
    assert set(counted(site)) <= {each.agent for each in sent}
    assert set(printed(site).values()) == {1}
    kinds = {event["req_user_agent"]: event["event_type"] for event in terminal_events(site)}
    assert {kinds[each.agent] for each in answered} <= {"request", "crash"}
    assert {kinds[each.agent] for each in started if not each.answered} <= {"crash", "request"}
    assert {(event["crash_cause"], event["crash_signal"]) for event in crashes(site)} == {
        ("signal", "SIGKILL")
    }
    assert load.was_load()
