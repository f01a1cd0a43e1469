"""Records what ``django.tasks`` runs, by Django's signals."""

from __future__ import annotations

import sys
from typing import Any

from slowhound.lifecycle.task_records import begin, end, failed, running
from slowhound.system.guard import guard, guarded

_guard = guard("background")


@guarded("background")
def record_django_tasks() -> None:
    """Every task of Django's from now on gets its own event."""
    try:
        from django.tasks import signals
    except ImportError:
        return  # before Django 6.0; a system check warns of it
    signals.task_started.connect(_on_started, dispatch_uid="slowhound")
    signals.task_finished.connect(_on_finished, dispatch_uid="slowhound")


def _on_started(*, task_result: Any, **_: object) -> None:
    begin("django.tasks", task_result.task.module_path, task_result.id)


def _on_finished(*, task_result: Any, **_: object) -> None:
    with _guard:
        record = running("django.tasks", task_result.id)
        if record is None:
            return
        if task_result.status == "FAILED":
            record.outcome = "error"
            exc = sys.exc_info()[1]  # Django's own backend is just handling it
            if exc is not None:
                failed(record, exc)
            elif task_result.errors:
                path = task_result.errors[-1].exception_class_path
                record.exc = {"exc_type": path.rpartition(".")[2], "exc_handled": False}
        end(record)
