"""Lists the workers and their requests in flight, from the boxes of living processes.

A box belongs to another process and may hold any bytes: what is missing or broken is None here.
"""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Mapping
from typing import NamedTuple

from slowhound.blackbox.payloads import Last, Who, read_settings, read_who, seconds_since
from slowhound.blackbox.reader import BoxState, Pending, is_alive, read_from
from slowhound.frames.frames import TakenStack
from slowhound.gil.unresponsive import UNRESPONSIVE_AFTER, silent_for
from slowhound.peers.box_fields import latest_stack, shared_threads
from slowhound.redaction.sql.shape import sql_shape
from slowhound.runtime.app_files import is_app
from slowhound.runtime.clocks import clock
from slowhound.system.files import opened


class Worker(NamedTuple):
    """A living process with a box; ``silent_for`` is how long ago its hound last woke."""

    box: str
    state: BoxState
    server: str | None
    silent_for: float

    @property
    def late(self) -> bool:
        """True when its hound should have woken since."""
        return self.silent_for > UNRESPONSIVE_AFTER

    def silence(self) -> str:
        """The message about a late worker."""
        seconds = f"{self.silent_for:.1f}"
        return (
            f"pid {self.state.pid}: no sign of life for {seconds} s: GIL held or process stopped;"
            " what is shown of it is that old"
        )


class InFlight(NamedTuple):
    """One request in flight; the names are those of ``ps --json``, times are seconds."""

    pid: int
    server: str | None
    thread: int
    req_id: str | None
    method: str | None
    path: str | None
    view: str | None
    age: float | None
    queries: int | None
    sql: str | None
    sql_time: float | None
    doing: str | None
    doing_age: float | None
    late: bool
    silent_for: float


def workers(boxes: str, owner: int) -> list[Worker]:
    """Every living process with a box of this user in this folder, in the order of their pids.

    Raises:
        OSError: the folder cannot be read. A folder that does not exist has no boxes.
    """
    try:
        names = os.listdir(boxes)
    except FileNotFoundError:
        return []
    found = [_worker(os.path.join(boxes, name), owner) for name in names if name.endswith(".box")]
    return sorted((each for each in found if each), key=lambda each: each.state.pid)


def _worker(path: str, owner: int) -> Worker | None:
    state = None
    with contextlib.suppress(OSError), opened(path, owner=owner) as fd:
        state = read_from(fd) if is_alive(fd) else None
    if state is None:
        return None
    return Worker(path, state, read_settings(state.settings).server, silent_for(state))


def in_flight(found: list[Worker]) -> list[InFlight]:
    """Their requests, the oldest first."""
    now = clock.monotonic()
    requests = [_request(each, pending, now) for each in found for pending in each.state.pending]
    return sorted(requests, key=lambda each: -(each.age or 0.0))


def _request(worker: Worker, pending: Pending, now: float) -> InFlight:
    who, last = last_known(pending, worker.state)
    running = bool(pending.query_began and pending.sql)
    return InFlight(
        pid=worker.state.pid,
        server=worker.server,
        thread=pending.thread,
        req_id=who.id,
        method=who.method,
        path=who.path,
        view=pending.view.decode("utf-8", "replace") or None,
        age=seconds_since(who.started, now),
        queries=last.db_queries,
        sql=sql_shape(pending.sql.decode("utf-8", "replace")) if running else None,
        sql_time=seconds_since(pending.query_began / 1e9, now) if running else None,
        doing=_doing(last),
        doing_age=seconds_since(last.taken, now),
        late=worker.late,
        silent_for=worker.silent_for,
    )


def last_known(
    pending: Pending, state: BoxState, stacks: Mapping[int, TakenStack] | None = None
) -> tuple[Who, Last]:
    """Which request it is, and its last stack: the hound's, or one of ``stacks``, by thread."""
    who = read_who(pending.who)
    alone = pending.thread not in shared_threads(state)
    taken = (stacks or {}).get(pending.thread) if alone else None
    return who, latest_stack(pending, who, taken)


def _doing(last: Last) -> str | None:
    """The innermost frame of the application in a stack payload.

    If the stack has only one, ``cause`` is the innermost frame of all, which may be a library's:
    then it is ``loc``. If it has none, it is the innermost frame.
    """
    cause, loc = last.cause, last.loc
    if cause is None or loc is None:
        return cause or loc
    return loc if _is_library(cause) and not _is_library(loc) else cause


def _is_library(frame: str) -> bool:
    """True when the file of a shortened frame belongs to a library, as far as is known here."""
    path = frame.rsplit(":", 2)[0]
    if path.startswith("<"):
        return True
    for root in sys.path:
        whole = os.path.join(root, path)
        if root and "\0" not in path and os.path.exists(whole):
            return not is_app(whole)
    return False
