"""C code that holds the GIL: its request is reported while it is stuck, by whoever can still run.

What holds the GIL says through a file that it has begun. Where it can be, it is ended by the test,
once that has seen the report: then no time limit is in it.
"""

from __future__ import annotations

import fcntl
import itertools
import os
import re
import signal
from collections.abc import Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import pytest

from slowhound.boxes import survey
from slowhound.gil.unresponsive import UNRESPONSIVE_AFTER, silent_for
from tests.harness.accounts import check_once
from tests.harness.client import Response, new_agent
from tests.harness.launch import Launcher
from tests.harness.recorded import READ_BY, TERMINAL, Event, Report
from tests.harness.site import Site
from tests.harness.sources import loc
from tests.harness.waiting import eventually

SLOW_AFTER = 1.0
# Until the hold is seen: a second of CPU, on a machine that others use too, and the looks that
# become rarer.
DEADLINE = 20.0
HELD = "The GIL was held"
NO_READER = """
from slowhound.gil import py_spy, remote_unwinder
py_spy.command = lambda: None
remote_unwinder.available = False
"""
# With many other tests beside it py-spy may need longer than its two seconds.
PATIENT = """
from slowhound.gil import py_spy
py_spy.TIME_LIMIT = 15.0
"""
SITES = {
    "sync": {"worker": "sync", "workers": 1, "conf": PATIENT},
    "sync-2": {"worker": "sync", "workers": 2, "conf": PATIENT},
    "gthread": {"worker": "gthread", "workers": 1, "conf": PATIENT},
    "gthread-2": {"worker": "gthread", "workers": 2, "conf": PATIENT},
    # As where neither Python nor py-spy can read another process.
    "unread": {"worker": "gthread", "workers": 1, "conf": NO_READER},
    "unread-2": {"worker": "sync", "workers": 2, "conf": NO_READER},
}
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


@pytest.fixture(scope="module")
def started(serve_module: Launcher) -> dict[str, Site]:
    """The sites that were started so far."""
    return {}


@pytest.fixture
def gil_site(
    request: pytest.FixtureRequest, serve_module: Launcher, started: dict[str, Site]
) -> Site:
    """One of the sites, by its name."""
    name: str = request.param
    if name not in started:
        started[name] = serve_module(settings={"SLOW_AFTER": SLOW_AFTER}, **SITES[name])
        wait_for_hounds(started[name])
    return started[name]


def wait_for_hounds(site: Site) -> None:
    """Until the hound of each worker has looked around for the first time."""
    workers = site.worker_pids()

    def boxes() -> dict[int, int]:
        if not (site.dir / "boxes").exists():
            return {}
        return {each.pid: each.heartbeat for each in survey(str(site.dir))[0]}

    eventually(lambda: sorted(boxes()) == workers, "the boxes")
    first = boxes()
    eventually(lambda: all(boxes()[pid] > first[pid] for pid in workers), "the hounds")


only_gthread = pytest.mark.parametrize("gil_site", ["gthread"], indirect=True)


class Held(NamedTuple):
    """A request under way."""

    site: Site
    name: str
    agent: str
    answer: Future[Response]

    def wait_begun(self) -> None:
        eventually(
            (self.site.scratch / f"{self.name}.begun").exists,
            f"{self.name} begins",
            transcript=self.site.process.transcript,
        )

    def let_go(self) -> None:
        """Ends the call."""
        (self.site.scratch / f"{self.name}.seen").touch()

    def events(self, *kinds: str) -> list[Event]:
        return [
            event
            for event in self.site.events()
            if event.get("req_user_agent") == self.agent and event["event_type"] in kinds
        ]

    def reports(self) -> list[Report]:
        line = f"/{self.name}/"
        return [
            report for report in self.site.reports() if line in report.text.split("\n")[2] + "/"
        ]

    def wait_end(self) -> Event:
        """Its terminal event, after the answer."""
        assert self.answer.result().status == 200
        return self.site.terminal(self.agent)


def ask(site: Site, name: str, path: str) -> Held:
    """Sends a request."""
    agent = new_agent()
    return Held(site, name, agent, site.start(path, headers={"User-Agent": agent}))


_runs = itertools.count()


def name_of(request: pytest.FixtureRequest) -> str:
    """One that no other test has, nor an earlier run of this one."""
    name = "".join(each if each.isalnum() else "-" for each in request.node.name)
    return f"{name}-{next(_runs)}"


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Holds the lock that a view waits for."""
    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def seen_while_it_is_stuck(held: Held) -> tuple[Event, Report]:
    """The slow event and the report, which come before the request ends."""
    slow = held.site.wait_event(
        deadline=DEADLINE, event_type="slow", req_user_agent=held.agent, report=bool
    )
    report = held.site.wait_report(f"/{held.name}/", HELD)
    assert not held.events(*TERMINAL)
    assert not held.answer.done()
    return slow, report


def check_reported_once(held: Held, slow: Event, report: Report, where: str) -> Event:
    """One report and one slow event say where it was, and the end stands in the same report."""
    event = held.wait_end()
    assert slow["slow_loc"] == where
    assert slow["slow_stack_by"] == READ_BY
    assert Path(slow["report"]).name == report.path.name
    file, line, function = where.split(":")
    assert f'{file}", line {line}, in {function}\n' in report.text
    assert (event["event_type"], event["resp_status"]) == ("request", 200)
    # What another process has reported is in the request's own event, too.
    same = ("req_id", "report", "slow_loc", "slow_stack_by", "slow_fingerprint")
    assert [event.get(name) for name in same] == [slow.get(name) for name in same]
    eventually(lambda: "\nFinished after " in report.path.read_text(), "the end in the report")
    assert report.path.read_text().count("\nFinished after ") == 1
    assert report.path.read_text().startswith(report.text)
    check_once(held.site, [held.agent])
    assert [each.path for each in held.reports()] == [report.path]
    assert len(held.events("slow")) == 1
    return event


def heard_of(site: Site, pid: int) -> float:
    """For how many seconds a worker has not shown itself."""
    return next(silent_for(each) for each in survey(str(site.dir))[0] if each.pid == pid)


@pytest.mark.parametrize(("gil_site", "kind"), KINDS, indirect=["gil_site"])
def test_code_in_c_is_reported_while_it_is_stuck(
    gil_site: Site, kind: str, request: pytest.FixtureRequest
) -> None:
    """Native code, a sort, a regular expression, a power; or a wait for another process's lock.

    The report has the line before the response comes.
    """
    name = name_of(request)
    with locked(gil_site.scratch / f"{name}.lock"):
        held = ask(gil_site, name, f"/gil/{kind}/{name}/")
        held.wait_begun()
        try:
            slow, report = seen_while_it_is_stuck(held)
        finally:
            held.let_go()
    mark, function = FRAMES.get(kind, (kind, kind))
    event = check_reported_once(held, slow, report, loc("views/gil.py", mark, function))
    # One that slept used no CPU: only its neighbour could see that it held the GIL.
    if kind != "lock":
        assert SLOW_AFTER / 2 <= event["gil_hold_est"] <= event["resp_time"]
    assert SLOW_AFTER / 2 <= slow["gil_hold_est"] <= slow["resp_time"]


def test_first_request_of_a_worker_is_reported(
    serve: Launcher, request: pytest.FixtureRequest
) -> None:
    """One that holds the GIL before the hound of its new worker has looked for the first time."""
    site = serve(settings={"SLOW_AFTER": SLOW_AFTER})
    name = name_of(request)
    with locked(site.scratch / f"{name}.lock"):
        held = ask(site, name, f"/gil/lock/{name}/")
        held.wait_begun()
        seen_while_it_is_stuck(held)
    held.wait_end()


@only_gthread
def test_request_that_is_slow_already_is_not_reported_anew(
    gil_site: Site, request: pytest.FixtureRequest
) -> None:
    """One that the hound has reported before it came to hold the GIL keeps its one report."""
    name = name_of(request)
    with locked(gil_site.scratch / f"{name}.lock"):
        held = ask(gil_site, name, f"/gil/lock-when/reported/{name}/")
        held.wait_begun()
        # Long enough for the arbiter to look twice.
        pid = gil_site.worker_pids()[0]
        eventually(lambda: heard_of(gil_site, pid) > 2 * UNRESPONSIVE_AFTER + 1, "two looks at it")
    event = held.wait_end()
    assert event["report"]
    eventually(
        lambda: any("\nFinished after " in each.text for each in held.reports()), "the end in it"
    )
    assert len(held.reports()) == 1
    assert [each["slow_stack_by"] for each in held.events("slow")] == ["hound"]


@only_gthread
def test_victim_names_the_thief(gil_site: Site, request: pytest.FixtureRequest) -> None:
    """What waited for the GIL beside one that held it says how long, and for whom, and where."""
    name = name_of(request)
    victim = ask(gil_site, f"{name}-victim", f"/gate/{name}-victim/")
    gil_site.gate(f"{name}-victim").wait_entered()
    thief = ask(gil_site, f"{name}-thief", f"/gil/native/{name}-thief/")
    thief.wait_begun()
    try:
        slow, _ = seen_while_it_is_stuck(thief)
    finally:
        thief.let_go()
    stolen = thief.wait_end()
    gil_site.gate(f"{name}-victim").open()
    robbed = victim.wait_end()
    assert robbed["gil_held_by"].startswith(f"{slow['req_id']} ")
    assert SLOW_AFTER <= robbed["gil_wait_est"] <= robbed["resp_time"]
    assert "gil_hold_est" not in robbed
    assert "gil_wait_est" not in stolen


@only_gthread
def test_thread_that_is_no_requests_is_named(
    gil_site: Site, request: pytest.FixtureRequest
) -> None:
    """A background thread that held the GIL is named by its thread's name, and its line."""
    name = name_of(request)
    gil_site.get(f"/gil/in-background/{name}/")
    victim = ask(gil_site, f"{name}-victim", f"/gate/{name}-victim/")
    gil_site.gate(f"{name}-victim").wait_entered()
    pid = gil_site.worker_pids()[0]
    gil_site.gate(name).open()
    try:
        eventually(lambda: heard_of(gil_site, pid) > 2 * UNRESPONSIVE_AFTER, "it holds the GIL")
    finally:
        (gil_site.scratch / f"{name}.seen").touch()
    # A sibling has reported it meanwhile; the worker itself adds where it stands now.
    report = gil_site.wait_report(f"/gate/{name}-victim/", "Still running after")
    assert "this one may have waited for it" in report.text
    assert "The stack is the same" not in report.text
    assert "tests/site/gates.py" in report.text
    gil_site.gate(f"{name}-victim").open()
    event = victim.wait_end()
    gil_site.gate(f"{name}-over").open()
    assert event["gil_held_by"].startswith("thread nightly-import, afterwards at tests/site/")
    assert event["gil_wait_est"] >= SLOW_AFTER
    assert "gil_hold_est" not in event


@only_gthread
def test_request_that_sleeps_beside_is_not_blamed(
    gil_site: Site, request: pytest.FixtureRequest
) -> None:
    """A request in a system call without the GIL does not look like one that holds it."""
    name = name_of(request)
    with locked(gil_site.scratch / f"{name}-asleep.lock"):
        asleep = ask(gil_site, f"{name}-asleep", f"/gil/sleeps/{name}-asleep/")
        asleep.wait_begun()
        with locked(gil_site.scratch / f"{name}-thief.lock"):
            thief = ask(gil_site, f"{name}-thief", f"/gil/lock/{name}-thief/")
            thief.wait_begun()
            seen_while_it_is_stuck(thief)
        thief.wait_end()
    event = asleep.wait_end()
    assert "gil_hold_est" not in event
    for slow in asleep.events("slow"):
        assert "gil_hold_est" not in slow


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


@pytest.mark.parametrize(
    ("gil_site", "kind"), [("unread", "native"), ("unread-2", "lock")], indirect=["gil_site"]
)
def test_where_no_stack_can_be_read_the_report_says_so_and_all_else(
    gil_site: Site, kind: str, request: pytest.FixtureRequest
) -> None:
    """While it is stuck: that the GIL is held, by whom as it seems, for how long; no stack."""
    name = name_of(request)
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
            held.let_go()
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


def test_last_stack_before_the_hold_is_in_the_report(
    serve: Launcher, request: pytest.FixtureRequest
) -> None:
    """With its age, where no other can be had."""
    name = name_of(request)
    # Ten times what it takes the hound to see it: it is reported when it is stuck.
    settings = {"SLOW_AFTER": 3 * SLOW_AFTER}
    site = serve(settings=settings, warm=True, **SITES["unread"])
    wait_for_hounds(site)
    with locked(site.scratch / f"{name}.lock"):
        held = ask(site, name, f"/gil/lock-when/seen/{name}/")
        held.wait_begun()
        slow = site.wait_event(deadline=DEADLINE, event_type="slow", req_user_agent=held.agent)
        report = site.wait_report(f"/{name}/", "No stack: while the GIL is held")
    age = re.search(r"Last known stack, (\d+\.\d+) s old, innermost last:\n", report.text)
    assert age is not None
    assert slow["slow_stack_by"] == "hound"
    assert slow["slow_stack_age"] == pytest.approx(float(age[1]), abs=0.5)
    assert slow["slow_loc"].endswith(":lock_when")
    assert ":lock_when\n" in report.text
    held.wait_end()


def pending_signals(pid: int) -> set[str]:
    """What was sent to a process or its threads and has not arrived."""
    tasks = [Path(f"/proc/{pid}/status"), *Path(f"/proc/{pid}/task").glob("*/status")]
    lines = [line for task in tasks for line in task.read_text().splitlines()]
    return {line.split()[1] for line in lines if line.startswith(("SigPnd:", "ShdPnd:"))}


def state(pid: int) -> str:
    """The letter of a process's state: T is stopped."""
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]


@only_gthread
def test_stopped_worker_is_not_blamed(gil_site: Site, request: pytest.FixtureRequest) -> None:
    """Nobody says that a stopped process held the GIL, or sends it a signal; then all goes on."""
    name = name_of(request)
    held = ask(gil_site, name, f"/gate/{name}/")
    gil_site.gate(name).wait_entered()
    pid = gil_site.worker_pids()[0]
    os.kill(pid, signal.SIGSTOP)
    try:
        eventually(lambda: state(pid) == "T", "the stop")
        # The arbiter looks at what is late by 1.5 s, and again a second after that.
        eventually(lambda: heard_of(gil_site, pid) > 2 * UNRESPONSIVE_AFTER + 1, "two looks at it")
        assert pending_signals(pid) == {"0" * 16}
        assert not held.events("slow")
        assert not held.reports()
    finally:
        os.kill(pid, signal.SIGCONT)
    # The report comes from the worker itself, which runs again.
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
