"""Configurations with their own hooks, loggers and metrics beside slowhound's."""

from __future__ import annotations

import os
import signal
import socket
from collections import Counter

import pytest

from tests.deploy.conftest import Deploy
from tests.harness.accounts import check_boxes_are_of_running_workers, check_once, counted
from tests.harness.site import Site
from tests.harness.waiting import eventually

HOOKS = """
def ran(name):
    with open("hooks.txt", "a") as file:
        file.write(name + "\\n")

def pre_fork(server, worker):
    ran("pre_fork")

def post_worker_init(worker):
    ran("post_worker_init")

def pre_request(worker, req):
    ran("pre_request")

def post_request({parameters}):
    from slowhound import Context
    Context.set("parameters", {count})
    ran("post_request")

def worker_exit(server, worker):
    ran("worker_exit")

def child_exit(server, worker):
    ran("child_exit")
"""
ARITIES = {2: "worker, req", 3: "worker, req, environ", 4: "worker, req, environ, resp"}


def ran(site: Site) -> Counter[str]:
    """How often each of the configuration's hooks has run."""
    path = site.scratch / "hooks.txt"
    return Counter(path.read_text().split()) if path.exists() else Counter()


@pytest.mark.parametrize("count", list(ARITIES))
def test_hooks_of_the_configuration_run_beside_ours(deploy: Deploy, count: int) -> None:
    """Both hooks of each name run, the configuration's and slowhound's."""
    site = deploy(conf=HOOKS.format(parameters=ARITIES[count], count=count), worker="gthread")
    agents = [site.get(path).agent for path in ("/ok/", "/n1/")]
    check_once(site, agents)
    assert all(site.terminal(agent)["app_parameters"] == count for agent in agents)
    gate = site.gate("killed")
    wire = site.open(f"/gate/{gate.name}/")
    gate.wait_entered()
    os.kill(site.worker_pids()[0], signal.SIGKILL)
    check_once(site, [wire.agent])
    wire.close()
    assert site.terminal(wire.agent)["event_type"] == "crash"
    eventually(lambda: ran(site)["post_worker_init"] == 2, "a new worker")
    check_boxes_are_of_running_workers(site)
    site.stop()
    assert ran(site) == {
        "pre_fork": 2,
        "post_worker_init": 2,
        "pre_request": 3,
        "post_request": 2,
        "worker_exit": 1,
        "child_exit": ran(site)["child_exit"],
    }
    assert ran(site)["child_exit"] in (1, 2)  # Gunicorn 23 does not always wait for the last


FAILING = """
def pre_request(worker, req):
    req.touched = True

def post_request(worker, req, environ, resp):
    raise RuntimeError("a hook of the application's")
"""


def test_hook_that_fails_does_not_cost_the_event(deploy: Deploy) -> None:
    """If the configuration's hook raises, slowhound's still runs."""
    site = deploy(conf=FAILING)
    agents = [site.get("/ok/").agent for _ in range(2)]
    check_once(site, agents)
    assert "a hook of the application's" in site.process.stderr


SUBCLASS = """
class Own(Logger):
    def access(self, resp, req, environ, request_time):
        with open("own.txt", "a") as file:
            file.write(req.path + "\\n")
        super().access(resp, req, environ, request_time)

logger_class = Own
"""
UNRELATED = """
from gunicorn.glogging import Logger as Plain

class Own(Plain):
    def access(self, resp, req, environ, request_time):
        with open("own.txt", "a") as file:
            file.write(req.path + "\\n")

logger_class = Own
"""


@pytest.mark.parametrize(
    ("own", "worker"), [(SUBCLASS, "sync"), (UNRELATED, "gthread")], ids=["of ours", "unrelated"]
)
def test_logger_class_of_the_user(deploy: Deploy, own: str, worker: str) -> None:
    """A logger class of the user gets its calls, and the canonical lines are written."""
    site = deploy(conf=own, worker=worker)
    answers = {path: site.get(path).agent for path in ("/ok/", "/n1/", "/raise/")}
    check_once(site, answers.values())
    # Threads call the logger after the response, the second perhaps before the first.
    assert sorted((site.scratch / "own.txt").read_text().split()) == sorted(answers)
    assert site.stray_output() == []


ONLY_LOGGER = """
from slowhound.gunicorn import Logger
logger_class = Logger
accesslog = "-"
"""


def test_logger_without_hooks(deploy: Deploy) -> None:
    """Logger alone, with the middleware, writes one line for each request."""
    site = deploy(conf=ONLY_LOGGER, wired=False)
    agents = [site.get(path).agent for path in ("/ok/", "/n1/", "/raise/")]
    check_once(site, agents)
    assert site.terminal(agents[1])["resp_view"] == "n1"


def test_hooks_without_access_log(deploy: Deploy) -> None:
    """Without an access log there are no lines, but all events."""
    site = deploy(conf="accesslog = None")
    agent = site.get("/ok/").agent
    assert site.terminal(agent)["event_type"] == "request"
    site.stop()
    assert site.output() == []
    assert counted(site)[agent] == 1


@pytest.mark.parametrize(
    "logger", ["", 'logger_class = "gunicorn.glogging.Logger"'], ids=["ours", "hooks only"]
)
def test_statsd(deploy: Deploy, logger: str) -> None:
    """With statsd, Gunicorn's metrics are sent, and the canonical lines are written."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as statsd:
        statsd.bind(("127.0.0.1", 0))
        statsd.settimeout(5)
        port = statsd.getsockname()[1]
        site = deploy(conf=f'statsd_host = "127.0.0.1:{port}"\n{logger}')
        agents = [site.get("/ok/").agent for _ in range(3)]
        check_once(site, agents)
        got: Counter[str] = Counter()
        while got["gunicorn.requests"] < 3:
            got[statsd.recv(2000).decode().partition(":")[0]] += 1
    assert got["gunicorn.request.status.200"] >= 2
    if not logger:
        assert site.stray_output() == []
