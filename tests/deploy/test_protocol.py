"""Malformed requests, several requests on one connection, and HTTP/2."""

from __future__ import annotations

import re
from collections import Counter

import pytest
from h2 import events
from h2.connection import H2Connection

from tests.deploy.conftest import Deploy
from tests.harness.accounts import check_once, counted, terminal_events
from tests.harness.client import exchange, new_agent, request_bytes
from tests.harness.launch import major_of
from tests.harness.site import Site

HEAD = b"Host: x\r\nUser-Agent: refused\r\n"
REFUSED = {
    "request line": b"GARBAGE\r\n" + HEAD,
    "version": b"GET /refused/ HTTP/9.9\r\n" + HEAD,
    "method": b"G(T /refused/ HTTP/1.1\r\n" + HEAD,
    "header name": b"GET /refused/ HTTP/1.1\r\nUser Agent: x\r\n" + HEAD,
    "oversized header": b"GET /refused/ HTTP/1.1\r\nX-Large: " + b"x" * 9000 + b"\r\n" + HEAD,
    "oversized line": b"GET /" + b"p" * 5000 + b" HTTP/1.1\r\n" + HEAD,
    "transfer coding": b"POST /refused/ HTTP/1.1\r\nTransfer-Encoding: odd\r\n" + HEAD,
    "two lengths": b"POST /refused/ HTTP/1.1\r\nContent-Length: 1\r\nContent-Length: 2\r\n" + HEAD,
}
WORKERS = ["sync", "gthread"]
# The fields of the request and the response as far as Gunicorn knows them, those of every event,
# and those of a garbage collection, which may happen at any time.
UNSEEN = re.compile(
    r"event_type|req_\w+|resp_status|g_\w+|w_\w+|ts|host|pid|rec_\w+|seq|v|resp_outcome|gc_time"
)


@pytest.fixture(scope="module", params=WORKERS)
def site(deploy_module: Deploy, request: pytest.FixtureRequest) -> Site:
    """A server for the tests of this module."""
    return deploy_module(worker=request.param)


@pytest.mark.parametrize("name", list(REFUSED))
def test_request_that_gunicorn_refuses(site: Site, name: str) -> None:
    """A request that Gunicorn refuses has one event and line with the status that it sends."""
    before = len(terminal_events(site))
    answer = site.raw(REFUSED[name] + b"\r\n")
    status = int(answer.split()[1])
    assert 400 <= status <= 501
    after = site.get("/ok/").agent
    check_once(site, [after])
    fresh = [event for event in terminal_events(site)[before:] if event["req_user_agent"] != after]
    assert [event["resp_status"] for event in fresh] == [status]
    assert [field for field in fresh[0] if not UNSEEN.fullmatch(field)] == []
    line = next(line for line in site.lines() if line["req_id"] == fresh[0]["req_id"])
    assert line["resp_status"] == str(status)


@pytest.mark.parametrize("worker", WORKERS)
def test_connection_without_a_request(deploy: Deploy, worker: str) -> None:
    """A connection that is closed without a request, as by a health check, has no event."""
    site = deploy(worker=worker)
    site.address.connect().close()
    wire = site.address.connect()
    wire.sendall(b"GET /half HTTP/1.1\r\nHos")
    wire.close()
    agent = site.get("/ok/").agent
    assert site.stop() == 0  # another thread may have the incomplete one, and be slower
    assert counted(site) == {agent: 1}


@pytest.fixture(scope="module")
def threaded(deploy_module: Deploy) -> Site:
    """A gthread server, which keeps connections alive until they time out."""
    return deploy_module(worker="gthread", conf="keepalive = 1")


def test_kept_alive_connection(deploy: Deploy) -> None:
    """Each request of a kept connection has its own event, with its own counts."""
    site = deploy(worker="gthread", conf="keepalive = 60")
    with site.connection() as connection:
        answers = [
            exchange(connection, "GET", path)
            for path in ("/n1/", "/ok/", "/five/", "/raise/", "/stream/3/10/", "/ok/")
        ]
    check_once(site, [answer.agent for answer in answers])
    events = [site.terminal(answer.agent) for answer in answers]
    assert [event.get("db_queries", 0) for event in events] == [7, 0, 5, 0, 0, 0]
    assert len({event["req_id"] for event in events}) == len(events)


def test_pipelined_requests(threaded: Site) -> None:
    """Of pipelined requests, as many have an event as have a response."""
    paths = ["/n1/", "/five/", "/ok/"]
    agents = [new_agent() for _ in paths]
    data = b"".join(
        request_bytes(threaded.address, path, agent).replace(b"Connection: close\r\n", b"")
        for path, agent in zip(paths[:-1], agents[:-1], strict=True)
    )
    data += request_bytes(threaded.address, paths[-1], agents[-1])
    responses = threaded.raw(data).count(b"HTTP/1.1 200 OK")
    assert responses
    check_once(threaded, agents[:responses])
    check_once(threaded, [threaded.get("/ok/").agent])
    assert not set(agents[responses:]) & set(counted(threaded))
    expected = [7, 5, 0][:responses]
    found = [threaded.terminal(agent).get("db_queries", 0) for agent in agents[:responses]]
    assert found == expected


def test_refused_after_a_good_one(threaded: Site) -> None:
    """A malformed request on a kept connection does not change the event of the one before."""
    agent = new_agent()
    good = request_bytes(threaded.address, "/n1/", agent).replace(b"Connection: close\r\n", b"")
    threaded.raw(good + b"GARBAGE\r\n\r\n")
    check_once(threaded, [agent])
    event = threaded.terminal(agent)
    assert (event["resp_status"], event["db_queries"]) == (200, 7)


def http2(site: Site, paths: list[str], agents: list[str]) -> dict[str, tuple[int, bytes]]:
    """Status and body by path, of concurrent requests on one connection."""
    connection = H2Connection()
    connection.initiate_connection()
    streams: dict[int, str] = {}
    for path, agent in zip(paths, agents, strict=True):
        stream = connection.get_next_available_stream_id()
        streams[stream] = path
        headers = [
            (":method", "GET"),
            (":path", path),
            (":scheme", "http"),
            (":authority", site.address.authority),
            ("user-agent", agent),
        ]
        connection.send_headers(stream, headers, end_stream=True)
    status: dict[str, int] = {}
    bodies: dict[str, bytes] = dict.fromkeys(paths, b"")
    ended: set[int] = set()
    with site.address.connect() as sock:
        sock.sendall(connection.data_to_send())
        while len(ended) < len(streams):
            data = sock.recv(65536)
            assert data, site.process.transcript()
            for event in connection.receive_data(data):
                if isinstance(event, events.ResponseReceived):
                    status[streams[event.stream_id]] = int(dict(event.headers)[b":status"])
                elif isinstance(event, events.DataReceived):
                    bodies[streams[event.stream_id]] += event.data
                    connection.acknowledge_received_data(
                        event.flow_controlled_length, event.stream_id
                    )
                elif isinstance(event, (events.StreamEnded, events.StreamReset)):
                    ended.add(event.stream_id)
            sock.sendall(connection.data_to_send())
    return {path: (status[path], bodies[path]) for path in paths}


def test_http2(deploy: Deploy, gunicorn: str) -> None:
    """Each request on a shared HTTP/2 connection has its own event and values."""
    if major_of(gunicorn) < 25:
        pytest.skip(f"Gunicorn {major_of(gunicorn)} has no HTTP/2: it came with 25")
    site = deploy(
        worker="gthread", conf='http_protocols = "h2,h1"\nhttp2_cleartext = "prior-knowledge"'
    )
    paths = ["/n1/", "/ok/", "/stream/20/1000/", "/raise/", "/no/such/page/"]
    agents = [new_agent() for _ in paths]
    answers = http2(site, paths, agents)
    check_once(site, agents)
    events = [site.terminal(agent) for agent in agents]
    assert [event["req_path"] for event in events] == paths
    assert [event["resp_status"] for event in events] == [answers[path][0] for path in paths]
    assert [event["resp_status"] for event in events] == [200, 200, 200, 500, 404]
    assert [event["resp_bytes"] for event in events] == [len(answers[path][1]) for path in paths]
    assert events[0]["db_queries"] == 7
    assert Counter(event["event_type"] for event in terminal_events(site)) == {"request": 5}
