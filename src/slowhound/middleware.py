"""The middleware: sees Django's request and response, and begins a record where no server has.

Put it first in ``MIDDLEWARE``. Under Gunicorn, slowhound's hooks add it when it is not listed.
"""

from __future__ import annotations

import inspect
from asyncio import CancelledError
from collections.abc import Awaitable, Callable
from typing import Any

from asgiref.sync import iscoroutinefunction, markcoroutinefunction
from django.core.exceptions import MiddlewareNotUsed
from django.http import HttpRequest
from django.http.response import HttpResponseBase

from slowhound.config.config import Config
from slowhound.config.from_django import get_config
from slowhound.core.in_flight import current
from slowhound.core.ownership import lost, of_request
from slowhound.core.record import Owner, Record
from slowhound.delivery.sink import preload
from slowhound.instrument import trace
from slowhound.instrument.exception import fields_of
from slowhound.lifecycle import closing
from slowhound.lifecycle.cancellation import is_cancelled
from slowhound.lifecycle.on_response import on_response
from slowhound.on_demand import wrapper
from slowhound.recorder import process
from slowhound.redaction.masking import PATH_LIMIT, client_text
from slowhound.redaction.plain_data import as_text
from slowhound.runtime.clocks import clock
from slowhound.runtime.library_names import find
from slowhound.runtime.unpatched import is_greenlet_exit
from slowhound.system.guard import guard

_guard = guard("middleware")
THROWN = "a response that is thrown away and closed counts as the one that was sent"


class RequestRecorder:
    """Passes a request to ``get_response`` and records it; its own failures stay in the guard."""

    def __init__(self, config: Config, *, in_handler: bool = False) -> None:
        self.config = config
        self._in_handler = in_handler
        closing.connect()

    def __call__(
        self, request: HttpRequest, get_response: Callable[[HttpRequest], HttpResponseBase]
    ) -> HttpResponseBase:
        """The response of ``get_response``, untouched."""
        try:
            record = self._before(request)
            if record is not None and _wants_profile(request):
                get_response = wrapper.wrap(get_response, record, self.config)
            response = get_response(request)
            if record is not None:
                on_response(record, response, in_handler=self._in_handler)
            return response
        except BaseException as exc:
            # Django's handlers turn the view's exceptions into responses. This one is another: the
            # worker is being aborted, or a signal handler has raised in here.
            _end_by_exception(request, exc)
            raise

    async def call_async(
        self, request: HttpRequest, get_response: Callable[[HttpRequest], Awaitable[Any]]
    ) -> HttpResponseBase:
        """The same for an async ``get_response``."""
        try:
            record = self._before(request)
            if record is not None and _wants_profile(request):
                get_response = wrapper.wrap_async(get_response, record, self.config)
            response: HttpResponseBase = await get_response(request)
            if record is not None:
                on_response(record, response, in_handler=self._in_handler)
            return response
        except BaseException as exc:
            _end_by_exception(request, exc)
            raise

    def _before(self, request: HttpRequest) -> Record | None:
        if _guard.off_until and _guard.off:
            return None
        try:
            record = of_request(request)
            if record is None:
                record = self._begin(request)
            elif record.request is not None and not record.left:
                return None  # the middleware is listed twice, or the application mounts itself
            else:
                self._take(record, request)
        except Exception as exc:
            if _guard.failed(exc):
                raise
            return None
        if _guard.streak:
            _guard.streak = 0
        return record

    def _begin(self, request: HttpRequest) -> Record | None:
        active = process.get() or process.start(self.config)
        if active is None:
            return None
        before = lost(Owner.MIDDLEWARE)
        if before is not None:
            active.finish(before)
        record = Record(request.method or "-", request.path, clock.monotonic())
        record.request = request
        record.environ = request.META
        active.begin(record)
        return record

    @staticmethod
    def _take(record: Record, request: HttpRequest) -> None:
        """Uses a record that exists already: the server's, or that of a view that runs again."""
        if record.task is not None:
            # Django's handler runs the views in another task.
            active = process.get()
            if active is not None:
                active.carry(record)
        record.request = request
        if trace.readers:
            trace.in_django(record)
        # Django's path is decoded; that of the server is not.
        record.path = client_text(as_text(request.path), PATH_LIMIT)
        record.environ = request.META
        if record.left:
            record.left, record.outcome, record.thrown = False, None, False
            record.first_byte = None


def _wants_profile(request: HttpRequest) -> bool:
    try:
        found = wrapper.may_ask(request.META)
    except Exception as exc:
        if _guard.failed(exc):
            raise
        return False
    if _guard.streak:
        _guard.streak = 0
    return found


def _end_by_exception(request: HttpRequest, exc: BaseException) -> None:
    """An exception passes through the middleware: ends the record if the middleware began it."""
    record = current()
    if record is None or record.request is not request:
        return
    if record.scope is not None:
        if not issubclass(type(exc), Exception):
            _keep_loops_exception(record, exc)
        return
    # Of a cancellation Gunicorn's hooks learn nothing, so it is recorded here for them too.
    if not record.by_server or issubclass(type(exc), CancelledError):
        record.outcome = record.outcome or _outcome(exc)
        if record.exc is None and record.outcome == "error":
            with _guard:
                record.exc = {**fields_of(exc), "exc_handled": False}
    if not record.by_server:
        if issubclass(type(exc), Exception):
            record.status = 500  # the status that a server sends then
        process.finish(record)


def _outcome(exc: BaseException) -> str:
    if is_cancelled(exc):
        return "cancelled"
    return "killed" if is_greenlet_exit(exc) else "error"


def _keep_loops_exception(record: Record, exc: BaseException) -> None:
    """Keeps an exception that ends the event loop, for ``slowhound.asgi.wrap``.

    What ends Django's task reaches ``wrap`` without a traceback, or not at all. If code in front
    catches it, it counts as handled.
    """
    if is_cancelled(exc):
        return
    record.has_left_loop = issubclass(type(exc), (SystemExit, KeyboardInterrupt))
    if record.exc is None:
        with _guard:
            record.exc = {**fields_of(exc), "exc_handled": True}


def _is_loading() -> bool:
    """True while Django's handler loads its middleware; False where other code makes one."""
    load = find("django.core.handlers.base.BaseHandler.load_middleware", THROWN)
    frame = inspect.currentframe()
    while frame is not None and load is not None:
        if frame.f_code is getattr(load, "__code__", None):
            return True
        frame = frame.f_back
    return False


class SlowhoundMiddleware:
    """Records each request; the response that it returns is the application's own.

    Raises:
        MiddlewareNotUsed: ``ENABLED`` is False, so that Django leaves it out.
    """

    sync_capable = True
    async_capable = True

    def __init__(self, get_response: Callable[[HttpRequest], Any]) -> None:
        config = get_config()
        if not config.enabled:
            raise MiddlewareNotUsed("SLOWHOUND['ENABLED'] is False")
        with _guard:
            preload(config.sinks)
        self.get_response = get_response
        self.recorder = RequestRecorder(config, in_handler=_is_loading())
        self._is_async = iscoroutinefunction(get_response)
        if self._is_async:
            markcoroutinefunction(self)

    def __call__(self, request: HttpRequest) -> Any:
        """The application's response, or under ASGI a coroutine for it, without a thread hop."""
        if self._is_async:
            return self.recorder.call_async(request, self.get_response)
        return self.recorder(request, self.get_response)
