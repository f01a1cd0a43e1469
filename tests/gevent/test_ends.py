"""Gevent workers that end or are ended: one terminal event for each request in flight."""

from __future__ import annotations

import os
import signal

from tests.gevent.conftest import Greenlets
from tests.gevent.kinds import WAITS
from tests.harness.accounts import (
    boxes,
    check_boxes_are_of_running_workers,
    check_once,
    counted,
)
from tests.harness.client import Wire
from tests.harness.recorded import Event
from tests.harness.site import Site
from tests.harness.timeouts import KILLS_LATER, NEVER, let_kill, make_overdue
from tests.harness.waiting import eventually


def in_flight(site: Site, gate: str) -> dict[str, Wire]:
    """A request that waits in each way there is."""
    wires = {kind: site.open(f"/waits/{kind}/{gate}/?badge={kind}") for kind in WAITS}
    site.gate(gate).wait_entered(len(wires))
    return wires


def ended(site: Site, wires: dict[str, Wire]) -> dict[str, Event]:
    """The one terminal event of each."""
    check_once(site, [wire.agent for wire in wires.values()])
    for wire in wires.values():
        wire.close()
    return {kind: site.terminal(wire.agent) for kind, wire in wires.items()}


def kinds(events: dict[str, Event]) -> set[tuple[str, str]]:
    return {(event["event_type"], event["resp_outcome"]) for event in events.values()}


def test_worker_that_is_killed(greenlets: Greenlets) -> None:
    """Each request in flight has its crash event, and the place is its own greenlet's."""
    site = greenlets()
    wires = in_flight(site, "killed")
    # The watchdog has sampled all of them.
    (box,) = site.dir.glob("boxes/*.box")
    eventually(
        lambda: box.read_bytes().count(b"_until_open") >= len(wires),
        "a sample of each",
        transcript=site.process.transcript,
    )
    os.kill(site.worker_pids()[0], signal.SIGKILL)
    events = ended(site, wires)
    assert kinds(events) == {("crash", "killed")}
    for kind, event in events.items():
        assert event["crash_signal"] == "SIGKILL"
        stack = str(event["crash_stack"])
        assert ":_until_open" in stack
        assert not [other for other in WAITS if other != kind and f":{other}" in stack]
    check_boxes_are_of_running_workers(site)


def test_greenlet_that_blocks_for_too_long_is_aborted_and_the_others_go_on(
    greenlets: Greenlets,
) -> None:
    """The culprit times out where it blocks; what only waited is answered, or killed in the end."""
    site = greenlets(conf=f"graceful_timeout = 5\n{NEVER}{KILLS_LATER}")
    answered = site.start("/waits/in_sleep/answered/?badge=any")
    left = site.open("/waits/in_sleep/left/?badge=any")
    for name in ("answered", "left"):
        site.gate(name).wait_entered()
    culprit = site.open("/block/never/")
    eventually((site.scratch / "never.begun").exists, "it blocks")
    make_overdue(site.worker_pids()[0])
    site.gate("answered").open()  # which it sees when nobody blocks any more
    event = site.terminal(culprit.agent)
    assert (event["event_type"], event["resp_outcome"]) == ("timeout", "timeout")
    assert event["timeout_cause_loc"].startswith("tests/gevent/views.py:")
    assert event["timeout_stack_age"] == 0
    assert answered.result().status == 200
    let_kill(site)
    check_once(site, [answered.result().agent, left.agent, culprit.agent])
    assert site.terminal(answered.result().agent)["resp_outcome"] == "ok"
    assert site.terminal(left.agent)["resp_outcome"] in ("killed", "timeout")
    for wire in (culprit, left):
        wire.close()
    check_boxes_are_of_running_workers(site)


def test_worker_that_can_only_be_killed_when_it_times_out(greenlets: Greenlets) -> None:
    """C code that holds the GIL with SIGABRT blocked ends all the requests of its worker."""
    site = greenlets(conf=NEVER)
    wires = in_flight(site, "robbed")
    wires["holding"] = site.open("/holding/holding/")
    site.gate("holding").open()
    eventually((site.scratch / "holding.held").exists, "the GIL is held")
    make_overdue(site.worker_pids()[0])
    assert kinds(ended(site, wires)) == {("timeout", "timeout")}
    check_boxes_are_of_running_workers(site)


def test_graceful_stop_lets_all_greenlets_end(greenlets: Greenlets) -> None:
    """Requests in flight when the server is told to stop are answered and have their events."""
    site = greenlets(conf="graceful_timeout = 30")
    wires = in_flight(site, "stopping")
    site.process.terminate()
    site.gate("stopping").open()
    site.read_all(list(wires.values()))
    assert site.stop() == 0
    assert kinds(ended(site, wires)) == {("request", "ok")}
    assert boxes(site) == []


def test_stop_that_waits_for_too_long_kills_the_greenlets(greenlets: Greenlets) -> None:
    """What does not end within graceful_timeout is killed, and has its event all the same."""
    site = greenlets(conf="graceful_timeout = 1")
    wires = in_flight(site, "never")
    site.stop()
    assert {outcome for _, outcome in kinds(ended(site, wires))} == {"killed"}
    assert boxes(site) == []


def test_recycled_workers_lose_nothing(greenlets: Greenlets) -> None:
    """Workers that end after some requests each, with others in flight, account for them all."""
    site = greenlets(workers=2, conf="max_requests = 7")
    paths = ["/fast/", "/n1/", "/sleep/0.02/", "/raise/"] * 6
    wires = [site.open(path) for path in paths]
    whole = [wire for wire in wires if wire.read_what_comes().startswith(b"HTTP/1.1 ")]
    assert len(whole) > len(paths) / 2
    check_once(site, [wire.agent for wire in whole])
    assert {count for agent, count in counted(site).items() if agent} == {1}
    check_boxes_are_of_running_workers(site)


def test_reload_with_requests_in_flight(greenlets: Greenlets) -> None:
    """The old worker ends its requests beside the new one; each has its event."""
    site = greenlets(conf="graceful_timeout = 30")
    wires = in_flight(site, "reloading")
    (old,) = site.worker_pids()
    os.kill(site.process.pid, signal.SIGHUP)
    eventually(lambda: set(site.worker_pids()) - {old}, "a new worker")
    fresh = eventually(
        lambda: event if (event := site.event("/fast/"))["pid"] != old else None,
        "an answer of the new one",
    )
    assert fresh["resp_outcome"] == "ok"
    site.gate("reloading").open()
    site.read_all(list(wires.values()))
    events = ended(site, wires)
    assert kinds(events) == {("request", "ok")}
    assert {event["pid"] for event in events.values()} == {old}
    check_boxes_are_of_running_workers(site)


def test_abort_in_the_moment_in_which_a_request_ends(greenlets: Greenlets) -> None:
    """SIGABRT in the middle of slowhound's own code at a request's end waits for its event."""
    site = greenlets(gunicorn_args=["--preload"])
    wire = site.open("/fast/?abort")
    assert wire.read_what_comes().startswith(b"HTTP/1.1 200")
    check_once(site, [wire.agent])
    assert site.terminal(wire.agent)["event_type"] == "request"
    check_boxes_are_of_running_workers(site)


def test_worker_that_faults(greenlets: Greenlets) -> None:
    """The thread's stack at the fault is that of the one request it carried."""
    site = greenlets()
    wire = site.open("/segfault/")
    (event,) = ended(site, {"faults": wire}).values()
    assert (event["event_type"], event["crash_cause"]) == ("crash", "segfault")
    assert event["crash_stack_by"] == "fault"
    assert ":segfault" in event["crash_stack"]
