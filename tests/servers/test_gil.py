"""Requests whose C code holds the GIL are reported while they hold it, by another process.

A file shows that the hold has begun. Where possible the test ends it after it has seen the report,
so that no time limit matters.
"""

from __future__ import annotations

import re
import signal
from pathlib import Path

import pytest

from tests.harness.accounts import check_once
from tests.harness.gil import (
    DEADLINE,
    SLOW_AFTER,
    ask,
    check_reported_once,
    locked,
    reported_while_held,
)
from tests.harness.launch import Launcher
from tests.harness.site import Site
from tests.harness.sources import loc
from tests.harness.waiting import eventually

# All readers and kinds of workers, with the most frequent kinds of slow C code.
KINDS = [
    ("sync", "native"),
    ("sync-2", "native"),
    ("gthread", "native"),
    ("gthread-2", "native"),
    ("sync-2", "lock"),
    ("gthread", "lock"),
    ("sync", "sort"),
    ("gthread-2", "power"),
    ("sync-2", "regex"),
]
FRAMES = {"native": ("native", "_native_until_seen")}


@pytest.mark.parametrize(("gil_site", "kind"), KINDS, indirect=["gil_site"])
def test_code_in_c_is_reported_while_it_holds_the_gil(gil_site: Site, kind: str, name: str) -> None:
    """The report has the line while native code, a sort, a regex or a lock holds the GIL."""
    with locked(gil_site.scratch / f"{name}.lock"):
        held = ask(gil_site, name, f"/gil/{kind}/{name}/")
        held.wait_begun()
        try:
            slow, report = reported_while_held(held)
        finally:
            held.release()
    mark, function = FRAMES.get(kind, (kind, kind))
    event = check_reported_once(held, slow, report, loc("views/gil.py", mark, function))
    # A request that slept used no CPU: only a peer could see that it held the GIL.
    if kind != "lock":
        assert SLOW_AFTER / 2 <= event["gil_hold_est"] <= event["resp_time"]
    assert SLOW_AFTER / 2 <= slow["gil_hold_est"] <= slow["resp_time"]


def test_first_request_of_a_worker_is_reported(serve: Launcher, name: str) -> None:
    """A request is reported that holds the GIL before its worker's hound has run once."""
    site = serve(settings={"SLOW_AFTER": SLOW_AFTER})
    with locked(site.scratch / f"{name}.lock"):
        held = ask(site, name, f"/gil/lock/{name}/")
        held.wait_begun()
        reported_while_held(held)
    held.wait_end()


@pytest.mark.parametrize(
    ("gil_site", "kind"), [("unread", "native"), ("unread-2", "lock")], indirect=["gil_site"]
)
def test_report_without_a_stack_has_all_else(gil_site: Site, kind: str, name: str) -> None:
    """Without a stack the report still has the hold, its length and the likely holder."""
    with locked(gil_site.scratch / f"{name}.lock"):
        held = ask(gil_site, name, f"/gil/{kind}/{name}/")
        held.wait_begun()
        try:
            slow = gil_site.wait_event(
                deadline=DEADLINE, event_type="slow", req_user_agent=held.agent
            )
            report = gil_site.wait_report(f"/{name}/", "No stack: while the GIL is held")
            assert not held.answer.done()
        finally:
            held.release()
    did = "ran (or waited for a CPU)" if kind == "native" else "slept"
    assert f"most likely by this thread, which {did} all the time." in report.text
    assert re.search(r"The GIL has been held for about \d+\.\d s", report.text)
    assert slow["resp_view"]
    assert SLOW_AFTER / 2 <= slow["gil_hold_est"] <= slow["resp_time"]
    assert "slow_stack_by" not in slow or slow["slow_stack_age"] > 0
    event = held.wait_end()
    # What another process has reported is in the request's own event, too.
    same = ("req_id", "report", "slow_loc", "slow_stack_by", "slow_fingerprint")
    assert [event.get(name) for name in same] == [slow.get(name) for name in same]
    eventually(lambda: "\nFinished after " in report.path.read_text(), "the end in the report")
    assert [each.path for each in held.reports()] == [report.path]
    check_once(gil_site, [held.agent])


@pytest.mark.parametrize("gil_site", ["unread"], indirect=True)
def test_last_stack_before_the_hold_is_in_the_report(gil_site: Site, name: str) -> None:
    """The last stack before the hold is in the report, with its age, if there is no other."""
    site = gil_site
    with locked(site.scratch / f"{name}.lock"):
        held = ask(site, name, f"/gil/lock-when/seen/{name}/")
        held.wait_begun()
        slow = site.wait_event(deadline=DEADLINE, event_type="slow", req_user_agent=held.agent)
        report = site.wait_report(f"/{name}/", "No stack: while the GIL is held")
    age = re.search(r"Last known stack, (\d+\.\d+) s old, innermost last:\n", report.text)
    assert age is not None
    assert slow["slow_stack_by"] == "hound"
    assert slow["slow_stack_age"] == pytest.approx(float(age[1]), abs=0.5)
    assert slow["slow_loc"].endswith(":wait_sampled")
    assert ":wait_sampled\n" in report.text
    held.wait_end()


def caught(pid: int) -> set[int]:
    """The signals that a process handles."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    mask = next(int(line.split()[1], 16) for line in lines if line.startswith("SigCgt:"))
    return {number for number in range(1, 65) if mask >> (number - 1) & 1}


@pytest.mark.parametrize("gil_site", ["sync"], indirect=True)
def test_worker_handles_no_other_signals_and_has_no_timer(
    gil_site: Site, serve_module: Launcher
) -> None:
    """A worker handles no signals but those of fatal errors, and has no timers."""
    (pid,) = gil_site.worker_pids()
    assert Path(f"/proc/{pid}/timers").read_text() == ""
    without = serve_module(settings=None, worker="sync")
    without.get("/ok/")  # its worker has set its own by now
    fatal = {signal.SIGSEGV, signal.SIGBUS, signal.SIGFPE, signal.SIGILL}
    of_the_c_library = {32, 33}  # for threads, from the first one on
    assert caught(pid) - caught(without.worker_pids()[0]) <= fatal | of_the_c_library
