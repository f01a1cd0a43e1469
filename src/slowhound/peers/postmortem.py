"""Makes the terminal events that an ended process could not write: its post-mortem.

A process that finds the box of an ended one locks it, writes one terminal event for each request
that was in flight, and removes the file. Of two that find it at once, one gets the lock. No Django
here: Gunicorn's arbiter runs this.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import msgspec

from slowhound.blackbox.payloads import Last, read_who
from slowhound.blackbox.peer_reports import PeerReport
from slowhound.blackbox.reader import SUFFIXES, BoxState, Pending, beside, lock_ended, read_from
from slowhound.peers.box_fields import (
    complete,
    latest_stack,
    query_fields,
    request_fields,
    shared_threads,
    stack_fields,
)
from slowhound.peers.death import Death
from slowhound.stacks.fatal_errors import FatalStacks
from slowhound.system.file_locks import opened_and_locked

LOCK_TRIES = 5


@contextmanager
def ended_box(path: str) -> Iterator[BoxState | None]:
    """The state of an ended process's box, which is removed after the block.

    None, and the file stays, when its process lives, another process is reaping it, or it cannot
    be read. A file that is not a box is removed: it can only be what is left of one.
    """
    # A peer that only checks the box holds a shared lock for microseconds: so several tries.
    with opened_and_locked(path, lock=lock_ended, tries=LOCK_TRIES, pause=0.005) as fd:
        if fd is None:
            yield None
            return
        yield read_from(fd)
        for each in (path, *(beside(path, suffix) for suffix in SUFFIXES)):
            with contextlib.suppress(OSError):
                os.unlink(each)


def events(
    state: BoxState,
    death: Death,
    written: Callable[[str], bool],
    fatal: FatalStacks | None = None,
    reports: Mapping[int, PeerReport] | None = None,
) -> list[dict[str, Any]]:
    """One terminal event for each request in flight, in the order they began.

    ``written(req_id)`` tells whether the process wrote the event before it died; ``fatal`` holds
    the stacks of a fatal error, ``reports`` what peers have reported before.
    """
    found: list[dict[str, Any]] = []
    for pending in sorted(state.pending):
        event = _event(pending, state, death, fatal, (reports or {}).get(pending.number))
        if not (event["req_id"] and written(event["req_id"])):
            found.append(complete(event, state, seq=len(found) + 1))
    return found


def _event(
    pending: Pending,
    state: BoxState,
    death: Death,
    fatal: FatalStacks | None,
    report: PeerReport | None,
) -> dict[str, Any]:
    who = read_who(pending.who)
    alone = pending.thread not in shared_threads(state)
    dump = fatal.of(pending.ident) if fatal is not None else None
    last = latest_stack(pending, who, dump if alone else None)
    if report is not None:
        last = _later(last, report)
    # The last sign of life, where it is not known when it died.
    seen = max(state.heartbeat / 1e9, last.taken or 0.0, pending.query_began / 1e9)
    ended = death.at if death.at is not None else seen
    kind = "timeout" if death.cause == "timeout" else "crash"
    event = {"event_type": kind, **request_fields(pending, ended)}
    event["resp_outcome"] = "timeout" if kind == "timeout" else "killed"
    event.update(stack_fields(kind, last, ended))
    if kind == "crash":
        event["crash_cause"] = death.cause
    if death.signal is not None:
        event["crash_signal"] = death.signal
    elif death.code is not None and kind == "crash":
        event["crash_code"] = death.code
    event.update(query_fields(kind, pending, ended))
    if report is not None:
        event.update(_report_fields(report, state, ended))
    return event


def _later(last: Last, report: PeerReport) -> Last:
    """The stack that a peer has read, if it is newer than the process's own last one."""
    if not report.stack or (last.taken is not None and last.taken > report.at):
        return last
    return msgspec.structs.replace(
        last,
        taken=report.at,
        loc=report.stack[-1],
        cause=report.loc,
        by=report.by or "",
        stack=report.stack,
    )


def _report_fields(report: PeerReport, state: BoxState, ended: float) -> dict[str, Any]:
    """The report's name, and for how long the GIL was held (an estimate)."""
    found: dict[str, Any] = {"report": report.report}
    if report.gil_hold is not None:
        # No sign of life since: it was held to the end.
        since = ended - report.at if state.heartbeat == report.heartbeat else 0.0
        found["gil_hold_est"] = report.gil_hold + max(since, 0.0)
    return found
