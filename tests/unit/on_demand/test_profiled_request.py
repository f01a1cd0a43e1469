"""One request at a time is profiled, and nothing else is affected."""

from __future__ import annotations

import os
import sys
import threading
from pathlib import Path
from typing import Any

import pytest
from django.test import Client

from slowhound.flames.profile import UNSAMPLED
from slowhound.flames.sampling import session as module
from slowhound.on_demand import profiled_request
from slowhound.recorder import process
from slowhound.system import guard
from tests.harness.waiting import eventually
from tests.unit.on_demand.site import (
    SITE,
    gates,
    share,
    wait_for_samples,
    written,
)

pytestmark = [pytest.mark.usefixtures("site")]


def test_one_at_a_time(client: Client, folder: Path) -> None:
    """The second gets `busy` and its response; afterwards another one can be profiled."""
    answers: list[Any] = []
    thread = threading.Thread(target=lambda: answers.append(Client().get("/waits/?flames")))
    thread.start()
    gates["entered"].wait(30)
    for words in ("flames", "flames=svg"):
        second = client.get(f"/busy/?{words}")
        assert (second.content, second["Slowhound-Flames"]) == (b"busy", "busy")
    gates["open"].set()
    thread.join(30)
    first = written(folder, answers[0]["Slowhound-Flames"])
    assert first.event["req_path"] == "/waits/"
    assert client.get("/busy/?flames")["Slowhound-Flames"].startswith("flame_")


def test_request_that_takes_too_long_gives_way(client: Client, folder: Path) -> None:
    """It has the graph of its first seconds."""
    answers: list[Any] = []
    thread = threading.Thread(target=lambda: answers.append(Client().get("/waits/?flames")))
    thread.start()
    wait_for_samples()
    assert client.get("/busy/?flames")["Slowhound-Flames"] == "busy"
    running, session = profiled_request._worker.running, module._session
    assert running is not None
    assert session is not None
    running.until = session._ends = 0.0  # its seconds are over
    assert client.get("/busy/?flames")["Slowhound-Flames"] != "busy"
    gates["open"].set()
    thread.join(30)
    found = written(folder, answers[0]["Slowhound-Flames"])
    assert share(found, "waits") > 0
    # The time after that is unsampled, if it is in the profile at all.
    assert {each.state for each in found.samples if not found.stacks[each.stack]} <= {UNSAMPLED}


def test_not_more_often_than_the_setting(client: Client, configure: Any) -> None:
    """In each worker."""
    configure(FLAMES={"ALLOW": f"{SITE}.yes", "EVERY": 60})
    assert client.get("/shows/?flames")["Slowhound-Flames"].startswith("flame_")
    assert client.get("/shows/?flames")["Slowhound-Flames"] == "busy"


def test_request_too_fast_to_be_sampled_has_an_unsampled_graph(
    client: Client, folder: Path
) -> None:
    """All of its time is unsampled."""
    found = written(folder, client.get("/shows/?flames")["Slowhound-Flames"])
    unsampled = sum(each.weight for each in found.samples if each.state == UNSAMPLED)
    assert found.duration > 0
    assert unsampled <= found.duration + 0.01
    assert found.event["req_path"] == "/shows/"


class BoomError(Exception):
    pass


def boom(*args: Any, **kwargs: Any) -> Any:
    raise BoomError


@pytest.mark.parametrize(
    "part",
    [
        "slowhound.on_demand.wrapper.is_allowed",
        "slowhound.on_demand.wrapper.graph_request",
        "slowhound.on_demand.responses.timings",
        "slowhound.on_demand.profiled_request.files_of",
        "slowhound.on_demand.profiled_request.plain",
        "slowhound.flames.sampling.session.start",
        "slowhound.flames.sampling.session.stop",
        "slowhound.flames.render.svg.render",
        "slowhound.flames.render.speedscope.render",
        "slowhound.on_demand.writer.write",
        "slowhound.on_demand.writer.GraphWriter.put",
    ],
)
@pytest.mark.parametrize(
    "url", ["/busy/?hot=0&flames", "/busy/?hot=0&flames=svg", "/streams/?hot=0&flames=svg"]
)
def test_whatever_fails_there_is_a_response(
    client: Client, folder: Path, monkeypatch: pytest.MonkeyPatch, part: str, url: str
) -> None:
    """The response, or the graph, or an error; and the next request can be profiled."""
    monkeypatch.setattr(guard, "loud", False)
    with monkeypatch.context() as broken:
        broken.setattr(part, boom)
        response = client.get(url)
        body = response.getvalue() if response.streaming else response.content  # type: ignore[attr-defined]
        response.close()
        if "timings" not in part or "svg" not in url:
            eventually(lambda: guard.total > 0, "it was counted")
    if response.status_code == 503:
        # A stream can be read only once.
        assert (body, url) == (profiled_request.GRAPH_FAILED.encode(), "/streams/?hot=0&flames=svg")
    else:
        assert response.status_code == 200
        assert body in (b"busy", b"onetwo") or body.startswith(b"<svg")
    guard.reset()
    again = client.get("/shows/?flames")
    assert written(folder, again["Slowhound-Flames"]).event["req_path"] == "/shows/"


def test_forked_child_starts_without_a_profile(client: Client, folder: Path) -> None:
    """Forked during a profile, and while another one is written, it can profile at once."""
    thread = threading.Thread(target=lambda: Client().get("/waits/?flames"))
    thread.start()
    gates["entered"].wait(30)
    writes = profiled_request._worker.writer._at_work
    writes.acquire()
    pid = os.fork()
    if pid == 0:
        try:
            written(folder, client.get("/shows/?flames")["Slowhound-Flames"])
            os._exit(0)
        finally:
            os._exit(2)
    writes.release()
    gates["open"].set()
    thread.join(30)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0


def test_recorder_that_stops_meanwhile_ends_the_profile(client: Client, folder: Path) -> None:
    """Its request ends without a recorder, and has its graph; the next one can begin."""
    answers: list[Any] = []
    thread = threading.Thread(target=lambda: answers.append(Client().get("/waits/?flames")))
    thread.start()
    wait_for_samples()
    process.stop()
    gates["open"].set()
    thread.join(30)
    assert share(written(folder, answers[0]["Slowhound-Flames"]), "waits") > 0
    assert client.get("/busy/?flames")["Slowhound-Flames"].startswith("flame_")


def test_switch_interval_is_restored(client: Client, folder: Path) -> None:
    """Also when the view fails."""
    before = sys.getswitchinterval()
    for url in ("/busy/?flames", "/fails/?flames", "/busy/?flames=svg"):
        client.get(url)
        assert sys.getswitchinterval() == before
    assert module._session is None
