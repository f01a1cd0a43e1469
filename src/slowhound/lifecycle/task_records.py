"""Begins, finds and ends the records of background tasks: functions, commands, Celery's tasks."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from slowhound.core.in_flight import current_record, snapshot_in_flight
from slowhound.core.record import Record
from slowhound.core.task_record import TaskRecord
from slowhound.lifecycle.cancellation import is_cancelled
from slowhound.redaction.cuts import cut
from slowhound.redaction.plain_data import as_text, text_or_none
from slowhound.runtime.clocks import clock
from slowhound.runtime.static_lookup import is_success
from slowhound.runtime.unpatched import is_greenlet_exit
from slowhound.system.guard import guard

if TYPE_CHECKING:
    from slowhound.recorder.process import Server

# A line longer than a pipe takes at once (4,096 bytes) can be torn apart by those of others.
TASK_NAME_LIMIT = 300
# Tasks at once that get a slot of the black box, in a process that runs nothing but tasks.
TASK_SLOTS = 64

_guard = guard("background")


def new(
    kind: str, name: str, task_id: str | None = None, slow_after: float | None = None
) -> TaskRecord | None:
    """A record that has not begun.

    Args:
        kind: what kind of work it is, the event's ``task_kind``.
        name: the event's ``task_name``.
        task_id: its id in its queue.
        slow_after: seconds after which it is reported as slow; None: it never is.
    """
    with _guard:
        short = cut(as_text(name), TASK_NAME_LIMIT)
        return TaskRecord(kind, short, clock.monotonic(), text_or_none(task_id), slow_after)
    return None


def start(record: TaskRecord | None, server: Server | None = None) -> Record | None:
    """Makes the record the current one; None when slowhound is off, or fails.

    ``server`` is for the process's recorder, when this starts it.
    """
    if record is None or (_guard.off_until and _guard.off):
        return None
    with _guard:
        from slowhound.config.from_django import get_config
        from slowhound.recorder import process

        server = server or process.Server("task", TASK_SLOTS)
        active = process.get() or process.start(get_config(), server)
        if active is None:
            return None
        if record.slow_after is not None:
            active.watch.expect(record.slow_after)
        active.begin(record)
        return record
    return None


def begin(
    kind: str, name: str, task_id: str | None = None, server: Server | None = None
) -> Record | None:
    """A new record that is current from now on, until a signal ends it; None when off."""
    return start(new(kind, name, task_id), server)


def end(record: Record | None, exc: BaseException | None = None) -> None:
    """Writes the record's event; the record that was current before is current again."""
    if record is None:
        return
    with _guard:
        unended = _unended_within(record)
        for inner in unended or ():
            _finish(inner, exc)
        _finish(record, exc)
        if unended is not None:
            current_record.set(record.outer)


def run_recorded(record: TaskRecord | None, server: Server | None, run: Callable[[], Any]) -> Any:
    """Runs a function as the task of this record, and returns what it returns."""
    try:
        start(record, server)
        result = run()
        end(record)
    except BaseException as exc:
        end(record, exc)
        raise
    return result


def running(kind: str, task_id: str) -> Record | None:
    """The record of the task with this id; the innermost one where a task runs within itself."""
    task_id = as_text(task_id)
    for record in reversed(snapshot_in_flight()):
        if isinstance(record, TaskRecord) and (record.method, record.task_id) == (kind, task_id):
            return record
    return None


def failed(record: Record, exc: BaseException, outcome: str = "error") -> None:
    """Keeps the exception and the outcome for the record's event."""
    from slowhound.instrument.exception import fields_of

    record.outcome = outcome
    record.exc = {**fields_of(exc), "exc_handled": outcome == "retry"}


def _unended_within(record: Record) -> list[Record] | None:
    """Tasks that began in this one and that no signal has ended, the innermost first.

    None when the context is not this record's: that of a forked child, or of another task.
    """
    found = []
    inner = current_record.get()
    while inner is not None and inner is not record:
        if inner.kind == "task":
            found.append(inner)
        inner = inner.outer
    return found if inner is record else None


def _finish(record: Record, exc: BaseException | None) -> None:
    if record.outcome is None and exc is not None:
        outcome = _outcome(exc)
        if outcome == "error":
            failed(record, exc)
        record.outcome = outcome
    record.outcome = record.outcome or "ok"
    from slowhound.recorder import process

    process.finish(record)


def _outcome(exc: BaseException) -> str:
    kind = type(exc)
    if issubclass(kind, SystemExit):
        return "ok" if is_success(exc) else "error"
    if issubclass(kind, (GeneratorExit, KeyboardInterrupt)):
        return "cancelled"
    # asyncio's and gevent's ways to end what they run.
    return "cancelled" if is_cancelled(exc) or is_greenlet_exit(exc) else "error"
