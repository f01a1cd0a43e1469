"""Clients that may ask for a graph and clients that may not, through the whole of Django."""

from __future__ import annotations

import threading
from typing import Any

import pytest
from django.test import Client
from django.test.utils import override_settings

from slowhound.flames.sampling import session as module
from slowhound.flames.search import find
from slowhound.on_demand import profiled_request
from slowhound.on_demand.permission import new_token
from slowhound.redaction.urls import query_string
from slowhound.system import guard
from slowhound.testing import capture_events
from tests.unit.on_demand.site import (
    MIDDLEWARE,
    NOBODY,
    SITE,
    STAFF,
    gates,
    hottest,
    users,
    written,
)

pytestmark = [pytest.mark.usefixtures("site")]


def same(first: Any, second: Any) -> bool:
    return (
        first.status_code == second.status_code
        and first.content == second.content
        and dict(first.items()) == dict(second.items())
    )


@pytest.mark.parametrize(
    "request_",
    [
        {"path": "/shows/?flames"},
        {"path": "/shows/?flames=svg"},
        {"path": "/shows/?flames=x.y.z"},
        {"path": "/shows/?flames=" + "a" * 5000},
        {"path": "/shows/?flames=%FF%00"},
        {"path": "/shows/", "headers": {"Slowhound-Flames": "svg"}},
        {"path": "/shows/", "headers": {"Slowhound-Flames": "\xff\xfe"}},
        {"path": "/shows/?flames=svg", "HTTP_COOKIE": "sessionid=1"},
    ],
    ids=lambda each: str(each)[:60],
)
@pytest.mark.parametrize("allow", ["debug", "token", "staff", f"{SITE}.no"])
def test_refused_client_gets_the_usual_response(
    client: Client, configure: Any, request_: dict[str, Any], allow: str
) -> None:
    """The same as without slowhound: no folder, no file, no thread is left."""
    with override_settings(MIDDLEWARE=MIDDLEWARE[1:]):
        bare = Client().get(**request_)
    folder = configure(FLAMES={"ALLOW": allow})
    users.append(NOBODY)
    before = threading.active_count()
    assert same(client.get(**request_), bare)
    assert not (folder / "flames").exists()
    assert threading.active_count() == before
    assert guard.total == 0


def test_token_is_accepted_for_its_path(client: Client, configure: Any) -> None:
    """In the query and in the header, alone or with svg; for no other path."""
    configure(FLAMES={"ALLOW": "token", "EVERY": 0})
    token = new_token("/busy", 60)
    assert client.get(f"/busy/?flames={token}")["Slowhound-Flames"].startswith("flame_")
    drawn = client.get(f"/busy/?flames={token}&flames=svg")
    assert drawn["Content-Type"] == "image/svg+xml"
    drawn = client.get("/busy/", headers={"Slowhound-Flames": f"{token}, svg"})
    assert drawn["Content-Type"] == "image/svg+xml"
    assert "Slowhound-Flames" not in client.get(f"/shows/?flames={token}")


def test_token_is_written_nowhere(client: Client, configure: Any) -> None:
    """It is in no event and in no file."""
    folder = configure(FLAMES={"ALLOW": "token"})
    token = new_token("/", 60)
    with capture_events() as events:
        referrer = f"http://shop/?flames={token}"
        response = client.get(f"/busy/?flames={token}", headers={"Referer": referrer})
    assert token not in str(events)
    assert token not in query_string(f"page=1&flames=svg,{token}")
    assert events[0]["req_query_keys"] == "flames"
    written(folder / "flames", response["Slowhound-Flames"])
    for each in (folder / "flames").iterdir():
        assert token.encode() not in each.read_bytes()
    (found,) = find(str(folder / "flames"))
    assert token not in str(found.event)


def test_staff_is_recognised_after_the_view(client: Client, configure: Any) -> None:
    """Others with a session are sampled without success, once; then only known clients."""
    folder = configure(FLAMES={"ALLOW": ["staff", "token"], "EVERY": 0})
    client.cookies["sessionid"] = "x"
    users.append(STAFF)
    response = client.get("/busy/?flames")
    assert hottest(written(folder / "flames", response["Slowhound-Flames"])) == "hot"
    assert client.get("/busy/?flames=svg")["Content-Type"] == "image/svg+xml"
    users[:] = [NOBODY]
    stream = client.get("/streams/?flames")
    assert "Slowhound-Flames" not in stream
    assert profiled_request._worker.running is None  # at once, not at the end of the body
    assert module._session is None
    stream.close()
    users[:] = [STAFF]
    assert client.get("/busy/?flames")["Slowhound-Flames"] == "busy"
    until = profiled_request._worker.no_guess_before
    users[:] = [NOBODY]
    assert "Slowhound-Flames" not in client.get("/busy/?flames")
    assert profiled_request._worker.no_guess_before == until  # asking again does not extend it
    token = new_token("/", 60)
    assert client.get(f"/busy/?flames={token}")["Slowhound-Flames"].startswith("flame_")


def test_interrupted_request_counts_as_a_wrong_guess(client: Client, configure: Any) -> None:
    """Otherwise any client could have one request sampled after the other."""
    folder = configure(FLAMES={"ALLOW": ["staff"], "EVERY": 0})
    client.cookies["sessionid"] = "x"
    users.append(STAFF)
    with pytest.raises(SystemExit):
        client.get("/exits/?flames")
    assert profiled_request._worker.running is None
    assert client.get("/busy/?flames")["Slowhound-Flames"] == "busy"
    assert not (folder / "flames").exists()


def test_guess_gives_way_to_an_allowed_client(client: Client, configure: Any) -> None:
    """A stranger's slow request does not block a client with a token."""
    configure(FLAMES={"ALLOW": ["staff", "token"], "EVERY": 0})
    users.append(NOBODY)
    stranger = Client()
    stranger.cookies["sessionid"] = "x"
    answers: list[Any] = []
    thread = threading.Thread(target=lambda: answers.append(stranger.get("/waits/?flames")))
    thread.start()
    gates["entered"].wait(30)
    token = new_token("/", 60)
    assert client.get(f"/busy/?flames={token}")["Slowhound-Flames"].startswith("flame_")
    gates["open"].set()
    thread.join(30)
    assert "Slowhound-Flames" not in answers[0]
