"""Each request that Gunicorn's timeout ends has one timeout event."""

from __future__ import annotations

import signal

import pytest

from tests.deploy.conftest import Deploy
from tests.harness.accounts import (
    boxes,
    check_boxes_are_of_running_workers,
    check_once,
    counted,
    terminal_events,
)
from tests.harness.recorded import Event
from tests.harness.sources import loc
from tests.harness.timeouts import KILLS_LATER, NEVER, in_flight, let_kill, make_overdue
from tests.harness.waiting import eventually

PATHS = {
    "asleep": "/gate/asleep/",
    "deaf": "/deaf/deaf/",
    "holding": "/holding/holding/",
    "sql": "/endless-sql/",
}


@pytest.fixture(scope="module")
def ended(deploy_module: Deploy) -> dict[str, Event]:
    """The terminal events of requests that time out together, each in its own sync worker."""
    site = deploy_module(
        workers=len(PATHS),
        conf=NEVER + KILLS_LATER,
        gunicorn_args=["--preload"],
        middleware=False,
        warm=True,
    )
    wires = {name: site.open(path) for name, path in PATHS.items()}
    seen = {
        "asleep": in_flight(site, PATHS["asleep"], "gates.py"),
        "deaf": in_flight(site, PATHS["deaf"], "gates.py"),
        "holding": in_flight(site, PATHS["holding"], "gates.py"),
        "sql": in_flight(site, PATHS["sql"], "deaths.py", sql=True),
    }
    site.gate("holding").open()
    eventually((site.scratch / "holding.held").exists, "the GIL is held")
    for each in seen.values():
        make_overdue(each.pid)
    site.terminal(wires["asleep"].agent)
    let_kill(site)
    found = {name: site.terminal(wire.agent) for name, wire in wires.items()}
    check_once(site, [wire.agent for wire in wires.values()])
    for wire in wires.values():
        wire.close()
    check_boxes_are_of_running_workers(site)
    return found


@pytest.mark.parametrize("name", list(PATHS))
def test_request_that_times_out_has_a_timeout_event(ended: dict[str, Event], name: str) -> None:
    """A request that sleeps, ignores SIGABRT, holds the GIL or queries has one timeout event."""
    event = ended[name]
    assert (event["event_type"], event["resp_outcome"]) == ("timeout", "timeout")
    assert event["req_path"] == PATHS[name]
    assert event["resp_time"] > 0
    assert event["g_w_count"] >= 1


def test_aborted_request_has_its_line(ended: dict[str, Event]) -> None:
    """The event of an aborted view has the line and the stack of that moment."""
    event = ended["asleep"]
    assert event["timeout_loc"].startswith("tests/site/middleware.py:")
    assert event["timeout_cause_loc"].startswith("tests/site/gates.py:")
    assert event["timeout_stack_age"] == 0
    assert event["resp_view"] == "gate"


def test_killed_request_has_the_line_of_the_last_sample(ended: dict[str, Event]) -> None:
    """The event of a killed view has the line and the age of the last sample."""
    event = ended["deaf"]
    assert loc("views/deaths.py", "deaf", "deaf") in event["timeout_stack"]
    assert event["timeout_cause_loc"].startswith("tests/site/gates.py:")
    assert 0 <= event["timeout_stack_age"] < event["resp_time"]
    assert event["resp_view"] == "deaf"


def test_request_that_held_the_gil_has_a_stack_from_before(ended: dict[str, Event]) -> None:
    """The event of a view that held the GIL has a stack of the view from before."""
    event = ended["holding"]
    places = [loc("views/deaths.py", mark, "holding_from") for mark in ("seen at the gate", "held")]
    assert any(place in event["timeout_stack"] for place in places), event["timeout_stack"]
    if event["timeout_stack_by"] == "hound":
        assert event["timeout_stack_age"] > 0


def test_request_in_a_query_has_the_statement(ended: dict[str, Event]) -> None:
    """The event of a request that is killed in a query has the statement, without literals."""
    event = ended["sql"]
    assert event["timeout_sql"].startswith("WITH RECURSIVE endless(n) AS")
    assert "secret" not in event["timeout_sql"]
    assert 0 < event["timeout_sql_time"] <= event["resp_time"]
    assert event["timeout_cause_loc"] == loc("views/deaths.py", "endless", "endless_sql")


@pytest.mark.parametrize(
    ("worker", "kind", "outcome"),
    [("sync", "request", "error"), ("gthread", "request", "ok")],
)
def test_worker_that_aborts_itself_does_not_time_out(
    deploy: Deploy, worker: str, kind: str, outcome: str
) -> None:
    """A SIGABRT that a view sends raises in the view, or in the main thread, and is no timeout."""
    site = deploy(worker=worker, conf=NEVER, gunicorn_args=["--preload"])
    site.gate("itself").open()
    wire = site.open("/aborts/itself/")
    event = site.terminal(wire.agent)
    wire.close()
    assert (event["event_type"], event["resp_outcome"]) == (kind, outcome)
    if worker == "sync":
        assert (event["exc_type"], event["resp_status"]) == ("SystemExit", 500)
        assert event["exc_cause_loc"].startswith("tests/site/views/deaths.py:")
    check_once(site, [wire.agent])
    check_boxes_are_of_running_workers(site)


HANG = """
def post_worker_init(worker):
    from tests.site.views.deaths import hang_on_signal
    hang_on_signal()
"""


def test_gthread_worker_whose_main_thread_hangs(deploy: Deploy) -> None:
    """If a gthread worker times out, each of its requests in flight has one event."""
    site = deploy(worker="gthread", threads=4, conf=NEVER + HANG, gunicorn_args=["--preload"])
    wires = [site.open(path) for path in ("/gate/one/", "/stream-gated/two/", "/deaf-less/")]
    wires[2].read_all()
    site.gate("one").wait_entered()
    site.gate("two").wait_entered()
    wires.append(site.open("/main-stuck/three/"))
    site.gate("three").wait_entered()
    eventually((site.scratch / "main.stuck").exists, "the main thread hangs")
    make_overdue(in_flight(site, "/gate/one/").pid)
    agents = [wire.agent for wire in wires]
    check_once(site, agents)
    kinds = [site.terminal(agent)["event_type"] for agent in agents]
    assert kinds == ["timeout", "timeout", "request", "timeout"]
    for wire in wires:
        wire.close()
    check_boxes_are_of_running_workers(site)


def test_gthread_worker_whose_gil_is_held(deploy: Deploy) -> None:
    """If C code holds the GIL, the whole worker times out: each request has one event."""
    site = deploy(worker="gthread", threads=4, conf=NEVER, gunicorn_args=["--preload"])
    wires = [site.open(path) for path in ("/gate/one/", "/gate/two/", "/holding/three/")]
    for name in ("one", "two", "three"):
        site.gate(name).wait_entered()
    site.gate("three").open()
    eventually((site.scratch / "three.held").exists, "the GIL is held")
    make_overdue(in_flight(site, "/gate/one/").pid)
    check_once(site, [wire.agent for wire in wires])
    assert {site.terminal(wire.agent)["event_type"] for wire in wires} == {"timeout"}
    for wire in wires:
        wire.close()
    check_boxes_are_of_running_workers(site)


# With each SIGABRT a child of slowhound's starts, whose end wakes the arbiter at once.
KILLS = """
import gunicorn.arbiter, os, signal, time
from slowhound.gunicorn import children
kills = os.path.join(os.path.dirname(__file__), "kills")
kill = gunicorn.arbiter.Arbiter.kill_worker
def kill_worker(self, pid, sig):
    with open(kills, "a") as file:
        print(int(sig), time.monotonic(), file=file)
    kill(self, pid, sig)
    if sig == signal.SIGABRT:
        children.in_child(self.cfg, lambda: None)
gunicorn.arbiter.Arbiter.kill_worker = kill_worker
"""


def test_worker_that_holds_the_gil_is_not_killed_earlier_than_without_slowhound(
    deploy: Deploy,
) -> None:
    """A child of slowhound's wakes the arbiter, which does not kill the worker earlier for it."""
    site = deploy(
        workers=2,
        conf=NEVER + KILLS,
        gunicorn_args=["--preload"],
        settings={"SLOW_AFTER": 2.0},
        warm=True,
    )
    site.gate("held").open()  # its hound must have no time to report it
    wire = site.open("/holding/held/")
    eventually((site.scratch / "held.held").exists, "the GIL is held")
    site.wait_report("/holding/held/")
    make_overdue(in_flight(site, "/holding/held/").pid)
    event = site.terminal(wire.agent)
    wire.close()
    assert event["event_type"] == "timeout"
    lines = [line.split() for line in (site.scratch / "kills").read_text().splitlines()]
    assert [int(number) for number, _ in lines] == [signal.SIGABRT, signal.SIGKILL]
    # One second, after which Gunicorn's loop runs anyway; with the early wake-up it was 0.02.
    assert float(lines[1][1]) - float(lines[0][1]) >= 0.5
    assert event["report"]
    assert event["gil_hold_est"] <= event["resp_time"]


def test_request_that_ends_while_gunicorn_aborts_its_worker(deploy: Deploy) -> None:
    """An abort while the event is being written leaves that event, and no second one."""
    site = deploy(
        conf=NEVER + KILLS_LATER,
        gunicorn_args=["--preload"],
        instrumenters=True,
        django={"WAITS_FOR_ABORT": True},
    )
    wire = site.open("/item/1/")
    pid = site.worker_pids()[0]
    eventually((site.scratch / "ending").exists, "its end", transcript=site.process.transcript)
    make_overdue(pid)
    assert b"\r\nitem 1\r\n" in wire.read_what_comes()
    eventually(lambda: site.worker_pids() not in ([], [pid]), "a new worker")
    check_once(site, [wire.agent, site.get("/ok/").agent])
    assert site.terminal(wire.agent)["event_type"] == "request"
    check_boxes_are_of_running_workers(site)


SIGNALS = 8


@pytest.mark.parametrize("number", [signal.SIGABRT, signal.SIGKILL], ids=["SIGABRT", "SIGKILL"])
def test_signal_in_any_line_in_which_a_request_ends(deploy: Deploy, number: signal.Signals) -> None:
    """A signal at any line in which a request ends, in slowhound too, leaves one event."""
    site = deploy(workers=4, gunicorn_args=["--preload"], conf=NEVER, warm=True)
    assert site.get(f"/signal-at/none/0/{number}/").text == "soon"
    counts = site.scratch / "none.lines"
    lines = int(eventually(lambda: counts.exists() and counts.read_text(), "a count of its lines"))
    assert lines > 10 * SIGNALS
    agents, answers = [], set()
    for line in (1 + lines * each // SIGNALS for each in range(SIGNALS)):
        wire = site.open(f"/signal-at/line-{line}/{line}/{number}/")
        answers.add(wire.read_what_comes().startswith(b"HTTP/1.1 200"))
        agents.append(wire.agent)
    # A worker may be killed between its two writes, of the event and of the line.
    check_once(site, agents, torn=SIGNALS if number == signal.SIGKILL else 0)
    assert set(counted(site).values()) == {1}
    kinds = {event["event_type"] for event in terminal_events(site)}
    # The arbiter has sent none of these signals, so its events are crashes.
    assert kinds - {"crash"} == (
        {"request"} if number == signal.SIGKILL else {"request", "timeout"}
    )
    assert answers == {True, False}
    eventually(lambda: len(site.worker_pids()) == 4, "all workers")
    check_boxes_are_of_running_workers(site)
    site.stop()
    assert boxes(site) == []
