"""Ways to start Gunicorn, in each version: all record the same."""

from __future__ import annotations

import json
import re
import socket
from pathlib import Path

import pytest

from tests.deploy.conftest import Deploy
from tests.harness.accounts import (
    boxes,
    check_boxes_are_of_running_workers,
    check_once,
    counted,
    printed,
    terminal_events,
)
from tests.harness.client import Address, Connection, exchange
from tests.harness.launch import major_of
from tests.harness.recorded import Event
from tests.harness.site import Site
from tests.harness.timeouts import make_overdue
from tests.harness.waiting import eventually


def check_recorded(site: Site) -> Event:
    """Checks that a request with queries has its view, counts, one event, one line, one box."""
    answer = site.get("/n1/")
    event = site.terminal(answer.agent)
    assert (event["event_type"], event["resp_view"], event["db_queries"]) == ("request", "n1", 7)
    assert event["pid"] in site.worker_pids()
    check_once(site, [answer.agent])
    check_boxes_are_of_running_workers(site)
    return event


def check_backlog_empties(site: Site) -> None:
    """Checks that the backlog is known, and is 0 when no connection waits."""
    eventually(
        lambda: site.event("/ok/").get("g_backlog") == 0,
        "an empty backlog",
        transcript=site.process.transcript,
    )


def test_server_has_the_wanted_version(deploy: Deploy, gunicorn: str) -> None:
    """The server is Gunicorn 23, or the environment's own; FORMAT json works on both."""
    site = deploy(settings={"FORMAT": "json"})
    found = re.search(r"Starting gunicorn (\d+)\.", site.process.stderr)
    assert found
    assert int(found[1]) == major_of(gunicorn)
    event = site.event("/n1/")
    site.stop()
    assert [json.loads(line)["req_id"] for line in site.output()] == [event["req_id"]]


@pytest.mark.parametrize(
    ("worker", "middleware"), [("sync", True), ("gthread", False)], ids=["listed", "not listed"]
)
def test_preload(deploy: Deploy, worker: str, middleware: bool) -> None:
    """With --preload requests are recorded, also with an unlisted middleware."""
    site = deploy(
        worker=worker,
        workers=2,
        middleware=middleware,
        gunicorn_args=["--preload"],
        env={"DJANGO_SETTINGS_MODULE": None},  # the WSGI file sets it
    )
    check_recorded(site)
    assert site.event("/raise/")["exc_type"] == "OhNoes"


@pytest.mark.parametrize("wired", [True, False], ids=["hooks", "middleware only"])
def test_preload_with_a_warm_up_request(deploy: Deploy, wired: bool) -> None:
    """A warm-up request starts no recorder in the arbiter; each worker has its own."""
    site = deploy(
        app="tests.site.warmed:application", gunicorn_args=["--preload"], wired=wired, workers=2
    )
    answer = site.get("/ok/")
    assert site.terminal(answer.agent)["pid"] in site.worker_pids()
    assert {int(name.partition("-")[0]) for name in boxes(site)} <= set(site.worker_pids())
    assert len(list(Path(f"/proc/{site.process.pid}/task").iterdir())) == 1


def test_settings_module_of_the_wsgi_file(deploy: Deploy) -> None:
    """A wsgi.py that sets DJANGO_SETTINGS_MODULE is enough; it need not be exported."""
    check_recorded(deploy(env={"DJANGO_SETTINGS_MODULE": None}, middleware=False))


PASSES = """
timeout = 0
import gunicorn.arbiter, os
passes = os.path.join(os.path.dirname(__file__), "passes")
open(passes, "w").close()
murder = gunicorn.arbiter.Arbiter.murder_workers
def murder_workers(self):
    murder(self)
    with open(passes, "a") as file:
        file.write("x")
gunicorn.arbiter.Arbiter.murder_workers = murder_workers
"""


def test_timeout_0(deploy: Deploy) -> None:
    """With timeout = 0 no request times out, however old the worker's heartbeat is."""
    site = deploy(conf=PASSES)
    gate = site.gate("long")
    answer = site.start("/gate/long/")
    gate.wait_entered()
    make_overdue(site.worker_pids()[0])
    passes = site.scratch / "passes"
    seen = passes.stat().st_size
    eventually(lambda: passes.stat().st_size >= seen + 2, "two passes of the arbiter's loop")
    gate.open()
    assert site.terminal(answer.result().agent)["event_type"] == "request"
    check_recorded(site)
    assert {event["event_type"] for event in terminal_events(site)} == {"request"}


def test_unix_socket(deploy: Deploy) -> None:
    """On a unix socket there is no client address, and nothing else is missing."""
    site = deploy(bind="unix")
    assert check_recorded(site).get("req_client_addr") is None
    check_backlog_empties(site)


def test_ipv6(deploy: Deploy) -> None:
    """On IPv6 the client's address is an IPv6 address."""
    try:
        socket.create_server(("::1", 0), family=socket.AF_INET6).close()
    except OSError as reason:
        pytest.skip(f"no IPv6 loopback here: {reason}")
    assert check_recorded(deploy(bind="tcp6"))["req_client_addr"] == "::1"


def test_reuse_port(deploy: Deploy, tmp_path: Path) -> None:
    """Of two servers on one port, as in a rolling deploy, each records its own requests."""
    with socket.socket() as reserved:
        reserved.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        reserved.bind(("127.0.0.1", 0))  # without listen() this socket gets no connections
        bind = f"127.0.0.1:{reserved.getsockname()[1]}"
        settings = {"DIR": str(tmp_path / "record")}
        old, new = (
            deploy(bind=bind, conf="reuse_port = True", settings=settings) for _ in range(2)
        )
        agents: list[str] = []

        def both_answered() -> bool:
            agents.append(new.get("/n1/").agent)
            pids = {event["pid"] for event in terminal_events(new)}
            return bool(pids & set(old.worker_pids())) and bool(pids & set(new.worker_pids()))

        eventually(both_answered, "requests that each of them answered")
        # They share DIR, and so the store; each has its own stream.
        wanted = dict.fromkeys(agents, 1)
        eventually(lambda: counted(new) == wanted, "one event of each request")
        eventually(lambda: printed(old) + printed(new) == wanted, "one line of each")
        check_backlog_empties(new)


def test_several_binds(deploy: Deploy, serve) -> None:
    """A server on TCP and on a unix socket records the requests of both."""
    path = f"{serve.short}/second.sock"
    site = deploy(worker="gthread", conf=f'bind = ["127.0.0.1:0", "unix:{path}"]')
    check_recorded(site)
    connection = Connection(Address("localhost", path=path))
    second = exchange(connection, "GET", "/five/")
    connection.close()
    assert site.terminal(second.agent)["db_queries"] == 5
    check_once(site, [second.agent])
    check_backlog_empties(site)


def test_raw_env(deploy: Deploy) -> None:
    """The variables of raw_env are set when the settings are read."""
    site = deploy(
        env={"DJANGO_SETTINGS_MODULE": None},
        app="django.core.wsgi:get_wsgi_application()",
        middleware=False,
        conf='raw_env = ["DJANGO_SETTINGS_MODULE=tests.site.settings", "OTEL_SERVICE_NAME=shop"]',
    )
    assert check_recorded(site)["service"] == "shop"


def test_whitenoise_around_the_application(deploy: Deploy) -> None:
    """A file that Django never sees has a line, and the next request is recorded as usual."""
    site = deploy(app="tests.site.wsgi:static_first", middleware=False)
    answer = site.get("/static/hello.txt")
    event = site.terminal(answer.agent)
    assert (event["req_path"], event["resp_status"]) == ("/static/hello.txt", 200)
    assert not event.get("resp_view")
    check_once(site, [answer.agent])
    check_recorded(site)
