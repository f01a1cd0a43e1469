"""Views in which a worker is killed: stuck in ways that no Python code can end."""

from __future__ import annotations

import ctypes
import os
import signal
import threading
import time

from django.db import connection
from django.http import HttpRequest, HttpResponse

from tests.site.gates import wait_at
from tests.site.options import SCRATCH

# Longer than any test's deadline; the worker is killed in it.
LONG = 60
ENDLESS_SQL = (
    "WITH RECURSIVE endless(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM endless"
    " WHERE n < 1000000000000) SELECT count(*), 'secret' FROM endless"
)


def started(_request: HttpRequest, name: str, seconds: str) -> HttpResponse:
    """Leaves a file that says that it was reached."""
    (SCRATCH / f"{name}.started").touch()
    time.sleep(float(seconds))
    return HttpResponse("started")


def deaf(_request: HttpRequest, gate: str) -> HttpResponse:
    """Does not hear SIGABRT, in Python code."""
    signal.signal(signal.SIGABRT, signal.SIG_IGN)
    wait_at(gate)  # mark: deaf
    return HttpResponse("heard nothing")


def holding(_request: HttpRequest) -> HttpResponse:
    """C code that holds the GIL, with SIGABRT blocked."""
    # The watchdog looks four times a second, at what is older than a fifth.
    time.sleep(0.6)  # mark: seen
    signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGABRT])
    ctypes.PyDLL(None).sleep(LONG)  # mark: holding
    return HttpResponse("let go")


def endless_sql(_request: HttpRequest) -> HttpResponse:
    """A statement that takes longer than anyone waits."""
    with connection.cursor() as cursor:
        cursor.execute(ENDLESS_SQL)  # mark: endless
    return HttpResponse("ended?")


def main_stuck(_request: HttpRequest, gate: str) -> HttpResponse:
    """Lets a gthread worker's main thread hang, see `hang_on_signal`."""
    os.kill(os.getpid(), signal.SIGUSR2)
    wait_at(gate)
    return HttpResponse("still there")


def hang_on_signal() -> None:
    """From now on SIGUSR2 makes the main thread sleep."""
    signal.signal(signal.SIGUSR2, lambda *_: time.sleep(LONG))


def abort_soon(_request: HttpRequest, name: str, microseconds: int) -> HttpResponse:
    """Is told to abort, as by the arbiter, about when it ends."""
    (SCRATCH / f"{name}.started").touch()

    def abort() -> None:
        end = time.perf_counter() + microseconds / 1e6
        while time.perf_counter() < end:
            time.sleep(0)
        os.kill(os.getpid(), signal.SIGABRT)

    threading.Thread(target=abort, daemon=True).start()
    return HttpResponse("soon")


def exits(_request: HttpRequest) -> HttpResponse:
    """Ends the process."""
    os._exit(7)


def threads(_request: HttpRequest) -> HttpResponse:
    """The names of the process's threads."""
    return HttpResponse(",".join(sorted(thread.name for thread in threading.enumerate())))
