"""Gunicorn's hooks: where a worker begins and ends, and each of its requests.

``pre_request`` is the first place that sees a request and ``post_request`` the last: it runs
after the body is closed, whatever went wrong before, and ``sys.exc_info()`` says what.
"""

from __future__ import annotations

import contextlib
import signal
import sys
import time
from typing import Any
from urllib.parse import unquote

from slowhound.core import record as record_module
from slowhound.core.ownership import lost
from slowhound.core.record import Owner, Record, in_flight
from slowhound.frames.frames import Stack, from_traceback
from slowhound.gunicorn import arbiter, outcomes
from slowhound.gunicorn.exit_signals import ENDING, Ending
from slowhound.gunicorn.headers import headers
from slowhound.peers.postmortem import abort_fields
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
# Gunicorn reads its configuration in the main thread; gevent's idea of a thread is another.
_main = get_ident()
# What an environ of Gunicorn's has, and none that was made in process; checked at the start.
MARK = "gunicorn.socket"
_describing = guard("gunicorn post_request")
# The records of requests that cannot hold them, by the ids of those.
_records: dict[int, Record] = {}


@guarded("gunicorn pre_fork")
def pre_fork(server: Any, worker: Any) -> None:
    """In the arbiter: a way for the worker to say where its black box is."""
    arbiter.give_mailbox(worker)


@guarded("gunicorn child_exit")
def child_exit(server: Any, worker: Any) -> None:
    """In the arbiter: the worker is dead; write what it could not write any more."""
    arbiter.bury(server, worker)


@guarded("gunicorn worker start")
def post_worker_init(worker: Any) -> None:
    """The application is loaded: start the recorder, unless this is no Django application."""
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
        # Before it begins: whatever is raised from outside in here, the other hook has it.
        try:
            req.slowhound = record
        except AttributeError as exc:
            if is_foreign(exc):
                raise
            _records[id(req)] = record  # the ASGI worker's requests have slots
        active.begin(record)


def post_request(worker: Any, req: Any, environ: Any, resp: Any) -> None:
    """Finishes it: the body is closed, or never will be."""
    if record_module.get_ident() != _main:  # where Python runs the handlers of signals
        _finish(worker, req, environ, resp)
        return
    mine = object()
    try:
        try:
            ENDING.busy.add(mine)
            _finish(worker, req, environ, resp)
        finally:
            ENDING.ended(mine)
    finally:
        # What was raised from outside right where the first one begins would else leave all that
        # ends the worker waiting for ever.
        ENDING.ended(mine)


def _finish(worker: Any, req: Any, environ: Any, resp: Any) -> None:
    exc = sys.exc_info()[1]
    record: Record | None = getattr(req, "slowhound", None) or _records.get(id(req))
    active = _recorder()
    if record is None or active is None:
        return
    try:
        with _describing:
            ENDING.judge(worker)
            _describe(record, req, environ, resp, exc)
            outcomes.describe_answer(record, resp, exc, worker)
    finally:
        # Again if need be: only the first one ends it, wherever it was interrupted.
        try:
            active.finish(record, req, resp, environ)
        finally:
            active.finish(record, req, resp, environ)
            _records.pop(id(req), None)


def _describe(record: Record, req: Any, environ: Any, resp: Any, exc: BaseException | None) -> None:
    if record.request is None and environ is not None:  # Django never saw it
        record.environ = environ
    is_ended = isinstance(exc, SystemExit) and ENDING.last is not None
    if is_ended:
        # The arbiter sends SIGABRT to a worker that is over its time, and others to end it.
        record.outcome = "timeout" if ENDING.last == signal.SIGABRT else "killed"
    outcomes.describe(record, req, environ, resp, None if is_ended else exc)
    if exc is not None and record.outcome == "timeout":
        record.aborted = abort_fields(_interrupted(from_traceback(traceback_of(exc))))


def _interrupted(stack: Stack) -> Stack:
    """What a signal has interrupted: its handlers are the innermost frames, ours the first."""
    code = Ending._handle.__code__
    ours = [(each.filename, each.function) == (code.co_filename, code.co_name) for each in stack]
    return stack[: ours.index(True)] or stack if True in ours else stack


@guarded("gunicorn worker exit")
def worker_exit(server: Any, worker: Any) -> None:
    """The worker ends in good order: write what is pending, remove its box."""
    # Threads of gthread may still have requests in flight, and end them or be killed in them: the
    # recorder is then needed to the end of the process.
    if "slowhound.recorder.process" in sys.modules and not in_flight:
        from slowhound.recorder import process

        process.stop()


@guarded("gunicorn exit")
def on_exit(server: Any) -> None:
    """In the arbiter: bury the workers that it has just killed because they did not end in time.

    It does not wait for them itself, and after it nobody is there who knows how they died.
    """
    end = clock.monotonic() + LAST_WAIT
    reaps = find("gunicorn.arbiter.Arbiter.reap_workers", "workers that it kills have no events")
    with contextlib.suppress(*HALT):  # a worker that never booted; the server halts anyway
        while reaps and arbiter.workers(server) and clock.monotonic() < end:
            server.reap_workers()
            time.sleep(0.01)
    arbiter.bury_the_rest(server)


def _recorder() -> Any:
    module = sys.modules.get("slowhound.recorder.process")
    return module.get() if module is not None else None
