"""Workers are replaced while requests are served: by signals, limits or a new release."""

from __future__ import annotations

import json
import os
import signal
import time
from pathlib import Path

import pytest

from tests.deploy.conftest import Deploy
from tests.harness.accounts import (
    boxes,
    check_boxes_are_of_running_workers,
    check_once,
    counted,
    terminal_events,
)
from tests.harness.process import in_session
from tests.harness.recorded import Event
from tests.harness.site import Site
from tests.harness.stopped import stopped
from tests.harness.waiting import eventually

MARKS = """\
def post_request(worker, req, environ, resp):
    from slowhound import Context
    Context.set("mark", "{mark}")

def pre_fork(server, worker):
    server.log.info("{mark} forks")
"""


def event_that(site: Site, what: str, check) -> Event:
    """The first event that fits, of many requests; checks that each has exactly one."""
    agents = []

    def tried() -> Event | None:
        answer = site.get("/ok/")
        agents.append(answer.agent)
        event = site.terminal(answer.agent)
        return event if check(event) else None

    found = eventually(tried, what, transcript=site.process.transcript)
    check_once(site, agents)
    return found


@pytest.mark.parametrize("worker", ["sync", "gthread"])
def test_max_requests_with_jitter(deploy: Deploy, worker: str) -> None:
    """Over many generations of workers each request has one event, and no box is left."""
    site = deploy(
        worker=worker,
        workers=2,
        conf="max_requests = 4\nmax_requests_jitter = 3",
        gunicorn_args=["--preload"],
        warm=True,
    )
    agents = []

    def generations() -> bool:
        answers = [site.start(path) for path in ("/ok/", "/n1/", "/five/", "/raise/") * 3]
        # Gunicorn 23's gthread drops connections that it has not read when it restarts.
        agents.extend(each.result().agent for each in answers if not each.exception())
        return len({event["pid"] for event in terminal_events(site)}) >= 6

    eventually(generations, "six workers that answered", transcript=site.process.transcript)
    check_once(site, agents)
    assert set(counted(site).values()) == {1}
    assert {event["event_type"] for event in terminal_events(site)} == {"request"}
    check_boxes_are_of_running_workers(site)


def test_hup(deploy: Deploy) -> None:
    """After HUP the new configuration and settings are used, its hooks beside slowhound's."""
    site = deploy(
        workers=2,
        conf=MARKS.format(mark="first"),
        settings={"SERVICE": "before"},
        gunicorn_args=["--log-level", "info"],
    )
    assert (site.event("/ok/")["app_mark"], site.event("/n1/")["service"]) == ("first", "before")
    conf = site.scratch / "gunicorn.conf.py"
    options = {
        "scratch": str(site.scratch),
        "slowhound": {"DIR": str(site.dir), "SERVICE": "after"},
        "instrumenters": False,
    }
    text = conf.read_text().replace("first", "second")
    conf.write_text(f"{text}\nraw_env = [{'SLOWHOUND_TEST=' + json.dumps(options)!r}]\n")
    os.kill(site.process.pid, signal.SIGHUP)
    event = event_that(
        site, "an event of the new settings", lambda found: found.get("service") == "after"
    )
    assert event["app_mark"] == "second"
    assert event_that(site, "counts", lambda found: found.get("g_w_count") == 2)
    check_boxes_are_of_running_workers(site)
    assert "second forks" in site.process.stderr
    victim = site.worker_pids()[0]
    os.kill(victim, signal.SIGKILL)  # workers that die after HUP are still reaped
    eventually(lambda: victim not in site.worker_pids(), "its end")
    check_boxes_are_of_running_workers(site)


def test_hup_while_requests_are_in_flight(deploy: Deploy) -> None:
    """A request in flight at HUP has one event, of the old worker."""
    site = deploy()
    gate = site.gate("reloading")
    answer = site.start(f"/gate/{gate.name}/")
    gate.wait_entered()
    old = site.worker_pids()
    os.kill(site.process.pid, signal.SIGHUP)
    event_that(site, "a new worker", lambda found: found["pid"] not in old)
    gate.open()
    agent = answer.result().agent
    assert site.terminal(agent)["pid"] in old
    check_once(site, [agent])
    eventually(lambda: not set(old) & set(site.worker_pids()), "the end of the old workers")
    check_boxes_are_of_running_workers(site)


def test_usr2(deploy: Deploy) -> None:
    """While an old and a new arbiter serve together, and after, nothing is lost or mixed up."""
    site = deploy(as_script=True, conf='pidfile = "gunicorn.pid"')
    check_once(site, [site.get("/ok/").agent])
    old = site.worker_pids()
    os.kill(site.process.pid, signal.SIGUSR2)
    second = site.scratch / "gunicorn.pid.2"
    eventually(second.exists, "the new arbiter", transcript=site.process.transcript)
    arbiter = int(second.read_text())
    try:
        eventually(lambda: len(site.children_of(arbiter)) == 1, "its worker")
        new = site.children_of(arbiter)
        with stopped(old):
            by_new = site.event("/ok/")
        assert by_new["pid"] in new
        assert by_new["g_w_count"] == 1  # its own workers, not those of both
        with stopped(new):
            by_old = site.event("/ok/")
        assert by_old["pid"] in old
        check_once(site, [by_new["req_user_agent"], by_old["req_user_agent"]])
        os.kill(new[0], signal.SIGKILL)
        eventually(
            lambda: len(set(site.children_of(arbiter)) - {new[0]}) == 1,
            "the new arbiter replaces its own worker",
            transcript=site.process.transcript,
        )
        site.process.stop()
        event = event_that(site, "only the new", lambda found: found["pid"] not in old)
        assert event["pid"] in site.children_of(arbiter)
        check_boxes_are_of_running_workers(site, arbiter)
    finally:
        os.kill(arbiter, signal.SIGTERM)
        eventually(lambda: not in_session(site.process.pid), "the end of the new arbiter")
    assert boxes(site) == []
    assert {event["event_type"] for event in terminal_events(site)} == {"request"}


def test_ttin_and_ttou(deploy: Deploy) -> None:
    """g_w_count follows TTIN and TTOU."""
    site = deploy(workers=1)
    event_that(site, "one worker", lambda found: found.get("g_w_count") == 1)
    os.kill(site.process.pid, signal.SIGTTIN)
    event_that(site, "two workers", lambda found: found.get("g_w_count") == 2)
    os.kill(site.process.pid, signal.SIGTTOU)
    event_that(site, "one worker again", lambda found: found.get("g_w_count") == 1)
    check_boxes_are_of_running_workers(site)


def test_reload(deploy: Deploy, tmp_path: Path) -> None:
    """With --reload a changed file makes a new worker, and the old one leaves nothing."""
    touched = tmp_path / "watched.py"
    touched.write_text("first = True\n")
    site = deploy(
        gunicorn_args=["--reload", "--reload-engine", "poll"],
        conf=f"reload_extra_files = [{str(touched)!r}]",
    )
    first = site.event("/ok/")

    def changed(found: Event) -> bool:
        # Repeatedly: the reloader compares with its first check.
        later = time.time() + 10
        os.utime(touched, (later, later))
        return found["pid"] != first["pid"]

    event_that(site, "a new worker", changed)
    check_boxes_are_of_running_workers(site)


@pytest.mark.parametrize("worker", ["sync", "gthread"])
def test_quick_shutdown(deploy: Deploy, worker: str) -> None:
    """A request in flight at SIGQUIT, the quick shutdown, has one event, and no box is left."""
    site = deploy(worker=worker, conf="graceful_timeout = 1")
    gate = site.gate("quick")
    wire = site.open(f"/gate/{gate.name}/")
    gate.wait_entered()
    os.kill(site.process.pid, signal.SIGQUIT)
    eventually(lambda: not site.worker_pids(), "no worker", transcript=site.process.transcript)
    wire.close()
    check_once(site, [wire.agent])
    site.stop()
    assert boxes(site) == []
