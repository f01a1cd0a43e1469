"""Makes the fields of an event from a black box."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

import msgspec

from slowhound.blackbox.payloads import (
    Last,
    Who,
    read_last,
    read_settings,
    read_who,
    seconds_since,
    who_fields,
)
from slowhound.blackbox.reader import BoxState, Pending
from slowhound.core.box_payloads import FRAMES
from slowhound.event.envelope import Origin, add_envelope
from slowhound.event.fields import Event
from slowhound.frames.frames import Stack, TakenStack, locate
from slowhound.redaction.sql.shape import sql_shape
from slowhound.runtime.clocks import clock


def query_fields(kind: str, pending: Pending, now: float) -> dict[str, Any]:
    """The query that runs, or ran when the process died: ``<kind>_sql`` and ``<kind>_sql_time``."""
    if not (pending.query_began and pending.sql):
        return {}
    text = pending.sql.decode("utf-8", "replace")
    return {
        f"{kind}_sql": sql_shape(text),
        f"{kind}_sql_time": seconds_since(pending.query_began / 1e9, now),
    }


def complete(event: Event, state: BoxState, seq: int | None = None) -> Event:
    """Completes it as its own process would have done, see ``recorder/completion.py``.

    ``seq`` is None for an event of a process that still numbers its own.
    """
    settings = read_settings(state.settings)
    if state.rss > 0:
        event["w_rss"] = state.rss
    # Known earlier, but in the order of the table of fields.
    trace = event.pop("trace_id", None), event.pop("span_id", None)
    origin = Origin(settings.host, state.pid, settings.service or None, settings.release or None)
    add_envelope(event, origin, trace if trace[0] is not None else None, seq)
    return event


def shared_threads(state: BoxState) -> set[int]:
    """Threads that run several requests in turn: what such a thread does is of one of them."""
    count = Counter(pending.thread for pending in state.pending)
    return {thread for thread, requests in count.items() if requests > 1}


def request_fields(pending: Pending, now: float) -> dict[str, Any]:
    """The fields of a request in flight: which one it is, its age, its queries."""
    who, last = read_who(pending.who), read_last(pending.stack)
    event = who_fields(who, last, pending.view.decode("utf-8", "replace") or None)
    event["resp_time"] = seconds_since(who.started, now)
    if last.db_queries:
        event["db_queries"] = last.db_queries
    if last.db_time:
        event["db_time"] = last.db_time
    return event


def latest_stack(pending: Pending, who: Who, taken: TakenStack | None) -> Last:
    """The payload of the last stack, or the same with ``taken``, which is newer, in its place."""
    last = read_last(pending.stack)
    if taken is None:
        return last
    # Its time is one of the wall clock, that of a payload of the monotonic clock.
    at = taken.taken - (clock.time() - clock.monotonic())
    if who.started is not None:
        at = max(at, who.started)  # the time of a file is that of the kernel's last tick
    loc, cause = locate(taken.stack)
    stack = [str(frame) for frame in taken.stack[-FRAMES:]]
    return msgspec.structs.replace(last, taken=at, loc=loc, cause=cause, stack=stack, by=taken.by)


def stack_fields(kind: str, last: Last, ended: float) -> dict[str, Any]:
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
    """The fields of a request that the server ended after a timeout; ``stack`` is where it was."""
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
