"""Gunicorn's hooks: they see where a worker begins and ends, and each of its requests.

``pre_request`` is the first place that sees a request, and ``post_request`` the last: it runs after
the body is closed, whatever went wrong before, and finds the exception in ``sys.exc_info()``.
"""

from __future__ import annotations

import contextlib
import signal
import sys
import time
from typing import Any
from urllib.parse import unquote

from slowhound.core import ids
from slowhound.core.in_flight import in_flight
from slowhound.core.ownership import lost
from slowhound.core.record import Owner, Record
from slowhound.frames.frames import Stack, from_traceback
from slowhound.gunicorn import arbiter, outcomes
from slowhound.gunicorn.exit_signals import EXIT_SIGNALS, ExitSignals
from slowhound.gunicorn.headers import headers
from slowhound.peers.box_fields import abort_fields
from slowhound.runtime.clocks import clock
from slowhound.runtime.foreign import is_foreign
from slowhound.runtime.library_names import caught, find, missing
from slowhound.runtime.static_lookup import traceback_of
from slowhound.runtime.unpatched import get_ident
from slowhound.system.guard import guard, guarded

HALT = caught("gunicorn.errors.HaltServer")
OF_REQUESTS = {
    "method": "gunicorn.http.message.Request:method",
    "path": "gunicorn.http.message.Request:path",
    "headers": "gunicorn.http.message.Request:headers",
}
NO_RECORD = "requests are begun by the middleware, which knows less of how they end"
# Seconds that a stopping arbiter waits for the workers that it has killed.
LAST_WAIT = 2.0
# The main thread, in which Gunicorn reads its configuration; gevent has other ids for threads.
_main = get_ident()
# A key that Gunicorn's environ has, and that of a request made in process has not.
MARK = "gunicorn.socket"
_describing = guard("gunicorn post_request")
# Records of requests whose objects take no attribute, by the ids of the objects.
_records: dict[int, Record] = {}


@guarded("gunicorn pre_fork")
def pre_fork(server: Any, worker: Any) -> None:
    """In the arbiter: makes the memory in which the worker writes where its black box is."""
    arbiter.give_mailbox(worker)


@guarded("gunicorn child_exit")
def child_exit(server: Any, worker: Any) -> None:
    """In the arbiter: the worker has ended; writes the events that it could not write."""
    arbiter.reap(server, worker)


@guarded("gunicorn worker start")
def post_worker_init(worker: Any) -> None:
    """The application is loaded: starts the recorder, if it is a Django application."""
    if "django" in sys.modules:
        from slowhound.gunicorn.worker import start

        start(worker)


@guarded("gunicorn pre_request")
def pre_request(worker: Any, req: Any) -> None:
    """Begins the record of a request."""
    active = _recorder()
    if active is not None:
        before = lost(Owner.HOOK)
        if before is not None:
            active.finish(before)
        try:
            method, path, environ = req.method, req.path, headers(req)
        except AttributeError as exc:
            if is_foreign(exc):
                raise
            missing(OF_REQUESTS.get(str(exc.name), str(exc)), NO_RECORD)
            return
        wire = method, path
        if "%" in path:
            path = unquote(path, errors="surrogateescape")
        record = Record(method, path, clock.monotonic())
        record.owner, record.mark, record.wire = Owner.HOOK, MARK, wire
        record.environ = environ
        # Before it begins: if a signal handler raises in here, ``post_request`` finds the record.
        try:
            req.slowhound = record
        except AttributeError as exc:
            if is_foreign(exc):
                raise
            _records[id(req)] = record  # the ASGI worker's requests have __slots__
        active.begin(record)


def post_request(worker: Any, req: Any, environ: Any, resp: Any) -> None:
    """Finishes the record of a request: the body is closed, or never will be."""
    if ids.get_ident() != _main:  # Python runs signal handlers in the main thread
        _finish(worker, req, environ, resp)
        return
    mine = object()
    try:
        try:
            EXIT_SIGNALS.unfinished.add(mine)
            _finish(worker, req, environ, resp)
        finally:
            EXIT_SIGNALS.finished(mine)
    finally:
        # Again: an exception raised from outside just where the first call begins would leave the
        # signals that end the worker deferred for ever.
        EXIT_SIGNALS.finished(mine)


def _finish(worker: Any, req: Any, environ: Any, resp: Any) -> None:
    exc = sys.exc_info()[1]
    record: Record | None = getattr(req, "slowhound", None) or _records.get(id(req))
    active = _recorder()
    if record is None or active is None:
        return
    try:
        with _describing:
            EXIT_SIGNALS.forget_foreign_abort(worker)
            _describe(record, req, environ, resp, exc)
            outcomes.set_status_of_failure(record, resp, exc, worker)
    finally:
        # Twice: the first call may be interrupted anywhere, and only one of them ends the record.
        try:
            active.finish(record, req, resp, environ)
        finally:
            active.finish(record, req, resp, environ)
            _records.pop(id(req), None)


def _describe(record: Record, req: Any, environ: Any, resp: Any, exc: BaseException | None) -> None:
    if record.request is None and environ is not None:  # Django never saw it
        record.environ = environ
    is_ended = isinstance(exc, SystemExit) and EXIT_SIGNALS.last is not None
    if is_ended:
        # The arbiter sends SIGABRT to a worker that is over its time, and others to end it.
        record.outcome = "timeout" if EXIT_SIGNALS.last == signal.SIGABRT else "killed"
    outcomes.describe(record, req, environ, resp, None if is_ended else exc)
    if exc is not None and record.outcome == "timeout":
        record.aborted = abort_fields(_interrupted(from_traceback(traceback_of(exc))))


def _interrupted(stack: Stack) -> Stack:
    """The stack that a signal has interrupted, without its handlers (ours is their first frame)."""
    code = ExitSignals._handle.__code__
    ours = [(each.filename, each.function) == (code.co_filename, code.co_name) for each in stack]
    return stack[: ours.index(True)] or stack if True in ours else stack


@guarded("gunicorn worker exit")
def worker_exit(server: Any, worker: Any) -> None:
    """The worker exits normally: writes what is pending and removes its box."""
    # Threads of gthread may still have requests in flight, and finish them or be killed: the
    # recorder is then needed until the process ends.
    if "slowhound.recorder.process" in sys.modules and not in_flight:
        from slowhound.recorder import process

        process.stop()


@guarded("gunicorn exit")
def on_exit(server: Any) -> None:
    """In the arbiter: reaps the workers that it has just killed because they did not end in time.

    Gunicorn does not wait for them, and no other process can learn how they died.
    """
    end = clock.monotonic() + LAST_WAIT
    reaps = find("gunicorn.arbiter.Arbiter.reap_workers", "workers that it kills have no events")
    with contextlib.suppress(*HALT):  # a worker has not started; the server halts anyway
        while reaps and arbiter.workers(server) and clock.monotonic() < end:
            server.reap_workers()
            time.sleep(0.01)
    arbiter.reap_the_rest(server)


def _recorder() -> Any:
    module = sys.modules.get("slowhound.recorder.process")
    return module.get() if module is not None else None
