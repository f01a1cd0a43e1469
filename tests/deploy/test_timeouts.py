"""Gunicorn's timeout: each request that it ends has one timeout event, however it was ended."""

from __future__ import annotations

import random
import signal

import pytest

from tests.deploy.conftest import Deploy
from tests.harness.accounts import (
    boxes,
    check_boxes_are_of_the_living,
    check_once,
    counted,
    terminal_events,
)
from tests.harness.client import Wire
from tests.harness.recorded import Event
from tests.harness.site import Site
from tests.harness.sources import loc
from tests.harness.waiting import eventually

PATHS = {
    "asleep": "/gate/asleep/",
    "deaf": "/deaf/deaf/",
    "holding": "/holding/",
    "sql": "/endless-sql/",
}


@pytest.fixture(scope="module")
def ended(deploy_module: Deploy) -> dict[str, Event]:
    """The terminal events of requests that time out at once, each in a sync worker of its own."""
    site = deploy_module(
        workers=len(PATHS),
        conf="timeout = 1",
        gunicorn_args=["--preload"],
        middleware=False,
        warm=True,  # else the imports of the first request may take all of the second
    )
    wires = {name: site.open(path) for name, path in PATHS.items()}
    found = {name: site.terminal(wire.agent) for name, wire in wires.items()}
    check_once(site, [wire.agent for wire in wires.values()])
    for wire in wires.values():
        wire.close()
    check_boxes_are_of_the_living(site)
    return found


@pytest.mark.parametrize("name", list(PATHS))
def test_request_that_times_out_has_a_timeout_event(ended: dict[str, Event], name: str) -> None:
    """Asleep, deaf to SIGABRT, holding the GIL or in a query: one event, of type timeout."""
    event = ended[name]
    assert (event["event_type"], event["resp_outcome"]) == ("timeout", "timeout")
    assert event["req_path"] == PATHS[name]
    # Gunicorn counts its second from the worker's last heartbeat, up to half of it before.
    assert event["resp_time"] >= 0.5
    assert event["g_w_count"] >= 1


def test_aborted_request_says_where_it_was(ended: dict[str, Event]) -> None:
    """A view that could be aborted names the line, with a stack of that very moment."""
    event = ended["asleep"]
    assert event["timeout_loc"].startswith("tests/site/middleware.py:")
    assert event["timeout_cause_loc"].startswith("tests/site/gates.py:")
    assert event["timeout_stack_age"] == 0
    assert event["resp_view"] == "gate"


def test_killed_request_says_where_it_was_last_seen(ended: dict[str, Event]) -> None:
    """A view that could only be killed names the line of the last look, and its age."""
    event = ended["deaf"]
    assert loc("views/deaths.py", "deaf", "deaf") in event["timeout_stack"]
    assert event["timeout_cause_loc"].startswith("tests/site/gates.py:")
    assert 0 <= event["timeout_stack_age"] < event["resp_time"]
    assert event["resp_view"] == "deaf"


def test_request_that_held_the_gil_says_where_it_was_before(ended: dict[str, Event]) -> None:
    """Who looked does not matter: the hound before it, or the abort after it."""
    event = ended["holding"]
    assert event["timeout_cause_loc"] == loc("views/deaths.py", "seen", "holding")
    if event["timeout_stack_by"] == "hound":
        assert event["timeout_stack_age"] > 0


def test_request_in_a_query_says_in_which(ended: dict[str, Event]) -> None:
    """A request that is killed in a query names its statement, without its literals."""
    event = ended["sql"]
    assert event["timeout_sql"].startswith("WITH RECURSIVE endless(n) AS")
    assert "secret" not in event["timeout_sql"]
    assert 0.5 < event["timeout_sql_time"] <= event["resp_time"]
    assert event["timeout_cause_loc"] == loc("views/deaths.py", "endless", "endless_sql")


HANG = """
timeout = 1
def post_worker_init(worker):
    from tests.site.views.deaths import hang_on_signal
    hang_on_signal()
"""


def test_gthread_worker_whose_main_thread_is_stuck(deploy: Deploy) -> None:
    """Requests in flight in the threads of a worker that times out have one event each."""
    site = deploy(worker="gthread", threads=4, conf=HANG, gunicorn_args=["--preload"], warm=True)
    wires = [site.open(path) for path in ("/gate/one/", "/stream-gated/two/", "/deaf-less/")]
    wires[2].read_all()
    site.gate("one").wait_entered()
    site.gate("two").wait_entered()
    wires.append(site.open("/main-stuck/three/"))
    site.gate("three").wait_entered()
    agents = [wire.agent for wire in wires]
    check_once(site, agents)
    kinds = [site.terminal(agent)["event_type"] for agent in agents]
    assert kinds == ["timeout", "timeout", "request", "timeout"]
    for wire in wires:
        wire.close()
    check_boxes_are_of_the_living(site)


def test_gthread_worker_whose_gil_is_held(deploy: Deploy) -> None:
    """C code that holds the GIL times out the whole worker: one event for each of its requests."""
    site = deploy(
        worker="gthread",
        threads=4,
        conf="timeout = 1",
        gunicorn_args=["--preload"],
        warm=True,
    )
    wires = [site.open(path) for path in ("/gate/one/", "/gate/two/")]
    site.gate("one").wait_entered()
    site.gate("two").wait_entered()
    wires.append(site.open("/holding/"))
    check_once(site, [wire.agent for wire in wires])
    assert {site.terminal(wire.agent)["event_type"] for wire in wires} == {"timeout"}
    for wire in wires:
        wire.close()
    check_boxes_are_of_the_living(site)


KILLS = """
timeout = 3
import gunicorn.arbiter, os, time
kills = os.path.join(os.path.dirname(__file__), "kills")
kill = gunicorn.arbiter.Arbiter.kill_worker
def kill_worker(self, pid, sig):
    with open(kills, "a") as file:
        print(int(sig), time.monotonic(), file=file)
    kill(self, pid, sig)
gunicorn.arbiter.Arbiter.kill_worker = kill_worker
"""


def test_worker_that_holds_its_gil_has_as_long_to_end_as_without_slowhound(deploy: Deploy) -> None:
    """A child that looks at it wakes the arbiter, which does not kill any earlier for that."""
    site = deploy(
        workers=2, conf=KILLS, gunicorn_args=["--preload"], warm=True, settings={"SLOW_AFTER": 1.0}
    )
    wire = site.open("/holding/")
    event = site.terminal(wire.agent)
    wire.close()
    assert event["event_type"] == "timeout"
    lines = [line.split() for line in (site.scratch / "kills").read_text().splitlines()]
    assert [int(number) for number, _ in lines] == [signal.SIGABRT, signal.SIGKILL]
    # Gunicorn looks for workers to kill once a second.
    assert float(lines[1][1]) - float(lines[0][1]) >= 0.9
    assert event["report"]
    assert event["gil_hold_est"] <= event["resp_time"]


TRIES = 36


def ends(site: Site, paths: list[str]) -> list[Wire]:
    """Requests to all of these at once, all of them answered or dropped."""
    wires = [site.open(path) for path in paths]
    site.read_all(wires)
    return wires


def test_request_that_ends_about_when_it_times_out(deploy: Deploy) -> None:
    """Many requests that end just before or after their timeout: one event each, never none."""
    site = deploy(workers=12, conf="timeout = 1", gunicorn_args=["--preload"], warm=True)
    chance = random.Random(4711)
    paths = [
        f"/started/about-{number}/{chance.uniform(0.95, 2.05):.4f}/" for number in range(TRIES)
    ]
    wires = [wire for at in range(0, TRIES, 12) for wire in ends(site, paths[at : at + 12])]
    reached = [
        wire.agent
        for number, wire in enumerate(wires)
        if (site.scratch / f"about-{number}.started").exists()
    ]
    assert reached  # on a busy machine most of them time out before they reach the view
    check_once(site, reached)
    kinds = {event["event_type"] for event in terminal_events(site)}
    assert kinds <= {"request", "timeout"}
    assert set(counted(site).values()) == {1}
    check_boxes_are_of_the_living(site)


def test_abort_in_the_moment_in_which_a_request_ends(deploy: Deploy) -> None:
    """SIGABRT at any point of a request's end, slowhound's own code included, costs no event."""
    site = deploy(workers=4, gunicorn_args=["--preload"], conf="timeout = 30")
    chance = random.Random(4711)
    answered, reached = 0, []
    for number in range(TRIES):
        wire = site.open(f"/abort-soon/abort-{number}/{chance.randrange(0, 2500)}/")
        answered += wire.read_what_comes().startswith(b"HTTP/1.1 200")
        # The abort of one may come when its worker has just accepted the next.
        if (site.scratch / f"abort-{number}.started").exists():
            reached.append(wire.agent)
    check_once(site, reached)
    # What was aborted before its headers were read has no agent.
    assert {count for agent, count in counted(site).items() if agent} == {1}
    assert answered
    assert len(reached) > TRIES / 2
    eventually(lambda: len(site.worker_pids()) == 4, "all workers")
    check_boxes_are_of_the_living(site)
    site.stop()
    assert boxes(site) == []
