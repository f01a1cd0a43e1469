"""Gunicorn's timeout in the moment that a test chooses, and what a box says before it."""

from __future__ import annotations

import os
from pathlib import Path
from typing import NamedTuple

from slowhound.blackbox.payloads import read_who
from slowhound.blackbox.reader import Pending, read
from tests.harness.site import Site
from tests.harness.waiting import eventually

# Seconds: far longer than any of these tests, which need not race against it.
NEVER = "timeout = 300\n"
# What has been told to abort has until `let_kill` to do so. Gunicorn gives it a second, on a
# machine that has other things to do.
KILLS_LATER = """
import gunicorn.arbiter, os, signal
kills = os.path.join(os.path.dirname(__file__), "kills")
kill = gunicorn.arbiter.Arbiter.kill_worker
def kill_worker(self, pid, sig):
    if sig != signal.SIGKILL or os.path.exists(kills):
        kill(self, pid, sig)
gunicorn.arbiter.Arbiter.kill_worker = kill_worker
"""


def make_overdue(pid: int) -> None:
    """Lets Gunicorn take a worker for one that has been silent for too long.

    Its heartbeat is the time of a file that it holds open. It must be stuck already, or it would
    show itself again. The arbiter sends SIGABRT within a second, SIGKILL a second after.
    """
    for link in Path(f"/proc/{pid}/fd").iterdir():
        if "/wgunicorn-" in os.readlink(link):
            os.utime(link, (1, 1))  # of the clock that began when the machine did
            return
    raise AssertionError(f"{pid} has no heartbeat")


def let_kill(site: Site) -> None:
    """From now on the arbiter of a site with KILLS_LATER kills what does not end."""
    (site.scratch / "kills").touch()


class InFlight(NamedTuple):
    """A request as the box of its worker says."""

    pid: int
    request: Pending


def in_flight(site: Site, path: str, stack: str = "", sql: bool = False) -> InFlight:
    """The request for `path`, once `stack` is in its last stack, and it is in a query if `sql`."""

    def found() -> InFlight | None:
        for box in site.dir.glob("boxes/*.box"):
            try:
                state = read(box.read_bytes())
            except FileNotFoundError:  # its worker has just ended
                continue
            for request in state.pending if state else ():
                seen = stack.encode() in request.stack and (request.query_began or not sql)
                if seen and read_who(request.who).path == path:
                    return InFlight(state.pid, request)
        return None

    return eventually(found, f"{path} in a box, at {stack!r}", transcript=site.process.transcript)
