"""Describes how a request has ended under Gunicorn: status, bytes, outcome."""

from __future__ import annotations

import select
import socket
from typing import Any

from slowhound.core.record import BODILESS, CLIENT_GONE, Record
from slowhound.runtime.code_objects import module_of
from slowhound.runtime.foreign import is_foreign
from slowhound.runtime.library_names import find
from slowhound.runtime.static_lookup import traceback_of
from slowhound.runtime.unpatched import is_greenlet_exit

# A client that leaves while the view works is only noticed by a check of its socket's state
# (0.8 µs); a request shorter than this is not checked, for its client cannot have given up.
SHORTEST_CHECKED = 0.05
# Where work goes on for longer than this after the last byte, a client that has left by then may
# well have received everything.
LONGEST_AFTER_SENDING = 0.001
# Modules through which a server reads and writes sockets; an application may use them as well.
_SOCKETS = {"gevent", "selectors", "slowhound", "socket", "ssl"}
SYNC = "gunicorn.workers.sync.SyncWorker"


def describe(record: Record, req: Any, environ: Any, resp: Any, exc: BaseException | None) -> None:
    """Sets status, bytes and outcome; ``exc`` is the exception that has ended the request."""
    status = getattr(resp, "status", None)
    if status is not None:
        record.status = int(status.split(None, 1)[0]) if isinstance(status, str) else status
    # The ASGI worker has no environ and no resp where its access log is off.
    if resp is not None or (record.sent is None and environ is not None):
        record.sent = _sent(req, resp)
    if isinstance(exc, OSError) and exc.errno in CLIENT_GONE and _is_servers(exc):
        # Gunicorn 23 sends a body for HEAD as well; no client waits for it.
        if not (record.method == "HEAD" and getattr(resp, "headers_sent", False)):
            record.outcome = "disconnect"
    elif exc is not None and is_greenlet_exit(exc):  # its worker is stopping
        record.outcome = "killed"
    elif exc is not None and not isinstance(exc, StopIteration):
        if record.exc is None:  # Django has not seen it: sys.exit() in a view, WSGI middleware
            from slowhound.instrument.exception import fields_of

            record.exc = {**fields_of(exc), "exc_handled": False}
        record.outcome = record.outcome or "error"
        record.status = record.status or 500
    elif record.outcome is None and _may_have_left(record) and _has_left(environ):
        record.outcome = "disconnect"


def set_status_of_failure(
    record: Record, resp: Any, exc: BaseException | None, worker: Any
) -> None:
    """Where a request failed before anything was sent: the status that Gunicorn sends itself.

    Only Gunicorn's sync worker sends a response after ``sys.exit()``; a thread and an event loop
    close the connection without one.
    """
    is_begun = getattr(resp, "headers_sent", record.first_byte is not None)
    if record.outcome != "error" or exc is None or is_begun:
        return
    sync = find(SYNC, "the status of a request that ends its worker may be wrong")
    is_silent = isinstance(exc, SystemExit) and sync and not isinstance(worker, sync)
    record.status = None if is_silent else 500


def _is_servers(exc: BaseException) -> bool:
    """True for the client's connection; False for one from the application to a backend."""
    inner, traceback = "", traceback_of(exc)
    while traceback is not None:
        module = module_of(traceback.tb_frame.f_globals).partition(".")[0]
        inner = inner if module in _SOCKETS else module
        traceback = traceback.tb_next
    return inner in ("", "gunicorn")


def _may_have_left(record: Record) -> bool:
    """False for a client that had no time to give up, or had time to read everything and leave."""
    age = record.age()
    is_just_sent = record.sent_after is None or age - record.sent_after < LONGEST_AFTER_SENDING
    return age > SHORTEST_CHECKED and is_just_sent and record.method != "HEAD"


def _sent(req: Any, resp: Any) -> int:
    if resp is None or req.method == "HEAD":
        return 0
    sent: int = getattr(resp, "sent", 0)
    if sent == 0 and getattr(resp, "headers_sent", False):
        # sendfile() does not count what it sends.
        status = getattr(resp, "status_code", None)
        if status not in BODILESS:
            sent = getattr(resp, "response_length", None) or 0
    return sent


def _has_left(environ: Any) -> bool:
    """True when the client has closed its socket; one that only stopped sending may still read."""
    connection = (environ or {}).get("gunicorn.socket")
    if connection is None:
        return False
    try:
        # Over a Unix socket every close gives POLLHUP, also that of a client that has read
        # everything; POLLERR means that it closed with something unread.
        unix = connection.family == socket.AF_UNIX
        signs = select.POLLERR if unix else select.POLLHUP | select.POLLERR
        poll = select.poll()
        poll.register(connection.fileno(), 0)
        return any(state & signs for _, state in poll.poll(0))
    except (OSError, ValueError, AttributeError) as exc:
        if is_foreign(exc):
            raise
        return False
