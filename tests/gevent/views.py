"""Views that wait as greenlets do, and views that block all the others."""

from __future__ import annotations

import contextlib
import logging
import os
import queue
import select
import signal
import socket
import threading
import time
from collections.abc import Callable
from contextvars import copy_context
from typing import Any

import gevent
from django.db import connection
from django.http import HttpRequest, HttpResponse, JsonResponse
from gevent import monkey
from gevent.event import Event

from slowhound import Context, register_instrumenter
from tests.gevent.kinds import WAITS
from tests.site.gates import wait_at
from tests.site.options import SCRATCH

# Seconds: longer than any test waits, should the test never make its file.
LONGEST = 30.0
# As imported before the patching; it blocks the whole thread.
block_for = monkey.get_original("time", "sleep")


def _made(name: str) -> bool:
    return (SCRATCH / name).exists()


def _begun(name: str) -> None:
    (SCRATCH / f"{name}.begun").touch()


def in_sleep() -> None:
    gevent.sleep(0.05)


def in_event() -> None:
    Event().wait(0.05)


def in_lock() -> None:
    lock = threading.Lock()
    lock.acquire()
    lock.acquire(timeout=0.05)


def in_condition() -> None:
    condition = threading.Condition()
    with condition:
        condition.wait(0.05)


def in_queue() -> None:
    with contextlib.suppress(queue.Empty):
        queue.Queue[None]().get(timeout=0.05)


def in_socket() -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        ours.settimeout(0.05)
        with contextlib.suppress(TimeoutError):
            ours.recv(1)


def in_select() -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        select.select([ours], [], [], 0.05)


def in_join() -> None:
    gevent.spawn(gevent.sleep, 0.05).join()


def in_thread_join() -> None:
    thread = threading.Thread(target=time.sleep, args=(0.05,))
    thread.start()
    thread.join()


def in_pool() -> None:
    gevent.get_hub().threadpool.apply(block_for, (0.05,))


def _until_open(wait: Callable[[], None], gate: str, badge: str) -> None:
    (SCRATCH / f"{gate}.here.{badge}").touch()
    while not _made(f"{gate}.open") and not _made("all.open"):
        wait()


def _waits(wait: Callable[[], None]) -> Callable[[HttpRequest, str], HttpResponse]:
    def view(request: HttpRequest, gate: str) -> HttpResponse:
        badge = request.GET["badge"]  # in the report, by LOCALS
        _until_open(wait, gate, badge)
        return HttpResponse(badge)

    return view


VIEWS = {name: _waits(globals()[name]) for name in WAITS}


def _spins(name: str) -> None:
    end = time.monotonic() + LONGEST
    while not _made(f"{name}.seen") and time.monotonic() < end:
        sum(range(100))


def _blocks(name: str) -> None:
    end = time.monotonic() + LONGEST
    while not _made(f"{name}.seen") and time.monotonic() < end:
        block_for(0.02)


def spin(_request: HttpRequest, name: str) -> HttpResponse:
    """Computes in Python and lets no other greenlet run."""
    _begun(name)
    _spins(name)
    return HttpResponse("spun")


def block(_request: HttpRequest, name: str) -> HttpResponse:
    """Sleeps with the sleep that gevent does not know of."""
    _begun(name)
    _blocks(name)
    return HttpResponse("blocked")


def blocking_spawn(_request: HttpRequest, name: str) -> HttpResponse:
    """A greenlet of the request's own blocks the others, the request included."""
    spawned = gevent.spawn(_blocks, name)
    _begun(name)
    spawned.join()
    return HttpResponse("joined")


def fetch(_request: HttpRequest, gate: str) -> HttpResponse:
    """Work in the hub's pool of threads."""
    gevent.get_hub().threadpool.apply(_in_thread, (gate,))
    return HttpResponse("fetched")


def _in_thread(gate: str) -> None:
    (SCRATCH / f"{gate}.here.thread").touch()
    end = time.monotonic() + LONGEST
    while not _made(f"{gate}.open") and not _made("all.open") and time.monotonic() < end:
        block_for(0.02)


@register_instrumenter
class AbortsInTheEnd:
    """Gets the arbiter's signal in the middle of what slowhound does at the end of a request."""

    def setup(self) -> None:
        """Nothing to set up."""

    def call(self, request: Any, response: Any, environ: dict[str, Any]) -> None:
        if environ["PATH_INFO"] == "/fast/" and environ["QUERY_STRING"] == "abort":
            os.kill(os.getpid(), signal.SIGABRT)


def too_long(_request: HttpRequest) -> HttpResponse:
    """Ended by gevent's own timeout, which is no Exception."""
    with gevent.Timeout(0.05):
        gevent.sleep(LONGEST)
    return HttpResponse("in time?")


def kill(_request: HttpRequest, gate: str) -> HttpResponse:
    """Killed by another greenlet, while it waits."""
    gevent.spawn_later(0.05, gevent.getcurrent().kill, block=False)
    wait_at(gate)
    return HttpResponse("still there?")


def spawns(_request: HttpRequest, gate: str) -> HttpResponse:
    """Leaves a greenlet behind that outlives it."""
    gevent.spawn(copy_context().run, _left_behind, gate)
    return HttpResponse("spawned")


def _left_behind(gate: str) -> None:
    wait_at(gate)
    Context.set("left", "behind")  # its request has ended: nowhere
    connection.close()
    (SCRATCH / f"{gate}.left").touch()


def _query(number: int) -> None:
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT {number}")
    connection.close()
    gevent.sleep(0)


def spawns_counting(_request: HttpRequest, each: int) -> HttpResponse:
    """Queries in greenlets of its own, with its context, and one without."""
    with_context = [gevent.spawn(copy_context().run, _query, number) for number in range(each)]
    gevent.joinall([*with_context, gevent.spawn(_query, each)], raise_error=True)
    return HttpResponse(str(each))


def counts(_request: HttpRequest, queries: int) -> HttpResponse:
    """So many queries, with others let in between."""
    for number in range(queries):
        with connection.cursor() as cursor:
            cursor.execute("SELECT %s", [number])
        gevent.sleep(0.001)
        Context.set("asked", number + 1)
    return HttpResponse(str(queries))


class _Lingers(logging.Handler):
    """Waits, as one greenlet among others, with the lock of its handler in hand."""

    def emit(self, record: logging.LogRecord) -> None:
        if record.name == "site":
            _begun(record.getMessage())
            while not _made(f"{record.getMessage()}.seen"):
                gevent.sleep(0.01)
        else:
            (SCRATCH / "heard.txt").open("a").write(f"{record.getMessage()}\n")


def logs_slowly(_request: HttpRequest, name: str) -> HttpResponse:
    """A handler of logging that is held for long; slowhound's own words have to go through it."""
    handler = _Lingers()
    for logger in ("site", "slowhound"):
        logging.getLogger(logger).addHandler(handler)
    logging.getLogger("site").warning(name)
    return HttpResponse("logged")


def fast(_request: HttpRequest) -> HttpResponse:
    gevent.sleep(0)
    return HttpResponse("fast")


def inside(_request: HttpRequest) -> JsonResponse:
    """What this process is made of."""
    from slowhound.recorder import process

    active = process.get()
    assert active is not None
    hubs = [thread for thread in threading.enumerate() if thread.name.startswith("Hub")]
    return JsonResponse(
        {
            "hound": active.hound.ident,
            "alive": active.hound.alive(),
            "main": monkey.get_original("_thread", "get_ident")(),
            "threads": len(os.listdir("/proc/self/task")),
            "descriptors": len(os.listdir("/proc/self/fd")),
            "hubs": len(hubs),
        }
    )
