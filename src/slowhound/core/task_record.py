"""The record of background work, such as a Celery task or a management command."""

from __future__ import annotations

from slowhound.core.record import Owner, Record
from slowhound.redaction import masking
from slowhound.redaction.cuts import cut
from slowhound.redaction.values import mask_values

# Characters of a task's id that are shown.
ID_LIMIT = 300


def _shown_id(task_id: str) -> str:
    # What follows a colon is a number, as in reset-password:42.
    return masking.short_text(task_id) if "=" in task_id else mask_values(task_id)


class TaskRecord(Record):
    """The record of one task: ``method`` is what kind of work it is, ``path`` its name."""

    kind = "task"
    owner = Owner.TASK

    def __init__(
        self,
        method: str,
        path: str,
        started: float,
        task_id: str | None = None,
        slow_after: float | None = None,
    ) -> None:
        super().__init__(method, path, started)
        self.task_id = task_id
        self.shown_id = None if task_id is None else _shown_id(cut(task_id, ID_LIMIT))
        self.slow_after = slow_after
        self.long_lived = slow_after is None
