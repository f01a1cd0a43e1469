"""Defects of gunicorn-django-canonical-logs that slowhound does not have.

Each docstring describes the defect, and names the file with the larger test where there is one.
"""

from __future__ import annotations

import os
import pwd
from pathlib import Path

import pytest

from tests.harness.accounts import check_boxes_are_of_running_workers, check_once, terminal_events
from tests.harness.launch import Launcher
from tests.harness.site import Site

# As with that package, the middleware is not listed.
MOVED = """\
from slowhound.compat.canonical_logs.glogging import Logger
from slowhound.compat.canonical_logs.gunicorn_hooks import *
accesslog = "-"
logger_class = Logger
"""


def moved(serve: Launcher, conf: str = "", **wishes: object) -> Site:
    """A server with that package's configuration, with its name replaced."""
    return serve(wired=False, middleware=False, conf=MOVED + conf, **wishes)


@pytest.fixture(scope="module", params=["sync", "gthread"])
def site(request: pytest.FixtureRequest, serve_module: Launcher) -> Site:
    """A site for each kind of worker."""
    return moved(serve_module, worker=request.param, threads=4)


def test_referrer_is_read_from_the_real_header(site: Site) -> None:
    """The original read a header `Referrer`; browsers send `Referer`. See servers/test_line.py."""
    answer = site.get("/ok/", {"Referer": "http://shop.example/cart", "Referrer": "wrong"})
    assert site.terminal_line(answer.agent)["req_referrer"] == "http://shop.example/cart"


def test_backslashes_and_control_characters_are_escaped(site: Site) -> None:
    """A backslash before a quote ended its value. See servers/test_hostile.py."""
    agent = 'quote " backslash \\ both \\" end\\'
    site.get("/ok/", {"User-Agent": agent})
    assert site.wait_line(req_user_agent=agent)["resp_status"] == "200"
    site.get("/hostile-message/")
    line = site.wait_line(req_path="/hostile-message/")
    assert line["exc_msg"].startswith('a"b\\c event_type="crash" \x1b[31m\x00')


def test_streaming_counts_to_the_last_byte(site: Site) -> None:
    """The original stopped its clock before the body. See servers/test_bodies.py."""
    event = site.event("/stream-pauses/4/")
    assert event["resp_time"] >= 0.3
    assert event["resp_bytes"] == len(b"first" + 3 * b"chunk")


def test_counters_are_per_request_in_every_worker_class(site: Site) -> None:
    """The original counted per process. See servers/test_terminal.py."""
    expected = {"/ok/": 0, "/five/": 5, "/n1/": 7}
    answers = [(path, site.start(path)) for path in list(expected) * 6]
    for path, answer in answers:
        assert site.terminal(answer.result().agent).get("db_queries", 0) == expected[path]


def test_counts_under_debug(serve: Launcher) -> None:
    """With DEBUG the original counted no queries. See servers/test_db.py."""
    site = moved(serve, django={"DEBUG": True})
    assert site.event("/n1/")["db_queries"] == 7
    assert site.event("/many/")["db_queries"] == 2


def test_executemany_is_counted(site: Site) -> None:
    """See servers/test_db.py."""
    assert site.event("/many/")["db_queries"] == 2


def test_several_aliases_are_counted(site: Site) -> None:
    """See servers/test_db.py."""
    event = site.event("/aliases/")
    assert (event["db_queries"], event["db_dup_queries"]) == (3, 2)


@pytest.mark.parametrize(("path", "count"), [("/composed/", 5), ("/server-side/", 1)])
def test_psycopg_statements_and_server_side_cursors(
    serve: Launcher, postgres: dict[str, object], path: str, count: int
) -> None:
    """The original failed on composed statements and named cursors. See servers/test_db.py."""
    site = moved(serve, databases={"default": postgres})
    answer = site.get(path)
    assert answer.status == 200
    assert site.terminal(answer.agent)["db_queries"] == count


def test_template_of_an_error_is_the_innermost(site: Site) -> None:
    """The original named the outermost template. See servers/test_exceptions.py."""
    assert site.event("/in-template/")["exc_template"] == "deep/third.html:3"


@pytest.mark.parametrize("worker", ["sync", "gthread"])
def test_nothing_is_emitted_twice(serve: Launcher, worker: str) -> None:
    """A slow request had a timeout line and a request line. See servers/test_terminal.py."""
    site = moved(serve, worker=worker, workers=2, settings={"SLOW_AFTER": 0.2})
    answer = site.start("/gate/slow/")
    site.wait_event(req_path="/gate/slow/", event_type="slow")
    site.gate("slow").open()
    agents = [site.get(path).agent for path in ("/ok/", "/raise/", "/stream/3/9/")]
    check_once(site, [answer.result().agent, *agents])
    assert {event["event_type"] for event in terminal_events(site)} == {"request"}


def test_unix_socket(serve: Launcher) -> None:
    """The original failed to read TCP_INFO of a Unix socket. See deploy/test_starting.py."""
    site = moved(serve, bind="unix")
    check_once(site, [site.get("/ok/").agent])
    assert "Traceback" not in site.process.stderr


def test_root_arbiter_with_workers_of_nobody() -> None:
    """The original's shared memory belonged to root. See deploy/test_users.py, which needs root."""
    from tests.deploy import test_users

    assert pwd.getpwnam("nobody").pw_uid == test_users.NOBODY
    assert callable(test_users.test_root_arbiter_with_workers_of_nobody)


def test_preload(serve: Launcher) -> None:
    """With --preload the original's middleware came too late. See deploy/test_starting.py."""
    site = moved(serve, gunicorn_args=["--preload"])
    assert site.event("/n1/")["resp_view"] == "n1"


def test_timeout_0(serve: Launcher) -> None:
    """With timeout = 0 the original reported timeouts. See deploy/test_starting.py."""
    site = moved(serve, "timeout = 0\n")
    answer = site.get("/sleep/0.6/")
    check_once(site, [answer.agent])
    assert site.terminal(answer.agent)["event_type"] == "request"


def test_wsgi_file_that_names_the_settings(serve: Launcher) -> None:
    """The original read the settings before wsgi.py named them. See deploy/test_starting.py."""
    site = moved(serve, env={"DJANGO_SETTINGS_MODULE": None})
    assert site.event("/n1/")["resp_view"] == "n1"


def test_nothing_is_left_in_shared_memory(serve: Launcher) -> None:
    """The original leaked the shared memory of killed workers. See deploy/test_deaths.py."""
    site = moved(serve)
    pid = site.terminal(site.get("/ok/").agent)["pid"]
    assert shared(site) == []
    os.kill(pid, 9)
    while site.event("/ok/")["pid"] == pid:
        pass
    assert shared(site) == []
    check_boxes_are_of_running_workers(site)


def shared(site: Site) -> list[str]:
    """The files of named shared memory that the arbiter and its workers have open."""
    maps = [Path(f"/proc/{pid}/maps") for pid in (site.process.pid, *site.worker_pids())]
    return [line for each in maps for line in each.read_text().splitlines() if "/dev/shm/" in line]
