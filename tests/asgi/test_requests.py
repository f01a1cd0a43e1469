"""Under each ASGI server: one event for each request, true to its last byte."""

from __future__ import annotations

import functools
import random
import re
from collections import Counter
from collections.abc import Callable
from typing import Any

import httpx
import pytest
from websockets.exceptions import WebSocketException
from websockets.sync.client import connect

from tests.asgi.conftest import Start, only
from tests.harness.asgi_servers import BY_NAME, SERVERS, Asgi, AsgiLauncher
from tests.harness.client import exchange, new_agent, without_date
from tests.harness.recorded import TERMINAL
from tests.harness.site import Site
from tests.harness.stopped import stopped

# Path, status, bytes of body (None: whatever came), outcome.
WHOLE: list[tuple[str, int, int | None, str]] = [
    ("/quick/", 200, 5, "ok"),
    ("/ok/", 200, 2, "ok"),
    ("/parts/50/1000/", 200, 50_000, "ok"),
    ("/parts/0/1/", 200, 0, "ok"),
    ("/stream/20/1000/", 200, 20_000, "ok"),
    ("/large/700000/", 200, 700_000, "ok"),
    ("/file/300000/", 200, 300_000, "ok"),
    ("/empty/", 204, 0, "ok"),
    ("/fails/", 500, None, "error"),
    ("/raise/", 500, None, "error"),
    ("/no/such/page/", 404, None, "ok"),
    ("/queried/6/", 200, 1, "ok"),
]
COMPARED = [path for path, *_ in WHOLE] + ["/elsewhere/"]


def terminals(site: Site, agent: str) -> list[dict[str, Any]]:
    """All terminal events of the request with this User-Agent."""
    return [
        event
        for event in site.events()
        if event["event_type"] in TERMINAL and event["req_user_agent"] == agent
    ]


@pytest.mark.parametrize(("path", "status", "size", "outcome"), WHOLE)
def test_request_has_one_true_event(
    site: Site, path: str, status: int, size: int | None, outcome: str
) -> None:
    """Its event says what the client got: status, bytes to the last, and how it ended."""
    answer = site.get(f"{path}?one=1")
    event = site.terminal(answer.agent)
    assert (answer.status, event["resp_status"]) == (status, status)
    assert event["resp_bytes"] == len(answer.body)
    assert size is None or len(answer.body) == size
    assert event["resp_outcome"] == outcome
    assert (event["req_method"], event["req_path"]) == ("GET", path)
    assert event["req_query_keys"] == "one"
    assert event["req_client_addr"] == "127.0.0.1"
    assert 0 <= event["resp_ttfb"] <= event["resp_time"]
    # One that came after it has its event: by now a second one of the first would be there.
    site.event("/quick/")
    assert len(terminals(site, answer.agent)) == 1


def test_requests_of_one_connection_have_an_event_each_and_share_nothing(site: Site) -> None:
    """On a kept-alive connection no request is taken for the one before."""
    with site.connection() as connection:
        answers = [
            exchange(connection, "GET", path)
            for path in ("/current/", "/queried/4/", "/fails/", "/current/", "/quick/")
        ]
    events = [site.terminal(answer.agent) for answer in answers]
    assert len({event["req_id"] for event in events}) == 5
    for number in (0, 3):
        assert answers[number].text == events[number]["req_id"]
    assert [event.get("db_queries", 0) for event in events] == [0, 4, 0, 0, 0]
    assert [bool(event.get("exc_type")) for event in events] == [False, False, True, False, False]


def test_mixed_requests_at_once_have_one_event_each(site: Site) -> None:
    """Under concurrent requests of every kind no event is missing, doubled or mixed up."""
    whole = WHOLE * 3
    random.Random(4711).shuffle(whole)
    answers = [(path, site.start(path)) for path, *_ in whole]
    wires = [site.open("/parts-endless/") for _ in range(6)]
    for number, wire in enumerate(wires):
        wire.read_until(b"begin")
        wire.reset() if number % 2 else wire.close()
    agents = [answer.result().agent for _, answer in answers] + [wire.agent for wire in wires]
    for agent in agents:
        site.terminal(agent)
    counted = Counter(
        event["req_user_agent"] for event in site.events() if event["event_type"] in TERMINAL
    )
    assert {agent: counted[agent] for agent in agents} == dict.fromkeys(agents, 1)
    for path, answer in answers:
        queries = site.terminal(answer.result().agent).get("db_queries") or 0
        assert queries == (6 if path == "/queried/6/" else 0)


def test_stream_is_not_finished_before_its_end(site: Site, server: Asgi) -> None:
    """There is no event while a body is being sent, and its time goes to the last byte."""
    gate = site.gate(f"parts-{server}")
    wire = site.open(f"/parts-gated/{gate.name}/")
    wire.read_until(b"before")
    gate.wait_entered()
    site.event("/quick/")
    assert not terminals(site, wire.agent)
    gate.open()
    wire.read_all()
    event = site.terminal(wire.agent)
    assert event["resp_bytes"] == len("beforeafter")
    assert event["resp_ttfb"] < event["resp_time"]
    assert event["resp_outcome"] == "ok"


def test_stream_that_breaks_is_an_error(site: Site, server: Asgi, fresh: Start) -> None:
    """A body whose source raises after its first bytes ends as an error, with the exception."""
    if server.name == "daphne":
        # It answers by an exception in the loop that sees after all its requests, with slowhound
        # and without. That ends the loop (4.2): no request that fails later is answered.
        site = fresh("daphne")
    wire = site.open("/parts-break/")
    wire.read_until(b"two")
    event = site.terminal(wire.agent)
    wire.close()
    assert event["resp_outcome"] == "error"
    assert event["exc_type"] == "OhNoes"
    assert event["resp_bytes"] == len("onetwo")
    site.event("/quick/")
    assert len(terminals(site, wire.agent)) == 1


def test_view_that_is_cancelled_has_its_event(site: Site, server: Asgi) -> None:
    """A CancelledError from inside is not lost."""
    wire = site.open("/cancels/")
    event = site.terminal(wire.agent)
    wire.close()
    assert event["resp_outcome"] in ("cancelled", "error")
    site.event("/quick/")
    assert len(terminals(site, wire.agent)) == 1


def test_request_that_django_never_sees_has_its_event(site: Site, server: Asgi) -> None:
    """What another ASGI application answers is recorded by whoever is outermost."""
    answer = site.get("/elsewhere/")
    assert (answer.status, answer.body) == (203, b"elsewhere")
    if server.wrapped or server.hooks:
        event = site.terminal(answer.agent)
        assert (event["req_method"], event["req_path"]) == ("GET", "/elsewhere/")
        assert event["resp_status"] == (
            203 if server.wrapped or "quiet" not in str(server) else None
        )
    else:
        site.event("/quick/")
        assert not terminals(site, answer.agent)


def test_application_that_raises_still_answers_as_before(site: Site, server: Asgi) -> None:
    """An exception through the wrap reaches the server, and has its event."""
    wire = site.open("/elsewhere/raises/")
    assert b" 500 " in wire.read_until(b"\r\n\r\n")
    if server.wrapped or server.hooks:
        site.terminal(wire.agent)
    wire.close()
    site.event("/quick/")
    assert len(terminals(site, wire.agent)) == (server.wrapped or server.hooks)


def test_websocket_works_and_has_one_event(site: Site, server: Asgi) -> None:
    """It echoes as without slowhound, has an event when it ends, and is never slow."""
    agent = new_agent()
    uri = f"ws://{site.address.authority}/ws/echo/"
    with connect(uri, user_agent_header=agent, open_timeout=20) as socket:
        socket.send("text")
        assert socket.recv(20) == "text"
        # A request that begins later is reported as slow, and the websocket is not.
        gate = site.gate(f"beside-{server}")
        beside = site.start(f"/waits/{gate.name}/")
        site.wait_event(event_type="slow", req_path=f"/waits/{gate.name}/")
        gate.open()
        beside.result()
        socket.send(b"\x00\xff")
        assert socket.recv(20) == b"\x00\xff"
        assert not terminals(site, agent)
    if not server.wrapped:
        return
    event = site.terminal(agent)
    assert (event["req_method"], event["req_path"]) == ("WEBSOCKET", "/ws/echo/")
    assert event["resp_status"] == 101
    site.event("/quick/")
    assert [
        each["event_type"] for each in site.events() if each.get("req_id") == event["req_id"]
    ] == ["request"]
    assert not [report for report in site.reports() if "/ws/echo/" in report.text.split("\n")[2]]


def test_websocket_that_is_refused_or_fails_has_one_event(site: Site, server: Asgi) -> None:
    """A handshake that is refused is a 403, and a failure is an end."""
    refused, failed = new_agent(), new_agent()
    base = f"ws://{site.address.authority}/ws"
    with pytest.raises(WebSocketException):
        connect(f"{base}/refused/", user_agent_header=refused)
    with connect(f"{base}/fails/", user_agent_header=failed) as socket:
        socket.send("fail")
        with pytest.raises(WebSocketException):
            socket.recv(20)
    if server.wrapped:
        assert site.terminal(refused)["resp_status"] == 403
        site.terminal(failed)
        assert [len(terminals(site, agent)) for agent in (refused, failed)] == [1, 1]


@only("hypercorn", "granian")
def test_http2_streams_have_an_event_each(site: Site) -> None:
    """Requests of one HTTP/2 connection are told apart, where there is HTTP/2 without TLS."""
    over_http2(site)


def test_http2_of_gunicorn(fresh: Start) -> None:
    """The same under Gunicorn, which then speaks nothing else."""
    over_http2(fresh("gunicorn-h2"))


def over_http2(site: Site) -> None:
    agents = [new_agent() for _ in range(6)]
    paths = ["/current/", "/queried/4/", "/fails/", "/parts/20/500/", "/current/", "/ok/"]
    with httpx.Client(http1=False, http2=True, timeout=30) as client:
        answers = [
            client.get(f"http://{site.address.authority}{path}", headers={"User-Agent": agent})
            for path, agent in zip(paths, agents, strict=True)
        ]
    assert {answer.http_version for answer in answers} == {"HTTP/2"}
    events = [site.terminal(agent) for agent in agents]
    assert [event["req_path"] for event in events] == paths
    assert len({event["req_id"] for event in events}) == len(agents)
    assert [event["resp_bytes"] for event in events] == [len(each.content) for each in answers]
    for number in (0, 4):
        assert answers[number].text == events[number]["req_id"]
    assert [event.get("db_queries", 0) for event in events] == [0, 4, 0, 0, 0, 0]
    assert [len(terminals(site, agent)) for agent in agents] == [1] * 6


@only("uvicorn-2")
def test_both_workers_record(site: Site) -> None:
    """Each worker process has a recorder and a segment of its own."""
    first = site.event("/quick/")["pid"]
    with stopped([first]):
        assert site.event("/quick/")["pid"] != first
    assert len({path.name.split("-")[1] for path in site.dir.glob("events/*.jsonl")}) == 2


def unlike(raw: bytes) -> bytes:
    """A response without what differs from one to the next of any server."""
    return re.sub(rb"(?im)^date: [^\r\n]*\r\n", b"", without_date(raw))


@pytest.fixture(scope="session")
def bare_sites(launcher: AsgiLauncher) -> Callable[[Asgi], Site]:
    """The same servers without slowhound, which differ in no more than their commands."""

    @functools.cache
    def start(command: tuple[str, ...]) -> Site:
        return launcher.asgi(next(each for each in SERVERS if tuple(each.command) == command))

    return lambda server: start(tuple(server.command))


def test_response_is_the_same_byte_for_byte(
    site: Site, server: Asgi, bare_sites: Callable[[Asgi], Site]
) -> None:
    """With slowhound a client gets what it gets without."""
    bare = bare_sites(server)
    for path in COMPARED:
        assert unlike(site.raw_get(path)) == unlike(bare.raw_get(path)), path
    if server.name != "daphne":
        assert unlike(site.raw_get("/parts-break/")) == unlike(bare.raw_get("/parts-break/"))


@pytest.mark.parametrize("name", ["uvicorn", "hypercorn", "granian", "gunicorn"])
def test_lifespan_passes_untouched(launcher: AsgiLauncher, name: str) -> None:
    """The application is asked the same things in the same words; daphne asks nothing."""
    both = launcher.asgi(BY_NAME[name], {}), launcher.asgi(BY_NAME[name])
    for each in both:
        each.get("/quick/")
    for each in both:
        each.process.terminate()
    for each in both:
        each.stop()
    told, without = ((each.scratch / "lifespan.txt").read_text() for each in both)
    assert "lifespan.startup" in told
    assert "lifespan.shutdown" in told
    assert told == without
