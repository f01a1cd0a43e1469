"""Under each ASGI server: what becomes of a request whose client goes away."""

from __future__ import annotations

import pytest

from tests.harness.asgi_servers import Asgi
from tests.harness.site import Site
from tests.harness.waiting import eventually


def outcomes_of_a_client_that_left(server: Asgi) -> set[str]:
    """The middleware sees only that its task is ended; the rest have the server's word."""
    return {"disconnect"} if server.wrapped else {"disconnect", "cancelled"}


@pytest.mark.parametrize("leave", ["close", "reset"])
def test_client_that_leaves_a_stream_is_a_disconnect(site: Site, server: Asgi, leave: str) -> None:
    """A client that goes away in the middle of a body ends the request."""
    wire = site.open("/parts-endless/")
    wire.read_until(b"begin")
    getattr(wire, leave)()
    event = site.terminal(wire.agent)
    assert event["resp_outcome"] in outcomes_of_a_client_that_left(server)
    assert event["resp_status"] == 200
    assert event["resp_bytes"] >= len("begin")


def test_client_that_leaves_while_the_view_awaits_ends_the_request(
    site: Site, server: Asgi
) -> None:
    """Also before the first byte: Django ends the view's task."""
    gate = site.gate(f"left-{server}")
    wire = site.open(f"/waits/{gate.name}/")
    gate.wait_entered()
    wire.close()
    event = site.terminal(wire.agent)
    assert event["resp_outcome"] in outcomes_of_a_client_that_left(server)
    assert event["resp_status"] in ((500, None) if server.hooks else (None,))  # Gunicorn's own
    gate.open()


def test_client_that_leaves_a_sync_view_is_seen_when_its_thread_ends(
    site: Site, server: Asgi
) -> None:
    """No thread can be ended from outside: asgiref waits for it, and so does the event."""
    gate = site.gate(f"left-thread-{server}")
    wire = site.open(f"/gate/{gate.name}/")
    gate.wait_entered()
    wire.close()
    eventually((site.scratch / f"gate.{gate.name}.left").exists, "the server sees it")
    gate.open()
    event = site.terminal(wire.agent)
    assert event["resp_outcome"] in outcomes_of_a_client_that_left(server)
