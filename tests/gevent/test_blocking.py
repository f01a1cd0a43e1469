"""A greenlet that blocks its hub, and so all the others: who it is, and who waits for it."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.gevent.conftest import Greenlets
from tests.harness.accounts import check_once
from tests.harness.gil import (
    DEADLINE,
    HELD,
    SLOW_AFTER,
    Held,
    ask,
    check_reported_once,
    reported_while_held,
)
from tests.harness.recorded import TERMINAL
from tests.harness.site import Site
from tests.harness.sources import loc
from tests.harness.waiting import eventually


def begin(site: Site, view: str, name: str) -> Held:
    """A request that has begun to block."""
    held = ask(site, name, f"/{view}/{name}/")
    held.wait_begun()
    return held


def waiting(site: Site, name: str) -> Held:
    """A request that waits as greenlets do, until its gate is opened."""
    held = ask(site, name, f"/waits/in_sleep/{name}/?badge=any")
    site.gate(name).wait_entered()
    return held


BLOCKING = [("spin", "_spins"), ("block", "_blocks")]


@pytest.mark.parametrize(("view", "function"), BLOCKING)
def test_greenlet_that_blocks_the_hub_is_named_while_it_does(
    shared: Site, view: str, function: str
) -> None:
    """A loop in Python, or a sleep unknown to gevent: who, where, and how many wait for it."""
    victim = waiting(shared, f"{view}-victim")
    culprit = begin(shared, view, f"{view}-culprit")
    stall = shared.wait_event(
        event_type="stall", stall_kind="hub", stall_by=lambda by: f" {view} at " in (by or "")
    )
    slow = shared.slow(culprit.agent)
    report = shared.wait_report(f"/{view}/{view}-culprit/", f", in {function}\n")
    assert not culprit.events(*TERMINAL)
    culprit.release()
    event = culprit.wait_end()
    shared.gate(victim.name).open()
    blocked = victim.wait_end()
    where = f"{event['req_id']} {view} at tests/gevent/views.py:"
    assert stall["stall_by"].startswith(where)
    assert stall["stall_requests"] == 1
    assert slow["slow_stack_by"] == "hound"
    assert HELD not in report.text
    assert blocked["loop_lag"] >= stall["stall_time"]
    # Where it was at the last check: perhaps it was just sending its response.
    assert blocked["loop_blocked_by"].startswith(f"{event['req_id']} {view} at ")
    assert not {"loop_lag", "loop_blocked_by"} & set(event)
    assert not {"gil_wait_est", "gil_hold_est"} & {*blocked, *event}
    check_once(shared, [culprit.agent, victim.agent])


def test_blocking_greenlet_that_is_no_requests_is_named_by_its_line(shared: Site) -> None:
    """To which request a spawned greenlet belongs is not known; the line that blocks is."""
    held = begin(shared, "blocking-spawn", "spawned")
    nobody = "no request at tests/gevent/views.py:"
    shared.wait_event(event_type="stall", stall_by=lambda by: (by or "").startswith(nobody))
    held.release()
    assert held.wait_end()["loop_blocked_by"].startswith(nobody)


def test_c_call_that_holds_the_gil_is_attributed_to_its_request_afterwards(
    greenlets: Greenlets,
) -> None:
    """Beside others the arbiter only reports the line; the hound, once awake, knows the request."""
    site = greenlets(settings={"SLOW_AFTER": SLOW_AFTER})
    victim = waiting(site, "power-victim")
    site.wait_report("/waits/in_sleep/power-victim/")
    culprit = ask(site, "power", "/gil/power/power/")
    where = loc("views/gil.py", "power", "power")
    try:
        told = site.wait_event(
            deadline=DEADLINE, event_type="stall", stall_kind="gil", stall_in=where
        )
        assert not culprit.events("slow", *TERMINAL)
        culprit.wait_held(SLOW_AFTER)
    finally:
        culprit.release()
    event = culprit.wait_end()
    site.gate(victim.name).open()
    robbed = victim.wait_end()
    slow = site.slow(culprit.agent)
    assert told["stall_requests"] == 2
    assert event["gil_hold_est"] >= SLOW_AFTER
    assert "gil_hold_est" not in robbed
    assert robbed["gil_wait_est"] >= SLOW_AFTER
    assert robbed["gil_held_by"].startswith(f"{event['req_id']} ")
    file, line, function = where.split(":")
    (innocent,) = victim.reports()
    frame = f'{file}", line {line}, in {function}\n'
    assert frame not in innocent.text
    (guilty,) = culprit.reports()
    assert guilty.path.name == Path(slow["report"]).name
    assert slow.get("slow_stack_by") in (None, "hound")
    check_once(site, [culprit.agent, victim.agent])


def test_only_request_of_the_thread_is_reported_while_it_holds_the_gil(
    greenlets: Greenlets,
) -> None:
    """By the arbiter, with its line, as under the other workers."""
    site = greenlets(settings={"SLOW_AFTER": SLOW_AFTER})
    held = begin(site, "gil/native", "alone")
    try:
        slow, report = reported_while_held(held)
    finally:
        held.release()
    where = loc("views/gil.py", "native", "_native_until_seen")
    assert check_reported_once(held, slow, report, where)["resp_view"] == "gil-native"


def test_log_record_of_the_hound_waits_for_a_greenlet_and_goes_on(greenlets: Greenlets) -> None:
    """A handler's lock is a greenlet's while that waits; slowhound's own word comes after it."""
    sinks = [{"sink": "tests.site.sinks.RaisingSink"}]
    # Only the first failure is logged: it must not be that of a request that waits for imports.
    slow_after = {"logs-slowly": 0.3, "in_sleep": 0.3, "*": 60}
    site = greenlets(settings={"SLOW_AFTER": slow_after, "SINKS": sinks})
    site.get("/fast/")
    held = begin(site, "logs-slowly", "word")
    eventually((site.scratch / "sink.txt").exists, "a sink that fails")
    # Its thread wants to log that, while the hound goes on.
    slow = waiting(site, "later")
    site.wait_report("/waits/in_sleep/later/")
    held.release()
    assert held.wait_end()["report"]
    heard = site.scratch / "heard.txt"
    eventually(lambda: heard.exists() and "RaisingSink failed" in heard.read_text(), "the word")
    site.gate("later").open()
    slow.wait_end()
    check_once(site, [held.agent, slow.agent])
    assert site.stop() == 0
