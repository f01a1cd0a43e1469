"""Each request has exactly one terminal event, whatever happens to it."""

from __future__ import annotations

import random
from collections import Counter

import gunicorn
import pytest

from tests.harness.accounts import printed
from tests.harness.client import exchange
from tests.harness.launch import Launcher
from tests.harness.recorded import TERMINAL
from tests.harness.site import Site
from tests.harness.waiting import eventually

WHOLE = [
    "/ok/",
    "/five/",
    "/n1/",
    "/raise/",
    "/denied/",
    "/missing/",
    "/no/such/page/",
    "/in-template/",
    "/stream/20/1000/",
    "/file/50000/",
    "/empty/",
    "/sleep/0.05/",
    "/context/",
    "/cached/",
    "/large/200000/",
]
EACH = 4
GONE = 12


def terminals(site: Site) -> list[tuple[str, str]]:
    """Agent and request id of every terminal event."""
    return [
        (e["req_user_agent"], e["req_id"]) for e in site.events() if e["event_type"] in TERMINAL
    ]


def mixed_traffic(site: Site) -> list[str]:
    """Sends many requests of all kinds at once, some by clients that leave; all agents."""
    paths = WHOLE * EACH
    random.Random(4711).shuffle(paths)
    answers = [site.start(path) for path in paths]
    wires = [site.open("/stream-endless/") for _ in range(GONE)]
    for number, wire in enumerate(wires):
        wire.read_until(b"begin")
        wire.reset() if number % 2 else wire.close()
    return [answer.result().agent for answer in answers] + [wire.agent for wire in wires]


@pytest.mark.parametrize("worker", ["sync", "gthread"])
def test_mixed_requests_at_once_have_one_terminal_event_each(serve: Launcher, worker: str) -> None:
    """Of concurrent requests of every kind, no terminal event is missing, doubled or mixed up."""
    site = serve(worker=worker, workers=2)
    agents = mixed_traffic(site)
    site.wait_event(req_user_agent=site.get("/ok/").agent)
    eventually(
        lambda: len(terminals(site)) > len(agents), "all events", transcript=site.process.transcript
    )
    counted = Counter(agent for agent, _ in terminals(site))
    assert {agent: counted[agent] for agent in agents} == dict.fromkeys(agents, 1)
    assert len({request for _, request in terminals(site)}) == len(agents) + 1
    eventually(
        lambda: printed(site) == counted,
        "a line for each event",
        transcript=site.process.transcript,
    )
    assert site.stray_output() == []


def test_counts_stay_with_their_requests(site: Site) -> None:
    """Concurrent requests with different numbers of queries each have their own count."""
    expected = {"/ok/": 0, "/five/": 5, "/n1/": 7, "/four-times/": 4}
    answers = [(path, site.start(path)) for path in list(expected) * 15]
    found = [
        (path, site.terminal(answer.result().agent).get("db_queries") or 0)
        for path, answer in answers
    ]
    assert found == [(path, expected[path]) for path, _ in answers]


def test_requests_of_one_connection_have_an_event_each(site: Site) -> None:
    """Each request of a connection has its own event, kept alive (gthread) or not (sync)."""
    with site.connection() as connection:
        agents = [
            exchange(connection, "GET", path).agent for path in ("/ok/", "/n1/", "/raise/", "/ok/")
        ]
    events = [site.terminal(agent) for agent in agents]
    assert len({event["req_id"] for event in events}) == 4
    assert [event["resp_status"] for event in events] == [200, 200, 500, 200]


def test_forked_children_emit_nothing(site: Site) -> None:
    """A child that a view forks ends without an event or a line, and changes nothing."""
    answer = site.get("/fork/")
    # Under gthread the second child fails to join its parent's threads, also without slowhound.
    assert answer.text in ("0 0", "0 1")
    event = site.terminal(answer.agent)
    assert event["pid"] in site.worker_pids()
    assert not event.get("db_queries")
    after = site.event("/five/")
    assert after["db_queries"] == 5
    assert Counter(agent for agent, _ in terminals(site))[answer.agent] == 1


def test_head_request_has_its_event(site: Site) -> None:
    """A HEAD request has its event, with the bytes that were really sent."""
    answer = site.request("HEAD", "/ok/")
    event = site.terminal(answer.agent)
    sent = 0 if gunicorn.version_info >= (26, 1) else 2  # older versions send the body
    assert (event["req_method"], event["resp_status"], event["resp_bytes"]) == ("HEAD", 200, sent)


def test_graceful_stop_lets_a_request_have_its_event(serve: Launcher) -> None:
    """A request in flight when the server is told to stop still has its event."""
    site = serve()
    answer = site.start("/gate/stopping/")
    gate = site.gate("stopping")
    gate.wait_entered()
    site.process.terminate()
    gate.open()
    agent = answer.result().agent
    site.stop()
    assert [
        event["event_type"] for event in site.events() if event.get("req_user_agent") == agent
    ] == ["request"]
