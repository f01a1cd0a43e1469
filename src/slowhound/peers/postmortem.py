"""Post mortem: the events that a dead process could not write any more.

Whoever finds a box whose owner is dead takes its lock, writes one terminal event for each request
that was in flight, and removes the file. The lock decides between two who come at once. No
Django here: Gunicorn's arbiter runs this.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import msgspec

from slowhound.blackbox.payloads import (
    Last,
    read_who,
)
from slowhound.blackbox.peer_reports import PeerReport
from slowhound.blackbox.reader import SUFFIXES, BoxState, Pending, beside, lock_ended, read_from
from slowhound.peers.box_fields import (
    about,
    complete,
    latest_stack,
    running_sql,
    shared_threads,
    stack_fields,
)
from slowhound.peers.death import Death
from slowhound.stacks.fatal_errors import FatalStacks
from slowhound.system.file_locks import opened_and_locked

LOCK_TRIES = 5


@contextmanager
def ended_box(path: str) -> Iterator[BoxState | None]:
    """The state of a dead process's box, which is removed after the block.

    None, and the file stays, when its process lives, somebody else is at it, or it cannot be
    read. A file that is no box is removed: it can only be the rest of one.
    """
    # A sibling that only checks it holds a shared lock for microseconds: it is tried again.
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

    ``written(req_id)`` says whether the process did write the event before it died; ``fatal`` is
    what was written at a fatal error, ``reports`` what a peer has reported before.
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
    told: PeerReport | None,
) -> dict[str, Any]:
    who = read_who(pending.who)
    alone = pending.thread not in shared_threads(state)
    dump = fatal.of(pending.ident) if fatal is not None else None
    last = latest_stack(pending, who, dump if alone else None)
    if told is not None:
        last = _later(last, told)
    # What was the last sign of life, when nobody knows when it died.
    ended = death.at if death.at is not None else max(state.heartbeat / 1e9, _last(last, pending))
    kind = "timeout" if death.cause == "timeout" else "crash"
    event = {"event_type": kind, **about(pending, ended)}
    event["resp_outcome"] = "timeout" if kind == "timeout" else "killed"
    event.update(stack_fields(kind, last, ended))
    if kind == "crash":
        event["crash_cause"] = death.cause
    if death.signal is not None:
        event["crash_signal"] = death.signal
    elif death.code is not None and kind == "crash":
        event["crash_code"] = death.code
    event.update(running_sql(kind, pending, ended))
    if told is not None:
        event.update(_told_fields(told, state, ended))
    return event


def _later(last: Last, told: PeerReport) -> Last:
    """The stack that a neighbour has read, where that came after the last one of its own."""
    if not told.stack or (last.taken is not None and last.taken > told.at):
        return last
    return msgspec.structs.replace(
        last,
        taken=told.at,
        loc=told.stack[-1],
        cause=told.loc,
        by=told.by or "",
        stack=told.stack,
    )


def _told_fields(told: PeerReport, state: BoxState, ended: float) -> dict[str, Any]:
    """The report's name, and for how long the GIL was held, as it seems."""
    found: dict[str, Any] = {"report": told.report}
    if told.gil_hold is not None:
        # No sign of life since: it was held to the end.
        since = ended - told.at if state.heartbeat == told.heartbeat else 0.0
        found["gil_hold_est"] = told.gil_hold + max(since, 0.0)
    return found


def _last(last: Last, pending: Pending) -> float:
    return max(last.taken or 0.0, pending.query_began / 1e9)
