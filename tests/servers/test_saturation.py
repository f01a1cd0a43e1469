"""How full the server is: workers, active ones, the backlog, a worker's threads and queue."""

from __future__ import annotations

import os
import signal
import socket

import pytest

from tests.harness.client import Wire
from tests.harness.launch import Launcher
from tests.harness.site import Site
from tests.harness.waiting import eventually

WAITING = 8


def has_ipv6() -> bool:
    try:
        with socket.create_server(("::1", 0), family=socket.AF_INET6):
            return True
    except OSError:
        return False


BINDS = [
    "tcp",
    pytest.param("tcp6", marks=pytest.mark.skipif(not has_ipv6(), reason="no IPv6 loopback here")),
    "unix",
]


def check_empty(site: Site) -> None:
    eventually(
        lambda: site.event("/ok/").get("g_backlog") == 0,
        "an empty backlog",
        transcript=site.process.transcript,
    )


@pytest.mark.parametrize("bind", BINDS)
def test_requests_that_no_worker_took_are_the_backlog(serve: Launcher, bind: str) -> None:
    """Connections that wait for a busy sync worker are counted, on every kind of socket."""
    site = serve(bind=bind)
    check_empty(site)
    gate = site.gate("busy")
    busy = site.start(f"/gate/{gate.name}/")
    gate.wait_entered()
    waiting = [site.open("/sleep/0.3/") for _ in range(WAITING)]
    gate.open()
    busy.result()
    site.read_all(waiting)
    events = [site.terminal(wire.agent) for wire in waiting]
    assert 1 <= max(event.get("g_backlog", 0) for event in events) <= WAITING
    check_empty(site)


@pytest.mark.parametrize("worker", ["sync", "gthread"])
def test_workers_are_counted(serve: Launcher, worker: str) -> None:
    """g_w_count is the number of workers, with more than one and with the one that came later."""
    site = serve(worker=worker, workers=3)
    eventually(
        lambda: site.event("/ok/").get("g_w_count") == 3,
        "three workers",
        transcript=site.process.transcript,
    )


def test_replaced_worker_is_counted_once(serve: Launcher) -> None:
    """A worker that ended is no longer counted, the one that took its place is."""
    site = serve(workers=2, gunicorn_args=["--max-requests", "3"])
    first = set(site.worker_pids())
    eventually(
        lambda: site.get("/ok/").status == 200 and not first & set(site.worker_pids()),
        "all workers replaced",
        transcript=site.process.transcript,
    )
    eventually(
        lambda: site.event("/ok/").get("g_w_count") == 2,
        "two workers",
        transcript=site.process.transcript,
    )


def test_forked_child_is_not_its_dead_parent(serve: Launcher) -> None:
    """A forked child that outlives its worker does not make the worker seem alive."""
    site = serve()
    worker = int(site.get("/fork-lingering/linger/").text)
    site.gate("linger").wait_entered()
    os.kill(worker, signal.SIGKILL)
    eventually(lambda: worker not in site.worker_pids(), "a new worker")
    for _ in range(2):
        eventually(lambda: site.event("/ok/").get("g_w_count"), "a sample")
    assert site.event("/ok/")["g_w_count"] == 1
    site.gate("linger").open()


def test_active_workers_are_counted(serve: Launcher) -> None:
    """g_w_active tells how many workers are at work, seen from another worker."""
    site = serve(workers=2)
    gate = site.gate("long")
    long = site.start(f"/gate/{gate.name}/")
    gate.wait_entered()
    eventually(
        lambda: site.event("/ok/").get("g_w_active", 0) >= 1,
        "an active worker",
        transcript=site.process.transcript,
    )
    assert all(event.get("g_w_active", 0) <= 2 for event in site.events())
    gate.open()
    long.result()
    eventually(
        lambda: site.event("/ok/").get("g_w_active", 9) <= 1,
        "an idle worker",
        transcript=site.process.transcript,
    )


def fill(site: Site, threads: int) -> tuple[list[Wire], list[Wire]]:
    """All threads busy at a gate, and more requests behind them."""
    gate = site.gate("pool")
    busy = [site.open(f"/gate/{gate.name}/") for _ in range(threads)]
    gate.wait_entered(threads)
    waiting = [site.open("/sleep/0.3/") for _ in range(WAITING)]
    return busy, waiting


def test_queue_inside_a_gthread_worker_is_counted(serve: Launcher) -> None:
    """With gthread the requests that wait for a thread are counted, and the busy threads."""
    site = serve(worker="gthread", threads=2)
    busy, waiting = fill(site, 2)
    site.gate("pool").open()
    site.read_all(busy + waiting)
    events = [site.terminal(wire.agent) for wire in busy + waiting]
    assert {event["g_threads"] for event in events} == {2}
    assert max(event["g_threads_busy"] for event in events) == 2
    assert 1 <= max(event["g_queue"] for event in events) <= WAITING + 2
    idle = site.event("/ok/")
    assert idle["g_queue"] == 0
    assert idle["g_threads_busy"] <= 1


def test_sync_worker_has_no_thread_fields(serve: Launcher) -> None:
    """A sync worker has no threads and no queue of its own to speak of."""
    event = serve(worker="sync").event("/ok/")
    assert event.get("g_threads") in (None, 1)
    assert not event.get("g_queue")


def test_saturation_survives_several_sockets(serve: Launcher) -> None:
    """With a TCP and a unix socket at once the backlog is that of both."""
    path = serve.short / "second.sock"
    site = serve(gunicorn_args=["--bind", "127.0.0.1:0", "--bind", f"unix:{path}"])
    gate = site.gate("both")
    busy = site.start(f"/gate/{gate.name}/")
    gate.wait_entered()
    wires = [site.open("/sleep/0.3/") for _ in range(6)]
    for _ in range(6):
        sock = socket.socket(socket.AF_UNIX)
        sock.connect(str(path))
        sock.sendall(b"GET /sleep/0.3/ HTTP/1.1\r\nHost: localhost\r\nUser-Agent: unix\r\n\r\n")
        wires.append(Wire(sock, "unix"))
    gate.open()
    busy.result()
    site.read_all(wires)
    site.wait_event(g_backlog=lambda backlog: (backlog or 0) >= 3)
