"""The signals that end a worker wait while its main thread finishes a request."""

from __future__ import annotations

import signal
from collections.abc import Callable
from functools import partial
from typing import Any

from slowhound.gunicorn import aborts


class Ending:
    """Makes the signals that end a worker wait while its main thread finishes a request.

    Gunicorn's handlers of SIGABRT (the timeout), SIGQUIT and SIGINT raise SystemExit wherever the
    thread stands: in the middle of an event, which would then be lost, or written twice.
    """

    def __init__(self) -> None:
        self.busy: set[object] = set()  # several at once, where they are greenlets
        self.waiting: list[Callable[[], object]] = []
        self.last: int | None = None  # the signal of which a handler has been called

    def install(self) -> None:
        """Puts itself before the handlers that Gunicorn has set."""
        for number in (signal.SIGABRT, signal.SIGQUIT, signal.SIGINT):
            handler = signal.getsignal(number)
            if callable(handler):
                signal.signal(number, partial(self._handle, handler))

    def _handle(self, handler: Callable[..., object], number: int, frame: Any) -> None:
        self.last = number
        if self.busy:
            self.waiting.append(partial(handler, number, frame))
        else:
            handler(number, frame)

    def judge(self, worker: Any) -> None:
        """Forgets a SIGABRT that was not the arbiter's: what it raises is the application's."""
        if self.last == signal.SIGABRT and not aborts.is_timeout(worker):
            self.last = None

    def ended(self, mine: object) -> None:
        """One is finished: now comes what has waited. A second time does nothing."""
        self.busy.discard(mine)
        while self.waiting and not self.busy:
            self.waiting.pop()()


ENDING = Ending()
