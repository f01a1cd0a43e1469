"""C code that holds the GIL: its request is reported while it is stuck, by whoever can still run.

What holds the GIL says through a file that it has begun. Where it can be, it is ended by the test,
once that has seen the report: then no time limit is in it.
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

# Whoever looks, at whichever thread; and what slow code in C is mostly.
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
def test_code_in_c_is_reported_while_it_is_stuck(gil_site: Site, kind: str, name: str) -> None:
    """Native code, a sort, a regular expression, a power; or a wait for another process's lock.

    The report has the line before the response comes.
    """
    with locked(gil_site.scratch / f"{name}.lock"):
        held = ask(gil_site, name, f"/gil/{kind}/{name}/")
        held.wait_begun()
        try:
            slow, report = reported_while_held(held)
        finally:
            held.release()
    mark, function = FRAMES.get(kind, (kind, kind))
    event = check_reported_once(held, slow, report, loc("views/gil.py", mark, function))
    # One that slept used no CPU: only its neighbour could see that it held the GIL.
    if kind != "lock":
        assert SLOW_AFTER / 2 <= event["gil_hold_est"] <= event["resp_time"]
    assert SLOW_AFTER / 2 <= slow["gil_hold_est"] <= slow["resp_time"]


def test_first_request_of_a_worker_is_reported(serve: Launcher, name: str) -> None:
    """One that holds the GIL before the hound of its new worker has looked for the first time."""
    site = serve(settings={"SLOW_AFTER": SLOW_AFTER})
    with locked(site.scratch / f"{name}.lock"):
        held = ask(site, name, f"/gil/lock/{name}/")
        held.wait_begun()
        reported_while_held(held)
    held.wait_end()


@pytest.mark.parametrize(
    ("gil_site", "kind"), [("unread", "native"), ("unread-2", "lock")], indirect=["gil_site"]
)
def test_where_no_stack_can_be_read_the_report_says_so_and_all_else(
    gil_site: Site, kind: str, name: str
) -> None:
    """While it is stuck: that the GIL is held, by whom as it seems, for how long; no stack."""
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
    """With its age, where no other can be had."""
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
def test_worker_handles_no_signal_more_and_has_no_timer(
    gil_site: Site, serve_module: Launcher
) -> None:
    """Beside those of fatal errors: nothing can be sent into what it runs."""
    (pid,) = gil_site.worker_pids()
    assert Path(f"/proc/{pid}/timers").read_text() == ""
    without = serve_module(settings=None, worker="sync")
    without.get("/ok/")  # its worker has set its own by now
    fatal = {signal.SIGSEGV, signal.SIGBUS, signal.SIGFPE, signal.SIGILL}
    of_the_c_library = {32, 33}  # for threads, from the first one on
    assert caught(pid) - caught(without.worker_pids()[0]) <= fatal | of_the_c_library
