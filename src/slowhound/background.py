"""Background work: a record and an event for each task, as for each request.

``task`` is the decorator. Management commands and what ``django.tasks`` runs are recorded when the
setting ``TASKS`` names them; ``slowhound.celery`` is for Celery. Nothing is looked at, and Django
not imported, before the first task begins.
"""

from __future__ import annotations

import functools
import inspect
import sys
from collections.abc import Callable, Iterable
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar, overload

from slowhound.core.record import (
    Record,
    TaskRecord,
    current_record,
    snapshot_in_flight,
)
from slowhound.lifecycle.cancellation import is_cancelled
from slowhound.redaction.cuts import cut
from slowhound.redaction.plain_data import as_text, text_or_none
from slowhound.runtime.clocks import clock
from slowhound.runtime.library_names import find
from slowhound.runtime.static_lookup import is_success
from slowhound.runtime.unpatched import is_greenlet_exit
from slowhound.system.guard import guard

if TYPE_CHECKING:
    from slowhound.recorder.process import Server

F = TypeVar("F", bound=Callable[..., Any])

# A line longer than a pipe takes at once (4,096 bytes) can be torn apart by others.
NAME_LIMIT = 300
# Tasks at once in a process that runs tasks only, and still have a place in the black box.
SLOTS = 64
# Commands that serve, or wait for a person; and the one whose own commands are a test's.
UNRECORDED = frozenset(
    ("runserver", "runserver_plus", "testserver", "shell", "shell_plus", "dbshell", "test")
)

_guard = guard("background")
EXECUTE = "django.core.management.base.BaseCommand.execute"
# What comes of it where Django does not say what a command runs in.
TO_STDOUT = "lines of commands are written to standard output"


@overload
def task(function: F, /) -> F: ...
@overload
def task(*, name: str | None = None, slow_after: float | None = None) -> Callable[[F], F]: ...


def task(
    function: Any = None, /, *, name: str | None = None, slow_after: float | None = None
) -> Any:
    """Decorator: each call of the function, sync or async, has an event of its own.

    Args:
        function: what is decorated; the decorator can also be used without options.
        name: ``task_name``; the function's dotted path when it is not given.
        slow_after: seconds after which a call is reported as slow; it is never by default.

    Raises:
        TypeError: it is no function, or a generator, whose call does nothing yet.
    """
    if function is None:
        return partial(_decorate, name=name, slow_after=slow_after)
    return _decorate(function, name, slow_after)


def _decorate(function: Any, name: str | None, slow_after: float | None) -> Any:
    if isinstance(function, staticmethod | classmethod):
        return type(function)(_decorate(function.__func__, name, slow_after))
    if not callable(function):
        raise TypeError(f"slowhound.task decorates a function; {function!r} is none")
    if inspect.isgeneratorfunction(function) or inspect.isasyncgenfunction(function):
        raise TypeError(f"slowhound.task cannot decorate the generator {function!r}")
    make = partial(new, "function", name or _name(function), slow_after=slow_after)
    if _is_async(function):

        @functools.wraps(function)
        async def async_wrapper(*args: Any, **kwargs: Any) -> Any:
            record = make()
            # No with: what is raised from outside may come between its block and its end.
            try:
                start(record)
                result = await function(*args, **kwargs)
                end(record)
            except BaseException as exc:
                end(record, exc)
                raise
            return result

        return async_wrapper

    @functools.wraps(function)
    def wrapper(*args: Any, **kwargs: Any) -> Any:
        return _recorded(make(), None, partial(function, *args, **kwargs))

    return wrapper


def _recorded(record: TaskRecord | None, server: Server | None, run: Callable[[], Any]) -> Any:
    try:
        start(record, server)
        result = run()
        end(record)
    except BaseException as exc:
        end(record, exc)
        raise
    return result


def _is_async(function: Any) -> bool:
    # An object that can be called is asked for its method.
    return inspect.iscoroutinefunction(function) or (
        not inspect.isroutine(function) and inspect.iscoroutinefunction(type(function).__call__)
    )


def _name(function: Any) -> str:
    while isinstance(function, partial):
        function = function.func
    if not hasattr(function, "__qualname__"):
        function = type(function)
    return f"{function.__module__}.{function.__qualname__}"


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
        short = cut(as_text(name), NAME_LIMIT)
        return TaskRecord(kind, short, clock.monotonic(), text_or_none(task_id), slow_after)
    return None


def start(record: TaskRecord | None, server: Server | None = None) -> Record | None:
    """Makes it the current one; None when slowhound is off, or fails.

    ``server`` is for the process's recorder, when this starts it.
    """
    if record is None or (_guard.off_until and _guard.off):
        return None
    with _guard:
        from slowhound.config.from_django import get_config
        from slowhound.recorder import process

        server = server or process.Server("task", SLOTS)
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
    """A record that is current from now on, whose end a signal tells; None when off."""
    return start(new(kind, name, task_id), server)


def end(record: Record | None, exc: BaseException | None = None) -> None:
    """Writes its event; what was current before is so again."""
    if record is None:
        return
    with _guard:
        left = _left_within(record)
        for each in left or ():
            _finish(each, exc)
        _finish(record, exc)
        if left is not None:
            current_record.set(record.outer)


def running(kind: str, task_id: str) -> Record | None:
    """The record of a task that a signal tells of; the last one, should it run within itself."""
    task_id = as_text(task_id)
    for record in reversed(snapshot_in_flight()):
        if isinstance(record, TaskRecord) and (record.method, record.task_id) == (kind, task_id):
            return record
    return None


def failed(record: Record, exc: BaseException, outcome: str = "error") -> None:
    """Notes how it ended."""
    from slowhound.instrument.exception import fields_of

    record.outcome = outcome
    record.exc = {**fields_of(exc), "exc_handled": outcome == "retry"}


def _left_within(record: Record) -> list[Record] | None:
    """Tasks that were begun in this one, and whose end nobody told, the innermost first.

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


def install(names: Iterable[str]) -> None:
    """Begins to record what the setting ``TASKS`` names."""
    with _guard:
        if "commands" in names:
            _record_commands()
        if "django.tasks" in names:
            _record_django_tasks()


def _record_commands() -> None:
    from django.core.management.base import BaseCommand

    execute: Any = find(EXECUTE, "no command is recorded")
    if execute is None or getattr(execute, "slowhound", False):
        return
    find("django.core.management.base.BaseCommand._called_from_command_line", TO_STDOUT)

    @functools.wraps(execute)
    def recorded(self: BaseCommand, *args: Any, **options: Any) -> Any:
        record, server = _new_command(self)
        return _recorded(record, server, partial(execute, self, *args, **options))

    recorded.slowhound = True  # type: ignore[attr-defined]
    BaseCommand.execute = recorded  # type: ignore[method-assign]


def _new_command(command: Any) -> tuple[TaskRecord | None, Server | None]:
    from slowhound.recorder.process import Server
    from slowhound.sinks.stream import Output, is_under_test

    name = type(command).__module__.rpartition(".")[2]
    if name in UNRECORDED or is_under_test():
        return None, None
    if not getattr(command, "_called_from_command_line", False):
        return new("command", name), None
    # A command's standard output is data: ``dumpdata > backup.json``.
    return new("command", name), Server("command", SLOTS, Output(2))


def _record_django_tasks() -> None:
    try:
        from django.tasks import signals
    except ImportError:
        return  # before Django 6.0; a system check says so
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
