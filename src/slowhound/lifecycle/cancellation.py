"""Decides whether a request or a task was cancelled by whatever runs it."""

from __future__ import annotations

from asyncio import CancelledError, _get_running_loop, current_task


def is_cancelled(exc: BaseException | None) -> bool:
    """True when asyncio has cancelled the running task.

    Awaiting a task or a future that the application has cancelled itself raises the same exception,
    although the task that awaits it was not cancelled: that one ends with an error. The same is
    true of code that runs in no loop.
    """
    if not issubclass(type(exc), CancelledError):
        return False
    loop = _get_running_loop()
    task = current_task(loop) if loop is not None else None
    if task is None:
        return False
    cancelling = getattr(task, "cancelling", None)  # a loop may have its own class of tasks
    return cancelling is None or cancelling() > 0
