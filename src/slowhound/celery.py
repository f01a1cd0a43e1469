"""Celery: ``slowhound.celery.install()`` in the module of the application's Celery app.

Celery's signals report when a task begins and how it ends. Each process of a prefork pool starts a
recorder after the fork, and so it also writes the events of those that were killed. Celery is not
imported before ``install``.
"""

from __future__ import annotations

import sys
from importlib import import_module
from typing import TYPE_CHECKING, Any, TypeGuard

from slowhound.lifecycle.task_records import TASK_SLOTS, begin, end, failed, running
from slowhound.redaction import masking
from slowhound.redaction.plain_data import as_text
from slowhound.runtime.attributes import attribute_or
from slowhound.runtime.static_lookup import MISSING, code_of
from slowhound.system.guard import guard

if TYPE_CHECKING:
    from slowhound.core.record import Record
    from slowhound.recorder.process import Server

# Tasks at once in a process of a prefork pool: one, and those that this one calls.
PREFORK_SLOTS = 8

# Outcomes of tasks that end by ``Reject`` or ``Ignore``, by Celery's state. A failure has a signal.
OUTCOMES = {"REJECTED": "rejected", "IGNORED": "ignored"}

_guard = guard("celery")


def install() -> None:
    """Listens to Celery's signals; a second call changes nothing."""
    signals: Any = import_module("celery.signals")
    for name, receiver in (
        ("worker_process_init", _on_process_init),
        ("worker_process_shutdown", _on_process_shutdown),
        ("task_prerun", _on_prerun),
        ("task_failure", _on_failure),
        ("task_retry", _on_retry),
        ("task_postrun", _on_postrun),
    ):
        getattr(signals, name).connect(receiver, weak=False, dispatch_uid="slowhound")


def _server(slots: int) -> Server:
    from slowhound.recorder.process import Server
    from slowhound.sinks.stream import Output

    # The process's own descriptor: ``sys.stdout`` leads into Celery's log, with its prefix.
    return Server("celery", slots, Output(1))


def _on_process_init(**_: object) -> None:
    with _guard:
        from slowhound.config.from_django import get_config
        from slowhound.recorder import process

        process.start(get_config(), _server(PREFORK_SLOTS))


def _on_process_shutdown(**_: object) -> None:
    """Stops the recorder: a process of a pool ends without running Python's ``atexit``."""
    with _guard:
        from slowhound.recorder import process

        process.stop()


def _on_prerun(*, task_id: str, task: Any, **_: object) -> None:
    with _guard:
        begin("celery", task.name, task_id, server=_server(TASK_SLOTS))


def _on_failure(*, task_id: str, exception: BaseException, **_: object) -> None:
    with _guard:
        record = running("celery", task_id)
        if record is not None:
            # Celery replaces an exception that cannot be pickled; this is the original.
            failed(record, sys.exc_info()[1] or exception)


def _on_retry(*, request: Any, reason: Any, **_: object) -> None:
    with _guard:
        record = running("celery", request.id)
        if record is not None:
            # The reason for the retry, if the task gave one.
            exc = attribute_or(reason, "exc")
            if exc is not None and issubclass(type(exc), BaseException):
                failed(record, exc, "retry")
            elif issubclass(type(reason), BaseException):
                failed(record, reason, "retry")
                record.exc = {**(record.exc or {}), "exc_msg": _text_of_retry(reason)}


def _text_of_retry(retry: Any) -> str:
    """The message of a ``Retry``, as Celery words it; its own ``str`` would contain itself."""
    from slowhound.instrument.exception import MESSAGE_LIMIT

    message, when, reason = (attribute_or(retry, name) for name in ("message", "when", "excs"))
    text = "" if message is None else as_text(message)
    if not text:
        is_number = issubclass(type(when), (int, float))
        text = f"Retry in {as_text(when)}s" if is_number else f"Retry at {as_text(when)}"
        text += "" if reason is None else f": {as_text(reason)}"
    return masking.message(text)[:MESSAGE_LIMIT]


def _on_postrun(*, task_id: str, state: str | None, retval: Any = None, **_: object) -> None:
    with _guard:
        record = running("celery", task_id)
        # Without a state, an exception is propagating.
        exc = None if state else sys.exc_info()[1]
        if record is not None and _is_by_signal(exc):
            failed(record, exc, "killed")
        elif record is not None and state in OUTCOMES:
            _end_without_failure(record, OUTCOMES[state], retval)
        end(record, exc)


def _end_without_failure(record: Record, outcome: str, raised: Any) -> None:
    """A task has raised ``Reject`` or ``Ignore``, which do not count as failures."""
    from slowhound.instrument.exception import MESSAGE_LIMIT

    record.outcome = outcome
    reason = attribute_or(raised, "reason", MISSING)  # only a Reject has one
    if issubclass(type(reason), BaseException):
        raised, reason = reason, MISSING
    if issubclass(type(raised), BaseException):
        failed(record, raised, outcome)
        exc = {**(record.exc or {}), "exc_handled": True}
        if reason is not MISSING:  # without Reject's other argument, ``requeue``
            exc["exc_msg"] = masking.message("" if reason is None else as_text(reason))[
                :MESSAGE_LIMIT
            ]
        record.exc = exc


def _is_by_signal(exc: BaseException | None) -> TypeGuard[SystemExit]:
    """True for the exit that a signal handler of a pool's process raises: its code is negative."""
    if exc is None or not issubclass(type(exc), SystemExit):
        return False
    code = code_of(exc)
    return issubclass(type(code), int) and int.__int__(code) < 0
