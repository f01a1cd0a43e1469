"""Post mortem: the events that a dead process could not write any more.

Whoever finds a box whose owner is dead takes its lock, writes one terminal event for each request
that was in flight, and removes the file. The lock decides between two who come at once. No
Django here: Gunicorn's arbiter runs this.
"""

from __future__ import annotations

import contextlib
import os
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import msgspec

from slowhound.blackbox.layout import NO_SINKS
from slowhound.blackbox.payloads import (
    Last,
    Settings,
    Who,
    read_last,
    read_settings,
    read_who,
    seconds_since,
    who_fields,
)
from slowhound.blackbox.reader import BESIDE, BoxState, Pending, beside, lock_ended, read_from
from slowhound.blackbox.reported import Reported
from slowhound.core.box_payloads import FRAMES
from slowhound.event.fields import VERSION
from slowhound.frames.frames import Stack, TakenStack, locate
from slowhound.peers.death import Death
from slowhound.redaction.sql.shape import sql_shape
from slowhound.runtime.clocks import clock
from slowhound.runtime.library_names import NOT_JSON
from slowhound.stacks.fatal_errors import FatalStacks
from slowhound.system.file_locks import opened_and_locked
from slowhound.system.files import opened, read_end

# How much of a dead process's last segment is searched for events that it did write.
TAIL = 256 * 1024
# Of so many segments: another container's process may have the same pid.
TAILS = 8
# The same for events that wait for sinks: some thousands at most.
UNSENT, UNSENT_TAIL = 4096, 4 * 1024**2
# Seconds after which a process whose sinks have nothing has none.
NEVER_MADE = 150.0
TRIES = 5
_decode = msgspec.json.Decoder(dict[str, Any]).decode


@contextmanager
def dead_box(path: str) -> Iterator[BoxState | None]:
    """The state of a dead process's box, which is removed after the block.

    None, and the file stays, when its process lives, somebody else is at it, or it cannot be
    read. A file that is no box is removed: it can only be the rest of one.
    """
    # A sibling that only checks it holds a shared lock for microseconds: it is tried again.
    with opened_and_locked(path, take=lock_ended, tries=TRIES, pause=0.005) as fd:
        if fd is None:
            yield None
            return
        yield read_from(fd)
        for each in (path, *(beside(path, suffix) for suffix in BESIDE)):
            with contextlib.suppress(OSError):
                os.unlink(each)


def events(
    state: BoxState,
    death: Death,
    written: Callable[[str], bool],
    fatal: FatalStacks | None = None,
    reports: Mapping[int, Reported] | None = None,
) -> list[dict[str, Any]]:
    """One terminal event for each request in flight, in the order they began.

    ``written(req_id)`` says whether the process did write the event before it died; ``fatal`` is
    what was written at a fatal error, ``reports`` what a neighbour has reported before.
    """
    found: list[dict[str, Any]] = []
    for pending in sorted(state.pending):
        event = _event(pending, state, death, fatal, (reports or {}).get(pending.number))
        if not (event["req_id"] and written(event["req_id"])):
            found.append(event)
            event["seq"] = len(found)
            event["v"] = VERSION
    return found


def _event(
    pending: Pending,
    state: BoxState,
    death: Death,
    fatal: FatalStacks | None,
    told: Reported | None,
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
    event.update(_stack_fields(kind, last, ended))
    if kind == "crash":
        event["crash_cause"] = death.cause
    if death.signal is not None:
        event["crash_signal"] = death.signal
    elif death.code is not None and kind == "crash":
        event["crash_code"] = death.code
    event.update(running_sql(kind, pending, ended))
    if told is not None:
        event.update(_told_fields(told, state, ended))
    return signed(event, state, read_settings(state.settings))


def _later(last: Last, told: Reported) -> Last:
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


def _told_fields(told: Reported, state: BoxState, ended: float) -> dict[str, Any]:
    """The report's name, and for how long the GIL was held, as it seems."""
    found: dict[str, Any] = {"report": told.report}
    if told.gil_hold is not None:
        # No sign of life since: it was held to the end.
        since = ended - told.at if state.heartbeat == told.heartbeat else 0.0
        found["gil_hold_est"] = told.gil_hold + max(since, 0.0)
    return found


def running_sql(kind: str, pending: Pending, now: float) -> dict[str, Any]:
    """The query that runs, or ran when the process died: ``<kind>_sql`` and ``<kind>_sql_time``."""
    if not (pending.query_began and pending.sql):
        return {}
    text = pending.sql.decode("utf-8", "replace")
    return {
        f"{kind}_sql": sql_shape(text),
        f"{kind}_sql_time": seconds_since(pending.query_began / 1e9, now),
    }


def signed(event: dict[str, Any], state: BoxState, settings: Settings) -> dict[str, Any]:
    """With what the process itself would have added."""
    if state.rss > 0:
        event["w_rss"] = state.rss
    event["ts"] = clock.time()
    event["host"] = settings.host
    event["pid"] = state.pid
    if settings.service:
        event["service"] = settings.service
    if settings.release:
        event["release"] = settings.release
    for name in ("trace_id", "span_id"):
        if name in event:  # known from the start, but in the table's order
            event[name] = event.pop(name)
    return event


def shared_threads(state: BoxState) -> set[int]:
    """Threads that carry several requests in turn: what such a one wrote is of one of them."""
    count = Counter(pending.thread for pending in state.pending)
    return {thread for thread, requests in count.items() if requests > 1}


def about(pending: Pending, now: float) -> dict[str, Any]:
    """The fields of a request in flight that its box has: who it is, its age, its queries."""
    who, last = read_who(pending.who), read_last(pending.stack)
    event = who_fields(who, last, pending.view.decode("utf-8", "replace") or None)
    event["resp_time"] = seconds_since(who.started, now)
    if last.db_queries:
        event["db_queries"] = last.db_queries
    if last.db_time:
        event["db_time"] = last.db_time
    return event


def latest_stack(pending: Pending, who: Who, taken: TakenStack | None) -> Last:
    """The note of the last stack; with ``taken``, which came later, in its place."""
    last = read_last(pending.stack)
    if taken is None:
        return last
    # It has a time of the wall, the notes one of the monotonic clock.
    at = taken.taken - (clock.time() - clock.monotonic())
    if who.started is not None:
        at = max(at, who.started)  # the time of a file is that of the kernel's last tick
    loc, cause = locate(taken.stack)
    stack = [str(frame) for frame in taken.stack[-FRAMES:]]
    return msgspec.structs.replace(last, taken=at, loc=loc, cause=cause, stack=stack, by=taken.by)


def _stack_fields(kind: str, last: Last, ended: float) -> dict[str, Any]:
    if not last.stack:
        return {}
    return {
        f"{kind}_loc": last.loc,
        f"{kind}_cause_loc": last.cause,
        f"{kind}_stack_age": seconds_since(last.taken, ended),
        f"{kind}_stack_by": last.by,
        f"{kind}_stack": _innermost_first(last.stack),
    }


def abort_fields(stack: Stack) -> dict[str, Any]:
    """The fields of a request that the server ended by a timeout; ``stack`` is where it was."""
    loc, cause = locate(stack)
    return {
        "timeout_loc": loc,
        "timeout_cause_loc": cause,
        "timeout_stack": _innermost_first(stack[-FRAMES:]),
        "timeout_stack_age": 0.0,
        "timeout_stack_by": "abort",
    }


def _innermost_first(stack: Sequence[object]) -> str:
    return " < ".join(str(frame) for frame in reversed(stack))


def _last(last: Last, pending: Pending) -> float:
    return max(last.taken or 0.0, pending.query_began / 1e9)


def written_by(directory: str | None, pid: int) -> Callable[[str], bool]:
    """Says whether ``req_id`` has a terminal event at the end of the segments of ``pid``.

    A process can die after it wrote an event and before it gave back the slot. This looks.
    """
    tails = _tails(directory, pid, TAIL)

    def written(req_id: str) -> bool:
        # "slow" and "partial_failure" carry the id as well; they are not the request's end.
        ends = tuple(
            f'{{"event_type":"{kind}","req_id":"{req_id}"'.encode()
            for kind in ("request", "task", "timeout")
        )
        return any(_has_line(tail, end) for tail in tails for end in ends)

    return written


def unsent(directory: str, state: BoxState) -> list[dict[str, Any]]:
    """The events of a dead process that its sinks did not get, as its segments have them."""
    if state.sent >= NO_SINKS or not read_settings(state.settings).deliver:
        return []
    found = []
    for tail in reversed(_tails(directory, state.pid, UNSENT_TAIL)):
        for line in tail.splitlines():
            event = _read_event(line)
            at, seq = event.get("ts"), event.get("seq")
            if not (isinstance(at, float) and isinstance(seq, int)):
                continue
            # An earlier process may have had its pid.
            own = event.get("pid") == state.pid and at >= state.started / 1e9 - 1.0
            if own and seq > state.sent:
                found.append(event)
    if not state.sent and found and found[-1]["ts"] > state.started / 1e9 + NEVER_MADE:
        return []  # its sinks could not be made
    return found[-UNSENT:]


def _read_event(line: bytes) -> dict[str, Any]:
    """A line of a segment; empty for one that is torn."""
    try:
        return _decode(line)
    except NOT_JSON:
        return {}


def _tails(directory: str | None, pid: int, size: int) -> list[bytes]:
    """The ends of the last segments of this process, or of one with its pid; the newest first."""
    folder = os.path.join(directory, "events") if directory else ""
    names = sorted(os.listdir(folder)) if os.path.isdir(folder) else []
    mine = [name for name in names[::-1] if f"-{pid}-" in name and name.endswith(".jsonl")]
    return [_tail(os.path.join(folder, name), size) for name in mine[:TAILS]]


def _has_line(tail: bytes, start: bytes) -> bool:
    # The whole line: SIGKILL can end a write() between two pages of the file.
    at = tail.find(start)
    return at >= 0 and b"\n" in tail[at:]


def _tail(path: str, size: int) -> bytes:
    with contextlib.suppress(OSError), opened(path) as fd:
        return read_end(fd, size)
    return b""
