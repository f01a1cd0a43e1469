"""Records management commands, each as one task."""

from __future__ import annotations

import functools
from functools import partial
from typing import TYPE_CHECKING, Any

from slowhound.core.task_record import TaskRecord
from slowhound.lifecycle.task_records import TASK_SLOTS, new, run_recorded
from slowhound.runtime.library_names import find
from slowhound.system.guard import guarded

if TYPE_CHECKING:
    from django.core.management.base import BaseCommand

    from slowhound.recorder.process import Server

# Commands that serve, or wait for a person; and ``test``, whose own commands are a test's.
UNRECORDED_COMMANDS = frozenset(
    ("runserver", "runserver_plus", "testserver", "shell", "shell_plus", "dbshell", "test")
)

EXECUTE = "django.core.management.base.BaseCommand.execute"
# What follows where it is not known whether a command was called from the command line.
TO_STDOUT = "lines of commands are written to standard output"


@guarded("background")
def record_commands() -> None:
    """Every command from now on gets its own event."""
    from django.core.management.base import BaseCommand

    execute: Any = find(EXECUTE, "no command is recorded")
    if execute is None or getattr(execute, "slowhound", False):
        return
    find("django.core.management.base.BaseCommand._called_from_command_line", TO_STDOUT)

    @functools.wraps(execute)
    def recorded(self: BaseCommand, *args: Any, **options: Any) -> Any:
        record, server = _new_command(self)
        return run_recorded(record, server, partial(execute, self, *args, **options))

    recorded.slowhound = True  # type: ignore[attr-defined]
    BaseCommand.execute = recorded  # type: ignore[method-assign]


def _new_command(command: Any) -> tuple[TaskRecord | None, Server | None]:
    from slowhound.recorder.process import Server
    from slowhound.sinks.stream import Output, is_under_test

    name = type(command).__module__.rpartition(".")[2]
    if name in UNRECORDED_COMMANDS or is_under_test():
        return None, None
    if not getattr(command, "_called_from_command_line", False):
        return new("command", name), None
    # A command's standard output is data: ``dumpdata > backup.json``.
    return new("command", name), Server("command", TASK_SLOTS, Output(2))
