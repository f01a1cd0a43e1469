"""Requests whose response was dropped without being closed: the hound finishes their records."""

from __future__ import annotations

from collections.abc import Callable

from slowhound.core.in_flight import snapshot_in_flight
from slowhound.core.record import Record


def finish_lost(finish: Callable[[Record], None]) -> None:
    """Calls ``finish`` with each such record.

    Also where the task that has sent the response is over and has not closed it, as when a server
    reports that the client has disconnected: the exception keeps it alive until a collection.
    """
    for record in snapshot_in_flight():
        response = record.response  # read once: its request may end now
        if record.left and not record.by_server and response is not None:
            task = record.task() if record.task is not None else None
            is_freed = response() is None
            if is_freed or (task is not None and task.done()):
                if is_freed and not record.done:  # another one may have been sent in its place
                    record.status = record.sent = None
                finish(record)
