"""uWSGI, which forks after it has loaded the application, with the middleware alone."""

from __future__ import annotations

import os
import signal
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.harness import uwsgi
from tests.harness.accounts import boxes, check_once, counted, heartbeats, terminal_events
from tests.harness.launch import Launcher
from tests.harness.site import Site
from tests.harness.waiting import eventually

WAYS = {
    "prefork": ["--processes", "2"],
    "threads": ["--processes", "2", "--threads", "3"],
    "lazy threads": ["--processes", "2", "--threads", "3", "--lazy-apps"],
}
# After so many a worker is replaced.
MAX_REQUESTS = 8
Serve = Callable[..., Site]


@pytest.fixture(scope="session")
def program() -> Path:
    """A real uWSGI."""
    return uwsgi.installed()


@pytest.fixture
def serve_uwsgi(serve: Launcher, program: Path) -> Serve:
    """Starts uWSGI with these options."""

    def start(options: list[str], **wishes: Any) -> Site:
        return uwsgi.serve(serve, program, options, **wishes)

    return start


@pytest.fixture(scope="module", params=list(WAYS))
def site(request: pytest.FixtureRequest, serve_module: Launcher, program: Path) -> Site:
    """A site with each set of options, shared by the tests."""
    return uwsgi.serve(serve_module, program, WAYS[request.param], settings={"SLOW_AFTER": 0.3})


def workers(site: Site) -> set[int]:
    """The processes that serve requests: each has a box from its first request on."""
    return {int(name.partition("-")[0]) for name in boxes(site)}


def test_each_request_has_one_event(site: Site) -> None:
    """Of many requests of every kind, no event is missing, doubled or mixed up."""
    paths = ["/ok/", "/five/", "/n1/", "/raise/", "/missing/", "/stream/3/10/", "/file/500/"] * 6
    answers = [(path, site.start(path)) for path in paths]
    found = [(path, answer.result()) for path, answer in answers]
    check_once(site, [answer.agent for _, answer in found])
    # uWSGI forks without Python's fork hooks: nothing made before may be used after.
    assert len({event["req_id"] for event in terminal_events(site)}) == len(terminal_events(site))
    queries = {"/five/": 5, "/n1/": 7, "/missing/": 1}
    for path, answer in found:
        event = site.terminal(answer.agent)
        assert (path, event["resp_status"]) == (path, answer.status)
        assert (path, event.get("db_queries", 0)) == (path, queries.get(path, 0))
        assert (path, event["resp_bytes"]) == (path, len(answer.body))


def test_slow_request_is_reported_while_it_runs(site: Site) -> None:
    """The hound starts after the fork, in each process that serves."""
    answers = [site.start(f"/gate/slow-{number}/") for number in range(2)]
    for number in range(2):
        report = site.wait_report(f"/gate/slow-{number}/", ", in gated\n")
        site.gate(f"slow-{number}").open()
        assert "Finished" not in report.text
    assert all(site.terminal(each.result().agent)["report"] for each in answers)
    check_once(site, [each.result().agent for each in answers])


def test_boxes_and_hounds_are_the_workers(site: Site) -> None:
    """Each process that has served a request has a box and a hound, and the master has none."""
    gates = [site.start(f"/gate/both-{number}/") for number in range(2)]
    for number in range(2):
        site.gate(f"both-{number}").wait_entered()
        site.gate(f"both-{number}").open()
    serving = {site.terminal(answer.result().agent)["pid"] for answer in gates}
    assert serving <= workers(site) <= set(site.worker_pids())
    before = heartbeats(site)
    eventually(
        lambda: all(heartbeats(site)[pid] > before[pid] for pid in serving),
        "a heartbeat of each hound",
    )
    assert len(list(Path(f"/proc/{site.process.pid}/task").iterdir())) == 1


def test_master_that_warms_itself_up_has_no_recorder(serve_uwsgi: Serve) -> None:
    """A warmed-up master has no recorder, for its workers would write into its files."""
    site = serve_uwsgi(["--processes", "2"], app="tests.site.warmed:application")
    answer = site.get("/ok/")
    assert site.terminal(answer.agent)["pid"] in site.worker_pids()
    assert workers(site) <= set(site.worker_pids())
    assert len(list(Path(f"/proc/{site.process.pid}/task").iterdir())) == 1


def test_harakiri_is_reported_by_a_peer(serve_uwsgi: Serve) -> None:
    """A worker that harakiri kills has a crash event of unknown cause, written by a peer."""
    site = serve_uwsgi(["--processes", "2"])
    # Not `--harakiri`: on a busy machine a second is too short for the peer's first request.
    check_peer_reports(site, "harakiri", lambda pid: site.gate("first").open())


def test_kill_is_reported_by_a_peer(serve_uwsgi: Serve) -> None:
    """The same for a SIGKILL from outside."""
    site = serve_uwsgi(["--processes", "2"])

    def kill(pid: int) -> None:
        os.kill(pid, signal.SIGKILL)

    check_peer_reports(site, "gate", kill)


def check_peer_reports(site: Site, view: str, end: Callable[[int], Any]) -> None:
    """Of two processes, one ends in a request, and the other writes its event."""
    first = site.open(f"/{view}/first/")
    site.gate("first").wait_entered()
    peer = eventually(
        lambda: other if (other := site.event("/ok/")["pid"]) else None, "a peer that serves"
    )
    (victim,) = workers(site) - {peer}
    end(victim)
    event = site.terminal(first.agent)
    check_once(site, [first.agent])
    assert (event["event_type"], event["resp_outcome"]) == ("crash", "killed")
    assert (event["crash_cause"], event.get("crash_signal")) == ("unknown", None)
    assert event["pid"] == victim
    assert event["resp_view"] == view
    first.close()
    eventually(lambda: victim not in workers(site), "its box is gone")
    assert site.get("/ok/").status == 200


def test_recycled_workers_lose_nothing(serve_uwsgi: Serve) -> None:
    """Workers that are replaced after some requests lose no event."""
    site = serve_uwsgi(
        ["--processes", "2", "--max-requests", str(MAX_REQUESTS), "--min-worker-lifetime", "0"]
    )
    agents = [site.get("/ok/").agent for _ in range(25)]
    check_once(site, agents)
    assert set(counted(site).values()) == {1}
    assert len({event["req_id"] for event in terminal_events(site)}) == len(agents)
    assert len({event["pid"] for event in site.events()}) > 2
    _let_all_serve(site)


def _let_all_serve(site: Site) -> None:
    """Waits until two workers have served requests, and have some left.

    uWSGI that is told to stop while it replaces a worker, or before the new one handles signals,
    waits for that one for ever: it goes on to wait for requests.
    """

    def all_serve() -> bool:
        served = Counter(event["pid"] for event in terminal_events(site))
        running = [served[pid] for pid in site.worker_pids()]
        if len(running) == 2 and max(running) < MAX_REQUESTS:
            if min(running):
                return True
            site.event("/ok/")
        return False

    eventually(all_serve, "two workers that serve")


def test_stop_leaves_no_box(serve_uwsgi: Serve, tmp_path: Path) -> None:
    """Workers that exit normally remove their boxes."""
    stats = tmp_path / "stats"
    site = serve_uwsgi(["--processes", "2", "--stats", str(stats)])
    check_once(site, [site.get("/ok/").agent for _ in range(4)])
    # A worker that is still ending a request exits without Python's atexit.
    eventually(lambda: set(uwsgi.statuses(stats)) == {"idle"}, "all workers are idle")
    site.stop()
    assert boxes(site) == []
