"""The worker's side of Gunicorn: it may import Django, for the application has."""

from __future__ import annotations

import threading
from collections.abc import Callable
from functools import partial
from typing import Any
from urllib.parse import unquote

from django.conf import settings
from django.core.handlers.base import BaseHandler
from django.http import HttpRequest
from django.http.response import HttpResponseBase
from gunicorn import util

from slowhound import recorder
from slowhound.conf import MIDDLEWARE, get_config
from slowhound.guard import guard
from slowhound.gunicorn.hooks import ENDING, headers
from slowhound.gunicorn.logger import AccessStream, Logger, access_log_on
from slowhound.middleware import Watch
from slowhound.sinks.stream import Stream, nowhere


def start(worker: Any) -> None:
    """Starts this worker's recorder and puts the middleware in front when it is not listed."""
    if not settings.configured:
        return
    active = recorder.start(get_config(), _server(worker))
    if active is None:
        return
    ENDING.install()
    watch_refusals(worker)
    active.saturation.listeners = list(worker.sockets)
    active.saturation.pool = getattr(worker, "tpool", None)
    active.upkeep.sample()
    if MIDDLEWARE not in settings.MIDDLEWARE:
        put_in_front()


def _server(worker: Any) -> recorder.Server:
    name = type(worker).__name__
    # A sync worker has one request in flight, gthread one per thread; two to spare, so that a
    # request that cannot be finished takes no place from others.
    slots = {"SyncWorker": 1, "ThreadWorker": worker.cfg.threads}.get(name, 254) + 2
    mailbox = getattr(worker, "slowhound_mailbox", None)
    if mailbox is None:
        return recorder.Server(name, slots, _stream(worker.log))
    return recorder.Server(name, slots, _stream(worker.log), mailbox.tell, mailbox.heartbeat)


def _stream(log: Any) -> Stream | None:
    if not isinstance(log, Logger):
        return None
    return AccessStream(log.access_log) if access_log_on(log) else nowhere


def watch_refusals(worker: Any) -> None:
    """An event for each request that Gunicorn answers itself: malformed, too large.

    No hook sees these, and the access log only some of them.
    """
    handle_error, write_error = worker.handle_error, util.write_error
    answered = threading.local()

    def written(sock: Any, status_int: int, reason: str, mesg: str) -> None:
        answered.status = status_int
        write_error(sock, status_int, reason, mesg)

    def handled(req: Any, client: Any, addr: Any, exc: BaseException) -> None:
        answered.status = None
        handle_error(req, client, addr, exc)
        refused = getattr(exc, "req", None)
        if req is None and hasattr(refused, "headers"):  # of other errors it is a text
            req = refused
        if answered.status is not None and getattr(req, "slowhound", None) is None:
            with guard("gunicorn refusal"):
                _refused(req, addr, answered.status)

    util.write_error = written
    worker.handle_error = handled


def _refused(req: Any, addr: Any, status: int) -> None:
    active = recorder.get()
    if active is None:
        return
    path = unquote(getattr(req, "path", None) or "-", errors="surrogateescape")
    environ = headers(req) if req is not None else {}
    if isinstance(addr, tuple):
        environ["REMOTE_ADDR"] = addr[0]
    record = active.begin(getattr(req, "method", None) or "-", path, environ)
    record.status = status
    active.finish(record)


def put_in_front() -> None:
    """Does what the middleware does, around the handler.

    ``MIDDLEWARE`` is left alone: with ``--preload`` the handler has read it long ago.
    """
    original: Callable[[BaseHandler, HttpRequest], HttpResponseBase] = BaseHandler.get_response
    if getattr(original, "slowhound", False):
        return
    watch = Watch(get_config())

    original_async = BaseHandler.get_response_async

    def get_response(self: BaseHandler, request: HttpRequest) -> HttpResponseBase:
        return watch(request, partial(original, self))

    async def get_response_async(self: BaseHandler, request: HttpRequest) -> HttpResponseBase:
        return await watch.around(request, partial(original_async, self))

    get_response.slowhound = True  # type: ignore[attr-defined]
    BaseHandler.get_response = get_response  # type: ignore[method-assign]
    BaseHandler.get_response_async = get_response_async  # type: ignore[method-assign]
