"""Requests beside C code that holds the GIL: what is attributed to it, and what is not."""

from __future__ import annotations

from pathlib import Path

import pytest

from slowhound.gil.unresponsive import UNRESPONSIVE_AFTER
from tests.harness.accounts import check_once
from tests.harness.gil import (
    DEADLINE,
    HELD,
    SLOW_AFTER,
    ask,
    locked,
    reported_while_held,
    seconds_silent,
    wait_held,
)
from tests.harness.site import Site
from tests.harness.stopped import stopped
from tests.harness.waiting import eventually

only_gthread = pytest.mark.parametrize("gil_site", ["gthread"], indirect=True)


@only_gthread
def test_request_that_is_slow_already_is_not_reported_again(gil_site: Site, name: str) -> None:
    """A request that was reported before it held the GIL is not reported again."""
    with locked(gil_site.scratch / f"{name}.lock"):
        held = ask(gil_site, name, f"/gil/lock-when/reported/{name}/")
        held.wait_begun()
        # Long enough for the arbiter to check twice.
        pid = gil_site.worker_pids()[0]
        eventually(
            lambda: seconds_silent(gil_site, pid) > 2 * UNRESPONSIVE_AFTER + 1, "two checks of it"
        )
    event = held.wait_end()
    assert event["report"]
    eventually(
        lambda: any("\nFinished after " in each.text for each in held.reports()), "the end in it"
    )
    assert len(held.reports()) == 1
    assert [each["slow_stack_by"] for each in held.events("slow")] == ["hound"]


@only_gthread
def test_request_that_waited_for_the_gil_has_its_holder(gil_site: Site, name: str) -> None:
    """A request that waited for the GIL has how long, for which request, and where that was."""
    victim = ask(gil_site, f"{name}-victim", f"/gate/{name}-victim/")
    gil_site.gate(f"{name}-victim").wait_entered()
    thief = ask(gil_site, f"{name}-thief", f"/gil/native/{name}-thief/")
    thief.wait_begun()
    try:
        slow, _ = reported_while_held(thief)
        thief.wait_held(SLOW_AFTER)
    finally:
        thief.release()
    stolen = thief.wait_end()
    gil_site.gate(f"{name}-victim").open()
    robbed = victim.wait_end()
    assert robbed["gil_held_by"].startswith(f"{slow['req_id']} ")
    assert SLOW_AFTER <= robbed["gil_wait_est"] <= robbed["resp_time"]
    assert "gil_hold_est" not in robbed
    assert "gil_wait_est" not in stolen


@only_gthread
def test_thread_without_a_request_is_named(gil_site: Site, name: str) -> None:
    """A background thread that held the GIL is named, with its line."""
    gil_site.get(f"/gil/in-background/{name}/")
    victim = ask(gil_site, f"{name}-victim", f"/gil/beside/{name}-victim/")
    gil_site.gate(f"{name}-victim").wait_entered()
    pid = gil_site.worker_pids()[0]
    gil_site.gate(name).wait_entered()
    thread = int((gil_site.scratch / f"{name}.thread").read_text())
    gil_site.gate(name).open()
    try:
        maybe_waited = "this one may have waited for it"
        gil_site.wait_report(f"/{name}-victim/", maybe_waited, deadline=DEADLINE)
        wait_held(gil_site, pid, thread, SLOW_AFTER)
    finally:
        (gil_site.scratch / f"{name}.seen").touch()
    # The arbiter has reported it; the worker itself adds its current stack.
    report = gil_site.wait_report(f"/gil/beside/{name}-victim/", "Still running after")
    assert maybe_waited in report.text
    assert "The stack is the same" not in report.text
    assert "tests/site/gates.py" in report.text
    gil_site.gate(f"{name}-victim").open()
    event = victim.wait_end()
    gil_site.gate(f"{name}-over").open()
    assert event["gil_held_by"].startswith("thread nightly-import, afterwards at tests/site/")
    assert event["gil_wait_est"] >= SLOW_AFTER
    assert "gil_hold_est" not in event


@only_gthread
def test_request_that_sleeps_beside_is_not_blamed(gil_site: Site, name: str) -> None:
    """A request in a system call without the GIL is not reported as its holder."""
    with locked(gil_site.scratch / f"{name}-asleep.lock"):
        asleep = ask(gil_site, f"{name}-asleep", f"/gil/sleeps/{name}-asleep/")
        asleep.wait_begun()
        with locked(gil_site.scratch / f"{name}-thief.lock"):
            thief = ask(gil_site, f"{name}-thief", f"/gil/lock/{name}-thief/")
            thief.wait_begun()
            reported_while_held(thief)
        thief.wait_end()
    event = asleep.wait_end()
    assert "gil_hold_est" not in event
    for slow in asleep.events("slow"):
        assert "gil_hold_est" not in slow


def pending_signals(pid: int) -> set[str]:
    """The signals that are pending for a process or its threads."""
    tasks = [Path(f"/proc/{pid}/status"), *Path(f"/proc/{pid}/task").glob("*/status")]
    lines = [line for task in tasks for line in task.read_text().splitlines()]
    return {line.split()[1] for line in lines if line.startswith(("SigPnd:", "ShdPnd:"))}


@only_gthread
def test_stopped_worker_is_not_blamed(gil_site: Site, name: str) -> None:
    """A stopped process is not reported as holding the GIL, gets no signal, and goes on."""
    held = ask(gil_site, name, f"/gate/{name}/")
    gil_site.gate(name).wait_entered()
    pid = gil_site.worker_pids()[0]
    with stopped([pid]):
        # If the machine takes a second to get here, the worker itself has reported it.
        before = len(held.events("slow")), len(held.reports())
        # The arbiter checks a worker after 1.5 s of silence, and again a second later.
        eventually(
            lambda: seconds_silent(gil_site, pid) > 2 * UNRESPONSIVE_AFTER + 1, "two checks of it"
        )
        assert pending_signals(pid) == {"0" * 16}
        assert (len(held.events("slow")), len(held.reports())) == before
    # The report is the worker's own, which runs again.
    slow = gil_site.wait_event(event_type="slow", req_user_agent=held.agent)
    gil_site.gate(name).open()
    event = held.wait_end()
    assert slow["slow_stack_by"] == "hound"
    assert not {"gil_hold_est", "gil_wait_est", "gil_held_by"} & set(event)
    (report,) = held.reports()
    assert HELD not in report.text
    after = gil_site.event("/ok/")
    assert {event["pid"], after["pid"]} == {pid}
    check_once(gil_site, [held.agent, after["req_user_agent"]])
