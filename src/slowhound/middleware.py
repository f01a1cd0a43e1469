"""The middleware: it sees Django's request and response, and begins the record when no server did.

Put it first in ``MIDDLEWARE``. Under Gunicorn with slowhound's hooks it comes in by itself.
"""

from __future__ import annotations

import asyncio
import weakref
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from typing import Any

from asgiref.sync import iscoroutinefunction, markcoroutinefunction
from django.core.exceptions import MiddlewareNotUsed
from django.http import FileResponse, HttpRequest, StreamingHttpResponse
from django.http.response import HttpResponseBase

from slowhound import on_demand, recorder
from slowhound.clocks import clock
from slowhound.conf import get_config
from slowhound.config import Config
from slowhound.guard import guard
from slowhound.instrument.exception import fields_of
from slowhound.losses import missing
from slowhound.ownership import of_request
from slowhound.plain_data import as_int, as_text
from slowhound.record import Record, current
from slowhound.redact import short_text
from slowhound.sinks.delivery import preload
from slowhound.unpatched import is_greenlet_exit

_guard = guard("middleware")
ENDS_EARLY = "a request ends with its view, and not with its body"


class Watch:
    """Passes a request to ``get_response``; what slowhound does before and after is guarded."""

    def __init__(self, config: Config) -> None:
        self.config = config

    def __call__(
        self, request: HttpRequest, get_response: Callable[[HttpRequest], HttpResponseBase]
    ) -> HttpResponseBase:
        """The response of ``get_response``, untouched."""
        try:
            record = self._before(request)
            if record is not None and _asks(request):
                get_response = on_demand.around(get_response, record, self.config)
            response = get_response(request)
            if record is not None:
                self._after(record, request, response)
            return response
        except BaseException as exc:
            # Not through Django's handlers, which turn exceptions into responses; a worker that
            # is being aborted, for one, or what the handler of a signal has raised in here.
            _broke_through(request, exc)
            raise

    async def around(
        self, request: HttpRequest, get_response: Callable[[HttpRequest], Awaitable[Any]]
    ) -> HttpResponseBase:
        """The same for a ``get_response`` that is awaited."""
        try:
            record = self._before(request)
            if record is not None and _asks(request):
                get_response = on_demand.around_later(get_response, record, self.config)
            response: HttpResponseBase = await get_response(request)
            if record is not None:
                self._after(record, request, response)
            return response
        except BaseException as exc:
            _broke_through(request, exc)
            raise

    def _before(self, request: HttpRequest) -> Record | None:
        if _guard.off_until and _guard.off:
            return None
        try:
            record = of_request(request)
            if record is None:
                record = self._begin(request)
            elif record.request is request and not record.left:
                return None  # the middleware is listed twice
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
        active = recorder.get() or recorder.start(self.config)
        if active is None:
            return None
        record = Record(request.method or "-", request.path, clock.monotonic())
        record.request = request
        record.environ = request.META
        active.begin(record)
        return record

    @staticmethod
    def _take(record: Record, request: HttpRequest) -> None:
        """It belongs to this request as well: of the server's record, or of one that runs again."""
        if record.task is not None:
            # Django's handler runs the views in a task of its own.
            active = recorder.get()
            if active is not None:
                active.carry(record)
        record.request = request
        record.path = short_text(as_text(request.path))  # decoded; a server's own is not
        record.environ = request.META
        if record.left:
            record.left, record.outcome = False, None

    def _after(self, record: Record, request: HttpRequest, response: HttpResponseBase) -> None:
        try:
            record.turn += 1
            record.left = True
            record.status = as_int(response.status_code)
            if response.streaming:
                self._watch_body(record, response)  # type: ignore[arg-type]
            else:
                record.first_byte = clock.monotonic() - record.started
                # Gunicorn's ASGI worker knows the size only where its access log is on.
                if not record.by_server or record.task is not None:
                    body = response.content  # type: ignore[attr-defined]
                    record.sent = 0 if request.method == "HEAD" else len(body)
            self._see_close(record, response)
        except Exception as exc:
            if _guard.failed(exc):
                raise
        else:
            if _guard.streak:
                _guard.streak = 0

    @staticmethod
    def _see_close(record: Record, response: HttpResponseBase) -> None:
        closers = getattr(response, "_resource_closers", None)
        if closers is not None:
            if not record.by_server:
                record.response = weakref.ref(response)
            closers.append(_Closer(record))
            return
        missing("django.http.response.HttpResponseBase:_resource_closers", ENDS_EARLY)
        if not record.by_server:
            recorder.finish(record)

    @staticmethod
    def _watch_body(record: Record, response: StreamingHttpResponse) -> None:
        if isinstance(response, FileResponse):
            # Counting would replace the file by an iterator, and the server's sendfile with it.
            record.first_byte = clock.monotonic() - record.started
            length = response.headers.get("Content-Length", "")
            if (not record.by_server or record.task is not None) and length.isdecimal():
                record.sent = int(length)
        elif response.is_async:
            record.sent = 0
            parts = aiter(response.streaming_content)  # type: ignore[arg-type]
            response.streaming_content = _counted_async(record, record.turn, parts)
        else:
            record.sent = 0
            body = iter(response.streaming_content)  # type: ignore[arg-type]
            response.streaming_content = _counted(record, record.turn, body)


def _asks(request: HttpRequest) -> bool:
    try:
        found = on_demand.asked(request.META)
    except Exception as exc:
        if _guard.failed(exc):
            raise
        return False
    if _guard.streak:
        _guard.streak = 0
    return found


def _broke_through(request: HttpRequest, exc: BaseException) -> None:
    """An exception passes the middleware: the record that this has begun for the request ends."""
    record = current()
    if record is None or record.request is not request:
        return
    if isinstance(exc, asyncio.CancelledError):
        record.outcome = record.outcome or "cancelled"
    if not record.by_server:
        record.outcome = record.outcome or ("killed" if is_greenlet_exit(exc) else "error")
        recorder.finish(record)


class SlowhoundMiddleware:
    """One record for each request; the response that it returns is the application's own.

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
        self.watch = Watch(config)
        self._is_async = iscoroutinefunction(get_response)
        if self._is_async:
            markcoroutinefunction(self)

    def __call__(self, request: HttpRequest) -> Any:
        """The application's response, or under ASGI a coroutine that gives it: no thread hop."""
        if self._is_async:
            return self.watch.around(request, self.get_response)
        return self.watch(request, self.get_response)


async def _counted_async(
    record: Record, turn: int, body: AsyncIterator[bytes]
) -> AsyncIterator[bytes]:
    """As ``_counted``, for a body that is awaited."""
    try:
        async for part in body:
            _count(record, turn, part)
            yield part
        _count(record, turn, b"")  # an empty body has had no part
    except BaseException as exc:
        _broke_off(record, turn, exc)
        raise


def _count(record: Record, turn: int, part: Any) -> None:
    if record.turn != turn:
        return  # of a response in whose place another one was sent
    try:
        if record.first_byte is None:
            record.first_byte = clock.monotonic() - record.started
        size = len(part)
        record.sent = (record.sent or 0) + size
        if size:
            record.part_sent()
    except Exception as exc:
        if _guard.failed(exc):
            raise
    else:
        if _guard.streak:
            _guard.streak = 0


def _broke_off(record: Record, turn: int, exc: BaseException) -> None:
    if record.turn != turn:
        return
    with _guard:
        if isinstance(exc, asyncio.CancelledError):
            record.outcome = record.outcome or "cancelled"
        elif isinstance(exc, GeneratorExit):
            record.outcome = record.outcome or "disconnect"
        else:
            record.outcome = record.outcome or "error"
            record.exc = {**fields_of(exc), "exc_handled": False}
    if not record.by_server:
        recorder.finish(record)  # Django's ASGI handler does not close such a response


def _counted(record: Record, turn: int, body: Iterator[bytes]) -> Iterator[bytes]:
    """The body's own parts, counted; closed before its end, the client has gone away."""
    try:
        for part in body:
            _count(record, turn, part)
            yield part
        _count(record, turn, b"")  # an empty body has had no part
    except GeneratorExit:
        if record.turn == turn:
            record.outcome = record.outcome or "disconnect"
        raise
    except Exception as exc:
        if record.turn == turn:
            record.outcome = record.outcome or "error"
            with _guard:
                record.exc = {**fields_of(exc), "exc_handled": False}
        raise


class _Closer:
    """Sees that a response is closed: its record ends, if no server ends it.

    A response may be pickled, by a cache middleware around ours: then nothing of this goes along.
    """

    def __init__(self, record: Record) -> None:
        self.record = record
        self.turn = record.turn

    def __call__(self) -> None:
        record = self.record
        if record.turn == self.turn:  # not one in whose place another one was sent
            if record.scope is None:  # where there is one, what is sent is seen
                record.finished_sending()
            if not record.by_server:
                recorder.finish(record)

    def __reduce__(self) -> tuple[Callable[..., object], tuple[()]]:
        return _close_nothing, ()


def _close_nothing() -> Callable[[], None]:
    """What a pickled response closes in our place."""
    return _nothing


def _nothing() -> None:
    pass
