"""Ends a record where its response is closed: by the server, or by who made the request in process.

Before that, middleware in front may still throw the response away and have the view run again.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from contextvars import ContextVar
from functools import partial
from types import MethodType
from typing import Any

from django.core.signals import request_finished
from django.http import HttpRequest

from slowhound.core.in_flight import current
from slowhound.core.ownership import is_closed, is_making_body
from slowhound.core.record import CLIENT_GONE, Owner, Record
from slowhound.instrument.exception import fields_of
from slowhound.lifecycle.responses import (
    is_file,
    size_of,
    status_of,
    streams,
)
from slowhound.recorder import process
from slowhound.system.guard import guard

_guard = guard("middleware")
# An exception that was raised from outside while a response was being closed. Django drops it, so
# it is kept here and raised again in ``finished``.
_struck: ContextVar[Exception | None] = ContextVar("slowhound_struck", default=None)


class Closer:
    """Ends the record when its response is closed, unless the server's hooks end it.

    A cache middleware around ours may pickle the response; the pickle contains nothing of this.
    """

    def __init__(
        self,
        record: Record,
        response: Callable[[], Any],
        *,
        in_handler: bool,
        ends: bool = True,
    ) -> None:
        self.record = record
        self.turn = record.turn
        self._response = response
        self._in_handler = in_handler
        self._ends = ends

    def __call__(self) -> None:
        if _struck.get() is not None:
            _struck.set(None)  # of an earlier close, where another receiver of the signal raised
        try:
            self._closes()
        except Exception as exc:
            if _guard.failed(exc):
                # Django drops what is raised here; ``finished`` comes next and raises it again.
                _struck.set(exc)
                raise

    def _closes(self) -> None:
        record, response = self.record, self._response()
        is_sent = not self._in_handler or self._was_handed_out(response)
        if self._is_anothers(response):
            return
        if record.turn != self.turn:
            # Another response was made after it, and yet this one is sent.
            if not (is_sent and self._in_handler and record.left) or record.done:
                return
            _describe_again(record, response)
        elif not is_sent:
            if self._ends:
                record.thrown, record.response = True, None
            return
        elif not record.by_server:
            _describe_again(record, response)  # middleware in front may have changed it in place
        record.finished_sending()
        if self._ends and not record.by_server:
            if is_file(response):
                _see_failure(record, sys.exception())
            process.finish(record)

    def _was_handed_out(self, response: Any) -> bool:
        """True once Django's handler has returned the response: the handler adds a closer."""
        closers = getattr(response, "_resource_closers", None)
        found = list(closers) if type(closers) is list else []
        if not any(each is self for each in found):
            return True  # the response is sent to several requests, and another one has closed it
        return any(
            type(each) is MethodType
            and each.__func__.__name__ == "close"
            and issubclass(type(each.__self__), HttpRequest)
            for each in found
        )

    def _is_anothers(self, response: Any) -> bool:
        """True when the same response is sent to several requests, and another one closes it."""
        now = current()
        if now is None or now is self.record or now.response is None:
            return False
        return response is not None and now.response() is response

    def __reduce__(self) -> tuple[Any, ...]:
        # Another process that reads the pickle from a shared cache need not have slowhound.
        return partial, (int,)


def _describe_again(record: Record, response: Any) -> None:
    if streams(response) and record.first_byte is None and record.outcome == "error":
        return  # the server sends a 500 in its place
    record.status = status_of(response)
    if not record.by_server and not streams(response):
        record.sent = 0 if record.method == "HEAD" else size_of(response)


def _see_failure(record: Record, exc: BaseException | None) -> None:
    """Describes why a file is closed early: it could not be read, or sent, to its end."""
    if exc is None:
        return
    is_gone = isinstance(exc, OSError) and exc.errno in CLIENT_GONE
    if is_gone and record.method == "HEAD":
        return  # wsgiref sends a body for HEAD as well, and no client waits for it
    record.outcome = record.outcome or ("disconnect" if is_gone else "error")
    if not is_gone:
        with _guard:
            record.exc = {**fields_of(exc), "exc_handled": False}


def finished(sender: Any = None, **_kwargs: object) -> None:
    """Receives Django's signal ``request_finished``, which follows the close of a response.

    Ends the records that no closer has ended: that of a response which is sent to several requests
    and was closed for another one meanwhile, and that of a response which was replaced.

    Args:
        sender: the class of the handler, where a handler has sent the response.

    Raises:
        Exception: one that was raised from outside while the response was being closed.
    """
    exc = _struck.get()
    if exc is not None:
        _struck.set(None)
        raise exc
    record = current()
    if record is None or record.owner is not Owner.MIDDLEWARE or not record.left:
        return
    if record.thrown:
        record.thrown = False  # this is the signal of the discarded response
        return
    try:
        if is_closed(record):
            process.finish(record)
        elif not is_making_body(record):
            _see_replaced(record, sender)
    except Exception as failure:
        if _guard.failed(failure):
            raise


def _see_replaced(record: Record, sender: Any) -> None:
    """Ends a record where the response that was closed is not the one the middleware returned."""
    response = record.response() if record.response is not None else None
    if response is not None and sender is None:
        return  # the signal is another request's: of one made in process, say
    if record.body is None or record.first_byte is None:
        failed = record.exc is not None and not record.exc.get("exc_handled")
        record.status, record.sent = 500 if failed else None, None
    process.finish(record)


def connect() -> None:
    """Connects ``finished`` to Django's signal; further calls do nothing."""
    request_finished.connect(finished, dispatch_uid=__name__)
