"""Workers die under load, and each started request has exactly one event."""

from __future__ import annotations

import os
import signal
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.deploy.conftest import Deploy
from tests.harness.accounts import (
    check_boxes_are_of_running_workers,
    check_once,
    counted,
    terminal_events,
)
from tests.harness.site import Site
from tests.harness.timeouts import in_flight
from tests.harness.waiting import eventually

CLIENTS, EACH, DEATHS = 6, 12, 3


def client(site: Site, name: str) -> list[tuple[str, str, bool]]:
    """Sends one request after another; records name, agent and whether it was answered."""
    done = []
    for number in range(EACH):
        request = f"{name}-{number}"
        try:
            wire = site.open(f"/started/{request}/0.02/")
        except OSError:
            continue
        answered = wire.read_what_comes().startswith(b"HTTP/1.1 200")
        done.append((request, wire.agent, answered))
    return done


@pytest.mark.parametrize(
    ("worker", "number"),
    [("sync", signal.SIGKILL), ("gthread", signal.SIGSEGV)],
    ids=["sync-SIGKILL", "gthread-SIGSEGV"],
)
def test_workers_that_die_under_load(deploy: Deploy, worker: str, number: signal.Signals) -> None:
    """A request with a response has a request event, and a started one exactly one event."""
    site = deploy(worker=worker, workers=2, threads=3, gunicorn_args=["--preload"], warm=True)
    hanging = site.open("/gate/hanging/")
    first = in_flight(site, "/gate/hanging/").pid
    with ThreadPoolExecutor(CLIENTS) as clients:
        running = [clients.submit(client, site, f"client-{each}") for each in range(CLIENTS)]
        for death in range(DEATHS):
            victims = eventually(
                lambda: pids if len(pids := site.worker_pids()) == 2 else None, "two workers"
            )
            victim = victims[0] if death else first
            seen = len(terminal_events(site))
            eventually(
                lambda seen=seen: (
                    len(terminal_events(site)) > seen + 3 or all(each.done() for each in running)
                ),
                "some requests more",
            )
            os.kill(victim, number)
            eventually(
                lambda victim=victim: victim not in site.worker_pids(), "the end of a worker"
            )
        done = [request for each in running for request in each.result()]
    answered = [agent for _, agent, whole in done if whole]
    started = [agent for name, agent, _ in done if (site.scratch / f"{name}.started").exists()]
    hanging.close()
    check_once(site, {hanging.agent, *answered, *started}, torn=DEATHS)
    assert set(counted(site).values()) == {1}
    by_agent = {event["req_user_agent"]: event for event in terminal_events(site)}
    assert {by_agent[agent]["event_type"] for agent in answered} <= {"request", "crash"}
    died = [event for event in terminal_events(site) if event["event_type"] == "crash"]
    assert hanging.agent in {event["req_user_agent"] for event in died}
    causes = {(event["crash_cause"], event["crash_signal"]) for event in died}
    expected = "segfault" if number == signal.SIGSEGV else "signal"
    assert causes == {(expected, number.name)}
    check_boxes_are_of_running_workers(site)


def test_worker_that_dies_idle(deploy: Deploy) -> None:
    """A worker that dies without a request leaves neither an event nor a box."""
    site = deploy()
    check_once(site, [site.get("/ok/").agent])
    before = len(terminal_events(site))
    pid = site.worker_pids()[0]
    os.kill(pid, signal.SIGKILL)
    eventually(lambda: site.worker_pids() not in ([], [pid]), "a new worker")
    check_once(site, [site.get("/ok/").agent])
    assert len(terminal_events(site)) == before + 1
    check_boxes_are_of_running_workers(site)
