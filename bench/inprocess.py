"""Microseconds added to one request, in this process.

Each request goes over a socket pair through Gunicorn's own ``SyncWorker.handle``: its parser, its
response, its hooks and logger, and Django's ``WSGIHandler``. The send and receive on both sides
release the GIL, so that the cost of a background thread is measured. These take turns:

* bare: no hook, no access log;
* slowhound: its hooks and logger; lines go to a file, events to segments in a real ``DIR``;
* no queries: slowhound without its database instrumenter; the difference is the cost of queries;
* access log: Gunicorn's own logger and default format, to a file.

Each turn is compared with the turn beside it. A row shows medians of the differences. The same code
takes longer in a longer view, which has pushed it out of the caches: compare the access log's
column. The hound's thread runs during all three; ``idle`` has its cost when nothing happens.
"""

from __future__ import annotations

import os
import socket
import statistics
import tempfile
import time
from collections.abc import Callable
from typing import Any, NamedTuple

from bench import site
from bench.tables import show, verdict

WARM_UP = 300
TURNS = 3000
PER_QUERY_BUDGET = 2.0
REQUEST = (
    "GET /{view}/ HTTP/1.1\r\nHost: localhost:8000\r\nUser-Agent: Mozilla/5.0 (X11; Linux x86_64)"
    "\r\nAccept: */*\r\nAccept-Encoding: gzip, deflate\r\nReferer: http://localhost:8000/\r\n\r\n"
)


class View(NamedTuple):
    """A row of the table."""

    name: str
    text: str
    queries: int
    budget: float | None  # microseconds


VIEWS = (
    View("plain", "trivial view", 0, 15.0),
    View("five", "5 queries, 5 statements", 5, None),
    View("n1", "20 queries, 1 statement", 20, None),
    View("raising", "raising view", 0, 60.0),
)


class Contestant:
    """A Gunicorn worker, and what to switch before its turn."""

    def __init__(self, worker: Any, switch: Callable[[], None]) -> None:
        self.worker = worker
        self.switch = switch

    def serve(self, request: bytes, peer: tuple[str, int]) -> float:
        """Seconds of one request, from sending it to the whole response."""
        client, server = socket.socketpair()
        self.switch()
        start = time.perf_counter()
        client.sendall(request)
        client.shutdown(socket.SHUT_WR)  # Gunicorn lingers until the client is done
        self.worker.handle(self.worker.sockets[0], server, peer)
        response = client.recv(65536)
        took = time.perf_counter() - start
        client.close()
        if not response.startswith((b"HTTP/1.1 200", b"HTTP/1.1 500")):
            raise RuntimeError(f"not a response: {response!r}")
        return took


def _worker(listener: socket.socket, handler: Any, logger: type, **options: Any) -> Any:
    from gunicorn.config import Config
    from gunicorn.workers.sync import SyncWorker

    config = Config()
    for name, value in {"errorlog": os.devnull, **options}.items():
        config.set(name, value)
    app: Any = None  # never loaded: the handler is given
    worker = SyncWorker(1, os.getppid(), [listener], app, 30, config, logger(config))
    worker.wsgi = handler
    return worker


def contestants(directory: str) -> dict[str, Contestant]:
    """All that is compared. slowhound's receivers and wrappers are in place only in its turn."""
    from django.core.handlers.base import BaseHandler
    from django.core.handlers.wsgi import WSGIHandler
    from django.core.signals import got_request_exception
    from django.db import connection
    from gunicorn import glogging

    from slowhound.gunicorn import hooks
    from slowhound.gunicorn.logger import Logger

    names = ("get_response", "process_exception_by_middleware")
    # A subclass keeps Django's methods when slowhound replaces those of the base class.
    bare_class = type("Bare", (WSGIHandler,), {name: getattr(BaseHandler, name) for name in names})
    bare_handler = bare_class()
    listener = socket.create_server(("127.0.0.1", 0))
    log = os.path.join(directory, "access.log")
    # In this order: "gunicorn.access" is one logger for all, and bare would take its handler away.
    bare = _worker(listener, bare_handler, glogging.Logger)
    access = _worker(listener, bare_handler, glogging.Logger, accesslog=log)
    hooked = {name: getattr(hooks, name) for name in ("pre_request", "post_request")}
    watched = _worker(listener, WSGIHandler(), Logger, accesslog=log, **hooked)
    without = list(got_request_exception.receivers)
    hooks.post_worker_init(watched)
    receivers, wrappers = list(got_request_exception.receivers), list(connection.execute_wrappers)

    def on() -> None:
        got_request_exception.receivers[:] = receivers
        connection.execute_wrappers[:] = wrappers

    def off() -> None:
        got_request_exception.receivers[:] = without
        connection.execute_wrappers.clear()

    def without_queries() -> None:
        on()
        connection.execute_wrappers.clear()

    return {
        "bare": Contestant(bare, off),
        "slowhound": Contestant(watched, on),
        "no queries": Contestant(watched, without_queries),
        "access log": Contestant(access, off),
    }


def measure(all_of_them: dict[str, Contestant], view: str, turns: int) -> dict[str, list[float]]:
    """Microseconds of each turn of each contestant; another one goes first in each turn."""
    request = REQUEST.format(view=view).encode()
    order = list(all_of_them)
    found: dict[str, list[float]] = {name: [] for name in order}
    for turn in range(-WARM_UP, turns):
        for name in order:
            took = all_of_them[name].serve(request, ("127.0.0.1", 40000))
            if turn >= 0:
                found[name].append(took * 1e6)
        order.append(order.pop(0))
    return found


def more(found: dict[str, list[float]], name: str, than: str = "bare") -> float:
    """The median of the differences between ``name`` and ``than`` in the same turn."""
    pairs = zip(found[name], found[than], strict=True)
    return statistics.median(one - other for one, other in pairs)


def run(turns: int = TURNS) -> None:
    """Measures and prints the table."""
    with tempfile.TemporaryDirectory(prefix="slowhound-bench-") as directory:
        os.chmod(directory, 0o700)
        os.environ.update(BENCH_DIR=directory, DJANGO_SETTINGS_MODULE="bench.settings")
        site.fill()
        workers = contestants(directory)
        rows = [_row(view, measure(workers, view.name, turns)) for view in VIEWS]
        _stop()
    head = ("view", "bare µs", "slowhound +µs", "budget", "access log +µs", "query µs", "budget")
    show(f"In process, one request (medians of {turns} turns)", head, rows)


def _row(view: View, found: dict[str, list[float]]) -> list[str]:
    cost = more(found, "slowhound")
    row = [view.text, f"{statistics.median(found['bare']):.0f}", f"{cost:.1f}"]
    row.append("" if view.budget is None else verdict(cost, view.budget))
    row.append(f"{more(found, 'access log'):.1f}")
    if not view.queries:
        return [*row, "", ""]
    each = more(found, "slowhound", "no queries") / view.queries
    return [*row, f"{each:.2f}", verdict(each, PER_QUERY_BUDGET)]


def _stop() -> None:
    from slowhound.recorder import process

    process.stop()
