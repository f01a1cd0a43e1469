"""Tells the arbiter's SIGABRT, which is a timeout, from one that the application has sent.

The arbiter sets a mark in the worker's mailbox before it sends the signal. Without that mark, it
was a timeout if the worker has been silent for as long as the arbiter waits.
"""

from __future__ import annotations

from typing import Any

from slowhound.runtime.clocks import clock
from slowhound.runtime.foreign import is_foreign
from slowhound.runtime.library_names import missing

# Seconds; the arbiter counts from a file's modification time, which a file system may round.
ABORT_MARGIN = 0.1
OF_WORKERS = {
    "tmp": "gunicorn.workers.base.Worker:tmp",
    "last_update": "gunicorn.workers.workertmp.WorkerTmp.last_update",
}
UNSURE = "a SIGABRT that the application sends itself may count as a timeout"


def is_timeout(worker: Any) -> bool:
    """True in a worker that the arbiter has aborted because of its timeout."""
    mailbox = getattr(worker, "slowhound_mailbox", None)
    return (mailbox is not None and bool(mailbox.abort[0])) or _is_silent(worker)


def _is_silent(worker: Any) -> bool:
    try:
        last, limit = worker.tmp.last_update(), worker.cfg.timeout
    except AttributeError as exc:
        if is_foreign(exc):
            raise
        missing(OF_WORKERS.get(str(exc.name), str(exc)), UNSURE)
        return True
    except (OSError, ValueError) as exc:  # the application has closed all files
        if is_foreign(exc):
            raise
        return False
    return bool(limit) and clock.monotonic() - last > limit - ABORT_MARGIN
