"""The worker's side of Gunicorn: it may import Django, for the application has."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from django.conf import settings
from django.core.handlers.base import BaseHandler
from django.http import HttpRequest
from django.http.response import HttpResponseBase

from slowhound import recorder
from slowhound.conf import get_config
from slowhound.gunicorn.arbiter import tell_box
from slowhound.gunicorn.logger import AccessStream, Logger
from slowhound.middleware import Watch
from slowhound.sinks.stream import Stream, nowhere

MIDDLEWARE = "slowhound.middleware.SlowhoundMiddleware"


def start(worker: Any) -> None:
    """Starts this worker's recorder and puts the middleware in front when it is not listed."""
    if not settings.configured:
        return
    active = recorder.start(get_config(), _server(worker))
    if active is None:
        return
    active.saturation.listeners = list(worker.sockets)
    active.saturation.pool = getattr(worker, "tpool", None)
    active.sample()
    if MIDDLEWARE not in settings.MIDDLEWARE:
        put_in_front()


def _server(worker: Any) -> recorder.Server:
    name = type(worker).__name__
    # A sync worker has one request in flight, gthread one per thread; two to spare, so that a
    # request that cannot be finished takes no place from others.
    slots = {"SyncWorker": 1, "ThreadWorker": worker.cfg.threads}.get(name, 254) + 2
    return recorder.Server(name, slots, _stream(worker.log), partial(tell_box, worker))


def _stream(log: Any) -> Stream | None:
    if not isinstance(log, Logger):
        return None
    return AccessStream(log.access_log) if log.access_log_enabled else nowhere


def put_in_front() -> None:
    """Does what the middleware does, around the handler.

    ``MIDDLEWARE`` is left alone: with ``--preload`` the handler has read it long ago.
    """
    original: Callable[[BaseHandler, HttpRequest], HttpResponseBase] = BaseHandler.get_response
    if getattr(original, "slowhound", False):
        return
    watch = Watch(get_config())

    def get_response(self: BaseHandler, request: HttpRequest) -> HttpResponseBase:
        return watch(request, partial(original, self))

    get_response.slowhound = True  # type: ignore[attr-defined]
    BaseHandler.get_response = get_response  # type: ignore[method-assign]
