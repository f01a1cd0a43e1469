"""From a record to its events: one function for each kind, each gives a dict in the table's order.

What only the process knows (time, host, counts) is added by ``Recorder.emit``.
"""

from __future__ import annotations

from slowhound.core.record import Owner, Record
from slowhound.event.fields import Event
from slowhound.instrument import cache, db, exception, gc, http, template, trace
from slowhound.instrument import request as request_fields


def kind_of(record: Record) -> str:
    """The type of a record's terminal event."""
    return "timeout" if record.outcome == "timeout" else record.kind


def terminal(record: Record, rate: float) -> Event:
    """The event of a request that has ended; ``rate`` is the share of such that is kept."""
    if trace.readers:
        trace.ends(record)
    event: Event = {"event_type": kind_of(record)}
    is_task = record.kind == "task"
    if is_task:
        _describe_task(record, event)
    else:
        request_fields.describe_request(record, event)
    if record.exc is not None:
        exception.describe(record, event)
    seen_by_django = record.request is not None
    if seen_by_django:
        request_fields.describe_response(record, event)
    elif is_task:
        _describe_end(record, event)
    elif record.owner is Owner.WRAP:
        request_fields.describe_response(record, event)  # all but the view is known
    else:
        event["resp_status"] = record.status
    _describe_work(record, event)
    if seen_by_django or is_task or record.owner is Owner.WRAP:
        event["rest_time"] = max(record.took - record.accounted, 0.0)
    if rate < 1.0:
        event["sample_rate"] = rate
    _describe_watch(record, event)
    return event


def _describe_watch(record: Record, event: Event) -> None:
    """What was seen of it from outside while it ran."""
    if record.aborted is not None:
        event.update(record.aborted)
    if record.slow is not None:
        event.update(record.slow.fields())
    if record.flame is not None:
        event["flame"] = record.flame


def slow(record: Record, age: float) -> Event:
    """The event of a slow request that still runs; ``resp_time`` is its age."""
    event: Event = {"event_type": "slow"}
    if record.kind == "task":
        _describe_task(record, event)
    else:
        request_fields.describe_request(record, event)
        event["resp_view"] = record.view
    event["resp_time"] = age
    _describe_work(record, event)
    _describe_watch(record, event)
    return event


def least(record: Record) -> Event:
    """The event of a request whose own could not be made: what cannot fail."""
    event: Event = {"event_type": kind_of(record)}
    if record.kind == "task":
        _describe_task(record, event)
        _describe_end(record, event)
        return event
    return event | {
        "req_id": record.id,
        "req_method": record.method,
        "req_path": record.path,
        "resp_time": record.took,
        "resp_status": record.status,
        "resp_outcome": record.outcome,
    }


def _describe_task(record: Record, event: Event) -> None:
    """``task_*``, in the place of ``req_*``."""
    event["req_id"] = record.id
    event["task_kind"] = record.method
    event["task_name"] = record.path
    if record.shown_id is not None:
        event["task_id"] = record.shown_id


def _describe_end(record: Record, event: Event) -> None:
    """What a task has of ``resp_*``."""
    event["resp_time"] = record.took
    if record.cpu is not None:
        event["resp_cpu_time"] = record.cpu
    event["resp_outcome"] = record.outcome


def _describe_work(record: Record, event: Event) -> None:
    # Asked for here and not in each: most requests use only one or two of them.
    if record.queries is not None:
        db.describe(record, event)
    if record.cache is not None:
        cache.describe(record, event)
    if record.tmpl_count:
        template.describe(record, event)
    if record.out_count:
        http.describe(record, event)
    if gc.ended or record.gc_time:
        gc.describe(record, event)
    if record.gil_wait:
        event["gil_wait_est"] = record.gil_wait
        event["gil_held_by"] = record.gil_held_by
    if record.loop_lag:
        event["loop_lag"] = record.loop_lag
        event["loop_blocked_by"] = record.loop_blocked_by
    if record.gil_hold:
        event["gil_hold_est"] = record.gil_hold
