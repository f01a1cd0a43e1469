"""Bodies are counted and timed to the last byte, or until the client leaves."""

from __future__ import annotations

import pytest

from tests.harness.site import Site


def test_stream_is_timed_to_its_last_byte(site: Site) -> None:
    """A streaming response's time ends with its body, and its first byte has its own time."""
    answer = site.get("/stream-pauses/4/")
    event = site.terminal(answer.agent)
    assert answer.body == b"first" + b"chunk" * 3
    assert event["resp_bytes"] == len(answer.body)
    assert event["resp_time"] >= 0.3
    assert event["resp_time"] - event["resp_ttfb"] >= 0.29
    assert event["resp_outcome"] == "ok"


def test_stream_is_not_finished_before_its_end(site: Site) -> None:
    """There is no terminal event while a body is still being sent."""
    gate = site.gate(f"unfinished-{site.process.pid}")
    answer = site.start(f"/stream-gated/{gate.name}/")
    gate.wait_entered()
    assert not [event for event in site.events() if gate.name in event.get("req_path", "")]
    gate.open()
    event = site.terminal(answer.result().agent)
    assert event["resp_bytes"] == len("beforeafter")


@pytest.mark.parametrize(
    ("path", "size"),
    [
        ("/ok/", 2),
        ("/stream/50/1000/", 50_000),
        ("/file/300000/", 300_000),
        ("/large/700000/", 700_000),
        ("/empty/", 0),
        ("/stream/0/1/", 0),
    ],
)
def test_bytes_are_those_of_the_body(site: Site, path: str, size: int) -> None:
    """The bytes in the event are those that the client received, however they were sent."""
    answer = site.get(path)
    assert len(answer.body) == size
    assert site.terminal(answer.agent)["resp_bytes"] == size


@pytest.mark.parametrize("leave", ["close", "reset"])
def test_client_that_leaves_a_stream_is_a_disconnect(site: Site, leave: str) -> None:
    """A client that leaves in the middle of a stream ends it with the outcome disconnect."""
    wire = site.open("/stream-endless/")
    wire.read_until(b"begin")
    getattr(wire, leave)()
    event = site.terminal(wire.agent)
    assert event["resp_outcome"] == "disconnect"
    assert event["resp_status"] == 200
    assert event["resp_time"] >= event["resp_ttfb"]


@pytest.mark.parametrize("leave", ["close", "reset"])
@pytest.mark.parametrize("view", ["gate", "gate-large"])
def test_client_that_does_not_wait_is_a_disconnect(site: Site, leave: str, view: str) -> None:
    """A client that leaves while the view works is noticed when the response is sent."""
    gate = site.gate(f"left-{view}-{leave}-{site.process.pid}")
    wire = site.open(f"/{view}/{gate.name}/")
    gate.wait_entered()
    getattr(wire, leave)()
    gate.open()
    event = site.terminal(wire.agent)
    assert event["resp_outcome"] == "disconnect"


def test_client_that_only_stops_sending_is_served(site: Site) -> None:
    """A client that closes its sending side and goes on reading is no disconnect."""
    gate = site.gate(f"half-{site.process.pid}")
    wire = site.open(f"/gate/{gate.name}/")
    gate.wait_entered()
    wire.half_close()
    gate.open()
    assert b"through the gate" in wire.read_all()
    assert site.terminal(wire.agent)["resp_outcome"] == "ok"


def test_stream_that_breaks_is_an_error(site: Site) -> None:
    """A body whose source raises has the outcome error, with the exception."""
    wire = site.open("/stream-breaks/")
    wire.read_all()
    event = site.terminal(wire.agent)
    assert event["resp_outcome"] == "error"
    assert event["exc_type"] == "StreamBroke"
    assert event["resp_bytes"] == len("onetwo")


def test_static_file_is_still_sent_as_before(site: Site, bare_site: Site) -> None:
    """A file response has the same bytes as without slowhound."""
    assert site.get("/file/70000/").body == bare_site.get("/file/70000/").body
