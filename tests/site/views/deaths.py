"""Views in which a worker hangs or is killed, in ways that no Python code can end."""

from __future__ import annotations

import ctypes
import os
import signal
import sys
import threading
import time
from functools import partial
from operator import call
from types import FrameType
from typing import Any

from django.db import connection
from django.http import HttpRequest, HttpResponse

from tests.site.gates import wait_at
from tests.site.options import SCRATCH

# Seconds: longer than any test's deadline; the worker is killed before.
LONG = 60
ENDLESS_SQL = (
    "WITH RECURSIVE endless(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM endless"
    " WHERE n < 1000000000000) SELECT count(*), 'secret' FROM endless"
)


def started(_request: HttpRequest, name: str, seconds: str) -> HttpResponse:
    """Makes a file that shows that the view was reached."""
    (SCRATCH / f"{name}.started").touch()
    time.sleep(float(seconds))
    return HttpResponse("started")


def deaf(_request: HttpRequest, gate: str) -> HttpResponse:
    """Ignores SIGABRT, in Python code."""
    signal.signal(signal.SIGABRT, signal.SIG_IGN)
    wait_at(gate)  # mark: deaf
    return HttpResponse("heard nothing")


def harakiri(_request: HttpRequest, gate: str) -> HttpResponse:
    """Sets uWSGI's harakiri to a second once its gate is open, and takes longer."""
    import uwsgi

    wait_at(gate)
    uwsgi.set_user_harakiri(1)
    time.sleep(LONG)
    return HttpResponse("not killed")


def holding_from(_request: HttpRequest, gate: str) -> HttpResponse:
    """C code that holds the GIL, with SIGABRT blocked.

    The hold begins when the test opens the gate, and a file shows that it has begun.
    """
    signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGABRT])
    wait_at(gate)  # mark: seen at the gate
    libc = ctypes.PyDLL(None)
    path = os.fsencode(SCRATCH / f"{gate}.held")
    # Both calls are made from C: no other thread runs between them.
    list(map(call, (partial(libc.creat, path, 0o600), partial(libc.sleep, LONG))))  # mark: held
    return HttpResponse("released")


def endless_sql(_request: HttpRequest) -> HttpResponse:
    """A statement that takes longer than any test."""
    with connection.cursor() as cursor:
        cursor.execute(ENDLESS_SQL)  # mark: endless
    return HttpResponse("ended?")


def main_stuck(_request: HttpRequest, gate: str) -> HttpResponse:
    """Makes a gthread worker's main thread hang, see `hang_on_signal`."""
    os.kill(os.getpid(), signal.SIGUSR2)
    wait_at(gate)
    return HttpResponse("still there")


def hang_on_signal() -> None:
    """From now on SIGUSR2 makes the main thread sleep; a file shows that it does."""

    def hang(*_: object) -> None:
        (SCRATCH / "main.stuck").touch()
        time.sleep(LONG)

    signal.signal(signal.SIGUSR2, hang)


class Lines:
    """Counts the lines of Gunicorn and slowhound that end a request, and interrupts one."""

    def __init__(self, name: str, line: int, number: int) -> None:
        self.name, self.line, self.number, self.count = name, line, number, 0

    def begin(self) -> None:
        """Starts tracing, in the present frames and in new ones."""
        frame: FrameType | None = sys._getframe(1)
        while frame is not None:
            frame.f_trace = self.trace
            frame = frame.f_back
        sys.settrace(self.trace)

    def trace(self, frame: FrameType, event: str, _arg: object) -> Any:
        code = frame.f_code
        if frame.f_globals.get("__name__", "").partition(".")[0] not in ("gunicorn", "slowhound"):
            return None
        self.count += event == "line"
        if event == "line" and self.count == self.line:
            sys.settrace(None)
            if self.number == signal.SIGABRT:
                mark_timeout(frame)
            signal.raise_signal(self.number)  # its handler runs here, as if in that line
        elif event == "return" and code.co_name == "handle_request":
            sys.settrace(None)
            (SCRATCH / f"{self.name}.lines").write_text(f"{self.count}\n")
        return self.trace


def mark_timeout(frame: FrameType | None) -> None:
    """Sets the mark that the arbiter sets before SIGABRT; the worker is the self of a frame."""
    while frame is not None:
        mailbox = getattr(frame.f_locals.get("self"), "slowhound_mailbox", None)
        if mailbox is not None:
            mailbox.abort[0] = time.monotonic_ns()
            return
        frame = frame.f_back
    raise AssertionError("no worker")


def signal_at(_request: HttpRequest, name: str, line: int, number: int) -> HttpResponse:
    """Gets this signal, as if from the arbiter, in this line of the request's end; 0: in none."""
    Lines(name, line, number).begin()
    return HttpResponse("soon")


def aborts(_request: HttpRequest, gate: str) -> HttpResponse:
    """Sends its own worker the signal that the arbiter sends at the timeout."""
    os.kill(os.getpid(), signal.SIGABRT)
    wait_at(gate)  # mark: aborts
    return HttpResponse("still there")


def threads(_request: HttpRequest) -> HttpResponse:
    """Responds with the names of the process's threads."""
    return HttpResponse(",".join(sorted(thread.name for thread in threading.enumerate())))
