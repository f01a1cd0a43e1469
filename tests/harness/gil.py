"""Makes requests whose C code holds the GIL, and checks what is reported of them."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from slowhound.blackbox.reader import survey
from slowhound.gil.holders import HOLDER_CPU_SHARE
from slowhound.gil.unresponsive import silent_for
from slowhound.watch.hound import TICK
from tests.harness.accounts import check_once, heartbeats
from tests.harness.client import Response, new_agent
from tests.harness.recorded import READ_BY, TERMINAL, Event, Report
from tests.harness.site import Site
from tests.harness.waiting import eventually

SLOW_AFTER = 1.0
# Seconds until the hold is reported: it takes a second of CPU, on a machine that other programs use
# too, and the checks become rarer.
DEADLINE = 20.0
# The share of a CPU with which a thread is certain to be found, and the seconds within which even a
# busy machine gives it.
CERTAIN_SHARE, CERTAIN_WITHIN = 1.5 * HOLDER_CPU_SHARE, 45.0
HELD = "The GIL was held"
NO_READER = """
from slowhound.gil import py_spy, remote_unwinder
py_spy.command = lambda: None
remote_unwinder.available = False
"""
# While many other tests run, py-spy may need longer than its two seconds.
PATIENT = """
from slowhound.gil import py_spy
py_spy.READ_TIME_LIMIT = 15.0
"""
SITES = {
    "sync": {"worker": "sync", "workers": 1, "conf": PATIENT},
    "sync-2": {"worker": "sync", "workers": 2, "conf": PATIENT},
    "gthread": {"worker": "gthread", "workers": 1, "conf": PATIENT},
    "gthread-2": {"worker": "gthread", "workers": 2, "conf": PATIENT},
    # As on a machine where neither Python nor py-spy can read another process.
    "unread": {"worker": "gthread", "workers": 1, "conf": NO_READER},
    "unread-2": {"worker": "sync", "workers": 2, "conf": NO_READER},
}


def wait_for_hounds(site: Site) -> None:
    """Waits until the hound of each worker has run once."""
    workers = site.worker_pids()
    eventually(lambda: sorted(heartbeats(site)) == workers, "the boxes")
    first = heartbeats(site)
    eventually(lambda: all(heartbeats(site)[pid] > first[pid] for pid in workers), "the hounds")


def seconds_silent(site: Site, pid: int) -> float:
    """The age of a worker's heartbeat, in seconds."""
    return next(silent_for(each) for each in survey(str(site.dir))[0] if each.pid == pid)


def cpu_of(pid: int, thread: int) -> float:
    """The seconds of CPU that a thread of another process has used."""
    text = Path(f"/proc/{pid}/task/{thread}/stat").read_text().rpartition(")")[2].split()
    return (int(text[11]) + int(text[12])) / os.sysconf("SC_CLK_TCK")


def wait_held(site: Site, pid: int, thread: int, seconds: float) -> None:
    """Waits until this thread has held the GIL for ``seconds``, as its worker's hound counts them.

    Measured by its CPU time, without which the hound would not find it. The hound counts from when
    it should have woken, up to a tick after the hold has begun.
    """
    before = cpu_of(pid, thread)

    def enough() -> bool:
        used = cpu_of(pid, thread) - before
        return used >= seconds + TICK and used >= CERTAIN_SHARE * seconds_silent(site, pid)

    eventually(enough, "it has held the GIL", deadline=CERTAIN_WITHIN)


class Held(NamedTuple):
    """A request in flight."""

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

    def wait_held(self, seconds: float) -> None:
        """Waits until it has held the GIL for this long, and used enough CPU to be found."""
        pid, thread = map(int, (self.site.scratch / f"{self.name}.begun").read_text().split())
        wait_held(self.site, pid, thread, seconds)

    def release(self) -> None:
        """Ends the call that holds the GIL."""
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
        """Waits for the response, and returns the terminal event."""
        assert self.answer.result().status == 200
        return self.site.terminal(self.agent)


def ask(site: Site, name: str, path: str) -> Held:
    """Sends a request in a thread."""
    agent = new_agent()
    return Held(site, name, agent, site.start(path, headers={"User-Agent": agent}))


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Holds the lock that a view waits for."""
    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def reported_while_held(held: Held) -> tuple[Event, Report]:
    """The slow event and the report, which are written before the request ends."""
    slow = held.site.wait_event(
        deadline=DEADLINE, event_type="slow", req_user_agent=held.agent, report=bool
    )
    report = held.site.wait_report(f"/{held.name}/", HELD)
    assert not held.events(*TERMINAL)
    assert not held.answer.done()
    return slow, report


def check_reported_once(held: Held, slow: Event, report: Report, where: str) -> Event:
    """Checks that one report and one slow event have the location, and the report the end."""
    event = held.wait_end()
    assert slow["slow_loc"] == where
    assert slow["slow_stack_by"] == READ_BY
    assert Path(slow["report"]).name == report.path.name
    file, line, function = where.split(":")
    assert f'{file}", line {line}, in {function}\n' in report.text
    assert (event["event_type"], event["resp_status"]) == ("request", 200)
    # The report of another process is named in the request's own event, too.
    same = ("req_id", "report", "slow_loc", "slow_stack_by", "slow_fingerprint")
    assert [event.get(name) for name in same] == [slow.get(name) for name in same]
    eventually(lambda: "\nFinished after " in report.path.read_text(), "the end in the report")
    assert report.path.read_text().count("\nFinished after ") == 1
    assert report.path.read_text().startswith(report.text)
    check_once(held.site, [held.agent])
    assert [each.path for each in held.reports()] == [report.path]
    assert len(held.events("slow")) == 1
    return event
