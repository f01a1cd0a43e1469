"""Makes Gunicorn's timeout happen when a test wants it, and reads requests from boxes before it."""

from __future__ import annotations

import os
from pathlib import Path
from typing import NamedTuple

from slowhound.blackbox.payloads import read_who
from slowhound.blackbox.reader import Pending, read
from tests.harness.site import Site
from tests.harness.waiting import eventually

# Seconds: far longer than any of these tests, so that none races against it.
NEVER = "timeout = 300\n"
# An aborted worker has until `let_kill` to end. Gunicorn would give it one second, which may be too
# little while other tests run.
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
    """Makes a worker's heartbeat so old that Gunicorn's arbiter times it out.

    The heartbeat is the modification time of a file that the worker holds open. The worker must
    hang already, or it would renew it. The arbiter sends SIGABRT within a second, SIGKILL a second
    later.
    """
    for link in Path(f"/proc/{pid}/fd").iterdir():
        if "/wgunicorn-" in os.readlink(link):
            os.utime(link, (1, 1))  # one second of the monotonic clock
            return
    raise AssertionError(f"{pid} has no heartbeat")


def let_kill(site: Site) -> None:
    """From now on the arbiter of a site with KILLS_LATER sends SIGKILL."""
    (site.scratch / "kills").touch()


class InFlight(NamedTuple):
    """A request in flight, from the box of its worker."""

    pid: int
    request: Pending


def in_flight(site: Site, path: str, stack: str = "", sql: bool = False) -> InFlight:
    """The request for `path`, once its last stack has `stack`, and it is in a query if `sql`."""

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
