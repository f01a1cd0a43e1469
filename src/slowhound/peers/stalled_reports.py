"""Makes the report and the ``slow`` event of a request of another process.

All of it comes from the request's black box and from ``gil.unresponsive``.
"""

from __future__ import annotations

from typing import Any

from slowhound.blackbox.payloads import read_last, read_who, seconds_since
from slowhound.blackbox.peer_reports import PeerReport
from slowhound.blackbox.reader import BoxState, Pending
from slowhound.core.box_payloads import FRAMES
from slowhound.core.observations import LastStack, Snapshot
from slowhound.core.report import Report
from slowhound.event.formats import one_line
from slowhound.frames.frames import fingerprint, innermost
from slowhound.gil.unresponsive import Hold
from slowhound.peers.box_fields import complete, query_fields, request_fields
from slowhound.runtime.clocks import clock


def age_of(pending: Pending) -> float | None:
    """Seconds since the request began; None when its box does not tell."""
    return seconds_since(read_who(pending.who).started, clock.monotonic())


def slow_event(pending: Pending, threshold: float, hold: Hold, state: BoxState) -> dict[str, Any]:
    """The event; its report has no name yet."""
    now = clock.monotonic()
    event = {"event_type": "slow", **request_fields(pending, now)}
    event["slow_after"] = threshold
    event.update(_stack_fields(pending, hold, now, event.get("resp_view")))
    if hold.suspects == (pending.thread,):
        event["gil_hold_est"] = min(hold.seconds, event.get("resp_time") or hold.seconds)
    event.update(query_fields("slow", pending, now))
    event["report"] = None  # holds the place in the line; its name comes later
    return complete(event, state)


def _stack_fields(pending: Pending, hold: Hold, now: float, view: str | None) -> dict[str, Any]:
    """Where it is, or where it was at its last sample, and how long ago."""
    taken = hold.stacks.get(pending.thread)
    if taken is not None:
        return {
            "slow_loc": str(innermost(taken.stack)),
            "slow_stack_by": taken.by,
            "slow_fingerprint": fingerprint(view, taken.stack),
        }
    found: dict[str, Any] = {}
    last = _last_stack(pending, now)
    if last is not None:
        found["slow_loc"] = read_last(pending.stack).cause
        found["slow_stack_by"] = "hound"
        found["slow_stack_age"] = last.age
    return {**found, "slow_fingerprint": fingerprint(view, ())}


def _last_stack(pending: Pending, now: float) -> LastStack | None:
    last = read_last(pending.stack)
    age = seconds_since(last.taken, now)
    return LastStack(last.stack, age) if last.stack and age is not None else None


def compose(pending: Pending, hold: Hold, state: BoxState, event: dict[str, Any]) -> Report:
    """The report."""
    now = clock.monotonic()
    started = clock.time() - (age_of(pending) or 0.0)
    who = read_who(pending.who)
    taken = hold.stacks.get(pending.thread)
    snapshot = None
    if taken is not None:
        snapshot = Snapshot(taken.taken - started, taken.stack, by=taken.by)
    return Report(
        event=event,
        request_line=f"{who.method} {who.path}",
        started=started,
        intercepted=clock.time(),
        host=str(event["host"]),
        thread_id=pending.thread,
        pid=state.pid,
        parent=state.parent,
        snapshot=snapshot,
        gil=hold.text(pending.thread),
        last_stack=_last_stack(pending, now) if snapshot is None else None,
        timeline=None,
        others=[_other(each) for each in state.pending if each is not pending],
    )


def _other(pending: Pending) -> str:
    who = read_who(pending.who)
    view = pending.view.decode("utf-8", "replace") or "-"
    fields = (who.method, who.path, view, who.id)
    return f"  {age_of(pending) or 0.0:9.3f} s  " + "  ".join(one_line(each) for each in fields)


def summary(pending: Pending, hold: Hold, state: BoxState, event: dict[str, Any]) -> PeerReport:
    """What the process itself must know of the report; ``event`` has its name by now."""
    taken = hold.stacks.get(pending.thread)
    return PeerReport(
        pending.number,
        event["report"],
        event["slow_fingerprint"],
        state.heartbeat,
        clock.monotonic(),
        loc=event.get("slow_loc"),
        by=event.get("slow_stack_by"),
        stack=[] if taken is None else [str(frame) for frame in taken.stack[-FRAMES:]],
        gil_hold=event.get("gil_hold_est"),
    )
