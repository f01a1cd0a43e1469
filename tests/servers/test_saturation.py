"""The saturation of the server: workers, active ones, the backlog, threads and their queue."""

from __future__ import annotations

import os
import signal
import socket
import time

import pytest

from tests.harness.accounts import heartbeats
from tests.harness.client import Wire
from tests.harness.launch import Launcher
from tests.harness.site import Site
from tests.harness.waiting import eventually

WAITING = 8


@pytest.fixture(scope="module")
def sync(serve_module: Launcher) -> Site:
    """A site with one sync worker."""
    return serve_module()


@pytest.fixture(scope="module")
def three(serve_module: Launcher) -> Site:
    """A site with three sync workers."""
    return serve_module(workers=3)


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


def wait_sampled(site: Site) -> None:
    """Waits until the hound of each worker has taken a sample that it began after now.

    It takes one a second, at the end of a run: the sample of the first run after a second has been
    taken when the next run begins.
    """
    due = time.monotonic_ns() + 1_000_000_000
    workers = site.worker_pids()
    later = eventually(
        lambda: (
            now if all((now := heartbeats(site)).get(pid, 0) > due for pid in workers) else None
        ),
        "a run after a second",
    )
    eventually(
        lambda: all(heartbeats(site).get(pid, 0) > later[pid] for pid in workers),
        "the run after it",
    )


def hold(site: Site) -> Wire:
    """A request that keeps the one worker busy until its gate is opened."""
    wire = site.open("/gate/busy/")
    site.gate("busy").wait_entered()
    return wire


@pytest.mark.parametrize("bind", BINDS)
def test_requests_that_no_worker_has_taken_are_the_backlog(
    serve: Launcher, bind: str, request: pytest.FixtureRequest
) -> None:
    """Connections that wait for a busy sync worker are counted, on every kind of socket."""
    site: Site = request.getfixturevalue("sync") if bind == "tcp" else serve(bind=bind)
    busy = hold(site)
    waiting = [site.open("/ok/") for _ in range(WAITING)]
    wait_sampled(site)
    site.gate("busy").open()
    site.read_all([busy, *waiting])
    assert site.terminal(busy.agent)["g_backlog"] == WAITING
    wait_sampled(site)
    assert site.event("/ok/")["g_backlog"] == 0


def test_workers_are_counted(three: Site) -> None:
    """g_w_count counts the running workers, with one that has replaced another."""
    wait_for_all(three)
    assert three.event("/ok/")["g_w_count"] == 3
    ended, *_ = before = three.worker_pids()
    os.kill(ended, signal.SIGTERM)
    eventually(lambda: ended not in three.worker_pids(), "it has ended")
    eventually(lambda: len(three.worker_pids()) == 3, "its successor")
    assert three.worker_pids() != before
    wait_for_all(three)
    assert three.event("/ok/")["g_w_count"] == 3


def wait_for_all(site: Site) -> None:
    """Waits until each worker has its box, and has read all boxes since."""
    eventually(lambda: sorted(heartbeats(site)) == site.worker_pids(), "a box for each")
    wait_sampled(site)


def active(site: Site) -> int:
    """g_w_active of a new request, which counts itself if the sample was taken meanwhile."""
    return int(site.event("/ok/")["g_w_active"])


def test_active_workers_are_counted(three: Site) -> None:
    """g_w_active counts the workers that serve a request, as another worker sees them."""
    gates = [three.gate(name) for name in ("long", "longer")]
    long = []
    for gate in gates:
        long.append(three.start(f"/gate/{gate.name}/"))
        gate.wait_entered()
    wait_for_all(three)
    eventually(lambda: active(three) == 2, "two at work")
    for gate, answer in zip(gates, long, strict=True):
        gate.open()
        three.terminal(answer.result().agent)
    eventually(lambda: active(three) == 0, "none at work")


def test_forked_child_is_not_counted_as_its_parent(sync: Site) -> None:
    """A forked child that outlives its worker is not counted as that worker."""
    worker = int(sync.get("/fork-lingering/linger/").text)
    sync.gate("linger").wait_entered()
    os.kill(worker, signal.SIGKILL)
    eventually(lambda: sync.worker_pids() not in ([], [worker]), "a new worker")
    wait_for_all(sync)
    assert sync.event("/ok/")["g_w_count"] == 1
    sync.gate("linger").open()


def fill(site: Site, threads: int) -> tuple[list[Wire], list[Wire]]:
    """Keeps all threads busy at a gate, with more requests in the queue."""
    gate = site.gate("pool")
    busy = [site.open(f"/gate/{gate.name}/") for _ in range(threads)]
    gate.wait_entered(threads)
    waiting = [site.open("/ok/") for _ in range(WAITING)]
    return busy, waiting


def test_queue_inside_a_gthread_worker_is_counted(serve: Launcher) -> None:
    """Under gthread, busy threads and requests that wait for one are counted."""
    site = serve(worker="gthread", threads=2)
    site.get(f"/mark-queued/pool/{WAITING}/")
    busy, waiting = fill(site, 2)
    eventually((site.scratch / "pool.queued").exists, "all wait for a thread")
    site.gate("pool").open()
    site.read_all(busy + waiting)
    events = [site.terminal(wire.agent) for wire in busy + waiting]
    assert {event["g_threads"] for event in events} == {2}
    assert max(event["g_threads_busy"] for event in events) == 2
    # As the first request that ended has it. The connection of the first request is closed by now,
    # and may wait for a thread to notice that.
    assert max(event["g_queue"] for event in events) in (WAITING, WAITING + 1)
    idle = site.event("/ok/")
    assert idle["g_queue"] == 0
    assert idle["g_threads_busy"] <= 1


def test_sync_worker_has_no_thread_fields(sync: Site) -> None:
    """A sync worker has no fields of threads and queue."""
    event = sync.event("/ok/")
    assert event.get("g_threads") in (None, 1)
    assert not event.get("g_queue")


def test_saturation_survives_several_sockets(serve: Launcher) -> None:
    """With a TCP and a Unix socket, the backlog is that of both."""
    path = serve.short / "second.sock"
    site = serve(gunicorn_args=["--bind", "127.0.0.1:0", "--bind", f"unix:{path}"])
    busy = hold(site)
    wires = [site.open("/ok/") for _ in range(2)]
    for _ in range(3):
        sock = socket.socket(socket.AF_UNIX)
        sock.connect(str(path))
        sock.sendall(b"GET /ok/ HTTP/1.1\r\nHost: localhost\r\nUser-Agent: unix\r\n\r\n")
        wires.append(Wire(sock, "unix"))
    wait_sampled(site)
    site.gate("busy").open()
    site.read_all([busy, *wires])
    assert site.terminal(busy.agent)["g_backlog"] == 5
