"""The gevent_pywsgi worker: it calls no hook for a request, so the middleware does all."""

from __future__ import annotations

import os
import signal

import pytest

from tests.gevent.conftest import URLS
from tests.harness.accounts import check_boxes_are_of_running_workers, check_once
from tests.harness.launch import Launcher
from tests.harness.site import Site


@pytest.fixture(scope="module")
def site(serve_module: Launcher, gunicorn: str) -> Site:
    return serve_module(
        gunicorn=gunicorn, worker="gevent_pywsgi", django=URLS, settings={"SLOW_AFTER": 0.3}
    )


def test_each_request_has_one_event_and_one_line(site: Site) -> None:
    """Plain, failing, streamed and missing ones, each once, with status and bytes."""
    paths = ["/ok/", "/n1/", "/raise/", "/no/such/page/", "/stream/3/10/", "/file/500/", "/empty/"]
    answers = {path: site.get(path) for path in paths * 3}
    check_once(site, [answer.agent for answer in answers.values()])
    for path, answer in answers.items():
        event = site.terminal(answer.agent)
        assert (path, event["resp_status"]) == (path, answer.status)
        assert (path, event["resp_bytes"]) == (path, len(answer.body))
    assert site.terminal(answers["/n1/"].agent)["db_queries"] == 7


def test_slow_ones_are_reported_with_their_own_stacks(site: Site) -> None:
    """The middleware records the greenlet."""
    kinds = ("in_event", "in_queue", "in_select")
    answers = {kind: site.start(f"/waits/{kind}/slow/?badge={kind}") for kind in kinds}
    for kind, answer in answers.items():
        report = site.wait_report(f"/waits/{kind}/slow/?", f", in {kind}\n")
        assert not [other for other in kinds if other != kind and f", in {other}\n" in report.text]
        assert not answer.done()
    site.gate("slow").open()
    check_once(site, [answer.result().agent for answer in answers.values()])


def test_client_that_leaves_a_stream_is_seen(site: Site) -> None:
    """The body is closed before its end; for other responses the server does not report it."""
    wire = site.open("/stream-endless/")
    wire.read_until(b"begin")
    wire.reset()
    assert site.terminal(wire.agent)["resp_outcome"] == "disconnect"
    check_once(site, [wire.agent])


def test_worker_that_is_killed(site: Site) -> None:
    """The arbiter reaps it like any other."""
    wires = [site.open(f"/waits/in_lock/{name}/?badge=any") for name in ("one", "two")]
    for name in ("one", "two"):
        site.gate(name).wait_entered()
    os.kill(site.worker_pids()[0], signal.SIGKILL)
    agents = [wire.agent for wire in wires]
    check_once(site, agents)
    assert {site.terminal(agent)["event_type"] for agent in agents} == {"crash"}
    for wire in wires:
        wire.close()
    check_boxes_are_of_running_workers(site)
