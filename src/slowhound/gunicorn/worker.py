"""Starts the recorder in a Gunicorn worker; may import Django, for the application has."""

from __future__ import annotations

import threading
from typing import Any
from urllib.parse import unquote

from django.conf import settings
from django.http import HttpRequest
from django.http.response import HttpResponseBase

from slowhound.config.from_django import MIDDLEWARE, get_config
from slowhound.core.record import Owner, Record
from slowhound.gunicorn.arbiter import CFG, PEERS_WRITE
from slowhound.gunicorn.exit_signals import EXIT_SIGNALS
from slowhound.gunicorn.headers import headers
from slowhound.gunicorn.logger import AccessStream, Logger, access_log_on
from slowhound.gunicorn.outcomes import SYNC
from slowhound.instrument.saturation import Saturation
from slowhound.middleware import RequestRecorder
from slowhound.recorder import process
from slowhound.runtime.clocks import clock
from slowhound.runtime.library_names import find, missing, patch
from slowhound.sinks.stream import Stream, nowhere
from slowhound.system.guard import guard

WRITE_ERROR = "gunicorn.util.write_error"
RESPOND = "django.core.handlers.base.BaseHandler.get_response"
RESPOND_ASYNC = "django.core.handlers.base.BaseHandler.get_response_async"
GTHREAD = "gunicorn.workers.gthread.ThreadWorker"
# What follows where Gunicorn or Django lacks these names.
NOT_IN_FRONT = "Django's view of requests is not known where MIDDLEWARE does not name slowhound's"
REFUSALS = "requests that Gunicorn refuses have no event"
OPTIONAL_NAMES = {
    "gunicorn.glogging.Logger.access": "Gunicorn's own access line is written as well",
    "gunicorn.http.errors.InvalidHeader:req": "of a request with a bad header no path is known",
    "gunicorn.http.wsgi.Response:status": "resp_status is Django's",
    "gunicorn.http.wsgi.Response:sent": "resp_bytes is 0",
    "gunicorn.http.wsgi.Response:headers_sent": "resp_bytes of a file is 0",
    "gunicorn.http.wsgi.Response:status_code": "resp_bytes may count a body that is not sent",
    "gunicorn.http.wsgi.Response:response_length": "resp_bytes of a file is 0",
    "gunicorn.http.wsgi.default_environ:gunicorn.socket": "that a client has given up is not seen",
}
MANY = "the black box has 256 places, as for a worker of any other kind"


def start(worker: Any) -> None:
    """Starts this worker's recorder, and puts the middleware in front when it is not listed."""
    if not settings.configured:
        return
    for name, so in OPTIONAL_NAMES.items():
        find(name, so)
    active = process.start(get_config(), _server(worker))
    if active is None:
        return
    EXIT_SIGNALS.install()
    watch_refusals(worker)
    _watch_saturation(worker, active.saturation)
    active.peer_checks.check()
    if MIDDLEWARE not in settings.MIDDLEWARE:
        put_in_front()


def _watch_saturation(worker: Any, saturation: Saturation) -> None:
    sockets = getattr(worker, "sockets", None)
    if sockets is None:
        missing("gunicorn.workers.base.Worker:sockets", "g_backlog is not known")
    saturation.listeners = list(sockets or ())
    saturation.pool = getattr(worker, "tpool", None)
    saturation.pool_size = _threads(worker)
    if saturation.pool is None and type(worker).__module__ == GTHREAD.rpartition(".")[0]:
        missing(
            "gunicorn.workers.gthread.ThreadWorker:tpool", "there is no g_threads and no g_queue"
        )


def _server(worker: Any) -> process.Server:
    home, name = type(worker).__module__, type(worker).__name__
    # A sync worker has one request in flight, gthread one per thread. Two slots are spare, so that
    # a request that cannot be finished takes none from others.
    known = {SYNC: 1, GTHREAD: _threads(worker)}
    slots = known.get(f"{home}.{name}", 254) + 2
    for each in known:
        if each.startswith(f"{home}.") and each != f"{home}.{name}":
            missing(each, MANY)
    mailbox = getattr(worker, "slowhound_mailbox", None)
    if mailbox is None:
        return process.Server(name, slots, _stream(worker))
    return process.Server(name, slots, _stream(worker), mailbox.put_path, mailbox.heartbeat)


def _threads(worker: Any) -> int:
    cfg = getattr(worker, "cfg", None)
    if cfg is None:
        missing(CFG, PEERS_WRITE)
    return 254 if cfg is None else int(cfg.threads)


def _stream(worker: Any) -> Stream | None:
    if not isinstance(worker.log, Logger):
        return None
    return AccessStream() if access_log_on(worker.log) else nowhere


def watch_refusals(worker: Any) -> None:
    """Has an event written for each request that Gunicorn refuses: malformed, too large.

    No hook sees these, and only some of them are in the access log.
    """
    handle_error = getattr(worker, "handle_error", None)
    write_error = find(WRITE_ERROR, REFUSALS)
    if handle_error is None:
        missing("gunicorn.workers.base.Worker.handle_error", REFUSALS)
    if handle_error is None or write_error is None:
        return
    answered = threading.local()

    def written(*args: Any, **kwargs: Any) -> None:
        with guard("gunicorn refusal"):
            answered.status = args[1]
        write_error(*args, **kwargs)

    def handled(*args: Any, **kwargs: Any) -> None:
        answered.status = None
        handle_error(*args, **kwargs)
        if answered.status is not None:
            with guard("gunicorn refusal"):
                req, _client, addr, exc, *_ = args
                refused = getattr(exc, "req", None)
                if req is None and hasattr(refused, "headers"):  # other errors have a text there
                    req = refused
                if getattr(req, "slowhound", None) is None:
                    _refused(req, addr, answered.status)

    patch(WRITE_ERROR, written)
    worker.handle_error = handled


def _refused(req: Any, addr: Any, status: int) -> None:
    active = process.get()
    if active is None:
        return
    path = unquote(getattr(req, "path", None) or "-", errors="surrogateescape")
    environ = headers(req) if req is not None else {}
    if isinstance(addr, tuple):
        environ["REMOTE_ADDR"] = addr[0]
    record = Record(getattr(req, "method", None) or "-", path, clock.monotonic())
    record.owner, record.status, record.environ = Owner.HOOK, status, environ
    try:
        active.begin(record)
    finally:
        active.finish(record)


def put_in_front() -> None:
    """Does the middleware's work around Django's handler.

    ``MIDDLEWARE`` is not changed: with ``--preload`` the handler has read it before.
    """
    original: Any = find(RESPOND, NOT_IN_FRONT)
    original_async: Any = find(RESPOND_ASYNC, NOT_IN_FRONT)
    if getattr(original, "slowhound", False):
        return
    recorder = RequestRecorder(get_config())

    def get_response(
        self: Any, request: HttpRequest, *args: Any, **kwargs: Any
    ) -> HttpResponseBase:
        return recorder(request, lambda given: original(self, given, *args, **kwargs))

    async def get_response_async(
        self: Any, request: HttpRequest, *args: Any, **kwargs: Any
    ) -> HttpResponseBase:
        return await recorder.call_async(
            request, lambda given: original_async(self, given, *args, **kwargs)
        )

    get_response.slowhound = True  # type: ignore[attr-defined]
    if original is not None:
        patch(RESPOND, get_response)
    if original_async is not None:
        patch(RESPOND_ASYNC, get_response_async)
