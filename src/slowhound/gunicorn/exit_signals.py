"""Defers the signals that end a worker while its main thread finishes a request."""

from __future__ import annotations

import signal
from collections.abc import Callable
from functools import partial
from typing import Any

from slowhound.gunicorn import aborts


class ExitSignals:
    """Calls Gunicorn's signal handlers only while no request is being finished.

    Gunicorn's handlers of SIGABRT (the timeout), SIGQUIT and SIGINT raise SystemExit wherever the
    main thread is: in the middle of an event, which would then be lost, or written twice.
    """

    def __init__(self) -> None:
        self.unfinished: set[object] = set()  # several at once, where they are greenlets
        self.deferred: list[Callable[[], object]] = []
        self.last: int | None = None  # the last signal that has arrived

    def install(self) -> None:
        """Replaces the handlers that Gunicorn has set; they are called from here."""
        for number in (signal.SIGABRT, signal.SIGQUIT, signal.SIGINT):
            handler = signal.getsignal(number)
            if callable(handler):
                signal.signal(number, partial(self._handle, handler))

    def _handle(self, handler: Callable[..., object], number: int, frame: Any) -> None:
        self.last = number
        if self.unfinished:
            self.deferred.append(partial(handler, number, frame))
        else:
            handler(number, frame)

    def forget_foreign_abort(self, worker: Any) -> None:
        """Forgets a SIGABRT that was not the arbiter's: its SystemExit is the application's."""
        if self.last == signal.SIGABRT and not aborts.is_timeout(worker):
            self.last = None

    def finished(self, request: object) -> None:
        """A request is finished: calls the deferred handlers. A second call does nothing."""
        self.unfinished.discard(request)
        while self.deferred and not self.unfinished:
            self.deferred.pop()()


EXIT_SIGNALS = ExitSignals()
