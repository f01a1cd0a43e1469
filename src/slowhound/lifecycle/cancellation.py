"""Was a request or a task cancelled: asked to end by whoever runs it?"""

from __future__ import annotations

from asyncio import CancelledError, _get_running_loop, current_task


def is_cancelled(exc: BaseException | None) -> bool:
    """True for asyncio's cancellation of the running task.

    A task or a future of the application's own, that it has cancelled itself, raises the same where
    it is awaited: nobody has asked the task that awaits it to end, and it ends by an error. So does
    code that runs in no loop.
    """
    if not issubclass(type(exc), CancelledError):
        return False
    loop = _get_running_loop()
    task = current_task(loop) if loop is not None else None
    if task is None:
        return False
    asked = getattr(task, "cancelling", None)  # a loop may have a class of its own for tasks
    return asked is None or asked() > 0
