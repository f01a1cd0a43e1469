"""The response to `?flames`: kept with its headers, or replaced by the graph."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path
from types import ModuleType
from typing import Any
from xml.etree import ElementTree as ET

import pytest
from django.core.cache import caches
from django.test import AsyncClient, Client
from django.test.utils import override_settings
from django.urls import include, path

from slowhound.testing import capture_events
from tests.unit.on_demand import site
from tests.unit.on_demand.site import (
    MIDDLEWARE,
    SITE,
    closed,
    hottest,
    written,
)

pytestmark = [pytest.mark.usefixtures("site")]


def test_response_is_kept_and_has_a_link_to_the_graph(client: Client, folder: Path) -> None:
    """Body, status and its own headers stay; three files, which only their owner can read."""
    plain = client.get("/busy/")
    response = client.get("/busy/?flames")
    assert (response.status_code, response.content) == (200, plain.content)
    name = response["Slowhound-Flames"]
    own, ours = response["Link"].split(", ")
    assert own == "</a>; rel=next"
    url = (folder / f"{name}.svg").as_uri()
    assert ours == f'<{url}>; rel="describedby"; type="image/svg+xml"'
    added = {"Slowhound-Flames", "Link", "Server-Timing", "Cache-Control"}
    assert {k: v for k, v in response.items() if k not in added} == {
        k: v for k, v in plain.items() if k not in added
    }
    found = written(folder, name)
    assert hottest(found) == "hot"
    assert found.event["req_path"] == "/busy/"
    assert found.event["resp_status"] == 200
    assert found.event["resp_time"] > 0.05
    files = sorted(folder.iterdir())
    endings = (".flame.json.gz", ".speedscope.json", ".svg")
    assert [each.name for each in files] == [f"{name}{ending}" for ending in endings]
    assert {each.stat().st_mode & 0o777 for each in files} == {0o600}
    assert ET.parse(folder / f"{name}.svg").getroot().tag.endswith("svg")


def test_no_cache_keeps_the_response_for_one_client(client: Client, folder: Path) -> None:
    """The header is no part of the URL, so a cache would send it to other clients."""
    caches["default"].clear()
    update = "django.middleware.cache.UpdateCacheMiddleware"
    fetch = "django.middleware.cache.FetchFromCacheMiddleware"
    with override_settings(MIDDLEWARE=[update, *MIDDLEWARE, fetch]):
        for words in ("1", "svg"):
            asked = client.get("/public/", headers={"Slowhound-Flames": words})
            assert asked["Cache-Control"] == "private, no-store"
        plain = client.get("/public/")
    assert plain.content == b"public"
    assert "Slowhound-Flames" not in plain
    assert plain["Cache-Control"] == "public, max-age=600"


def test_link_leads_to_the_viewer_where_there_is_one(
    client: Client, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """At any path where it is mounted."""
    mounted = ModuleType("with_viewer")
    tools = path("tools/", include("slowhound.viewer.urls"))
    mounted.urlpatterns = [tools, *site.urlpatterns]  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "with_viewer", mounted)
    with override_settings(ROOT_URLCONF="with_viewer", DEBUG=True):
        response = client.get("/shows/?flames")
        name = response["Slowhound-Flames"]
        page = f"/tools/flame/?name={name}.flame.json.gz"
        assert response["Link"] == f'<{page}>; rel="describedby"; type="text/html"'
        written(folder, name)
        assert client.get(page).status_code == 200


def test_timings_are_those_of_the_event(client: Client, folder: Path) -> None:
    """In milliseconds, after the values that the application has set itself."""
    with capture_events() as events:
        response = client.get("/queries/?flames")
    parts = dict(each.split(";", 1) for each in response["Server-Timing"].split(", "))
    times = {name: float(rest.split(";")[0].removeprefix("dur=")) for name, rest in parts.items()}
    assert set(times) == {"total", "db", "rest"}
    assert parts["db"].endswith(';desc="queries: 3"')
    assert times["db"] == pytest.approx(events[0]["db_time"] * 1000, abs=0.001)
    assert times["db"] + times["rest"] == pytest.approx(times["total"], abs=0.01)
    assert client.get("/busy/?flames")["Server-Timing"].startswith("app;dur=1, total;dur=")


def test_graph_is_sent_instead_of_the_response(client: Client, folder: Path) -> None:
    """As an SVG that can only run its own script; cookies stay, the body is closed."""
    response = client.get("/busy/?flames=svg")
    assert response.status_code == 200
    assert response["Content-Type"] == "image/svg+xml"
    assert response["X-Content-Type-Options"] == "nosniff"
    assert response["Cache-Control"] == "private, no-store"
    policy = response["Content-Security-Policy"]
    assert "default-src 'none'" in policy
    assert "script-src 'sha256-" in policy
    assert "unsafe" not in policy
    assert response.cookies["seen"].value == "1"
    assert closed == ["busy"]
    root = ET.fromstring(response.content)
    assert "hot" in ET.tostring(root, encoding="unicode")
    found = written(folder, response["Slowhound-Flames"])
    assert found.event["resp_status"] == 200
    text = (folder / f"{response['Slowhound-Flames']}.svg").read_bytes()
    assert text == response.content


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("post", "/busy/", 200),
        ("head", "/busy/", 200),
        ("get", "/fails/", 500),
        ("get", "/denied/", 403),
        ("get", "/not-modified/", 304),
        ("get", "/missing/", 404),
        ("get", "/file/", 200),
        ("get", "/moved/?to=/busy/", 302),
    ],
)
def test_every_kind_of_response_is_kept(
    client: Client, folder: Path, method: str, path: str, status: int
) -> None:
    """Byte for byte, with a graph."""
    join = "&" if "?" in path else "?"
    plain = getattr(client, method)(path)
    response = getattr(client, method)(f"{path}{join}flames")
    assert (plain.status_code, response.status_code) == (status, status)
    bodies = [each.getvalue() if each.streaming else each.content for each in (plain, response)]
    assert bodies[0] == bodies[1]
    plain.close()
    response.close()
    assert isinstance(response, type(plain))
    assert written(folder, response["Slowhound-Flames"]).event["resp_status"] == status


def test_head_gets_no_graph(client: Client, folder: Path) -> None:
    """Only its headers."""
    response = client.head("/busy/?flames=svg")
    assert response["Content-Type"].startswith("text/html")
    assert response["Slowhound-Flames"].startswith("flame_")


@pytest.mark.parametrize("words", ["flames", "flames=svg"])
def test_redirect_to_the_same_page_is_followed(client: Client, configure: Any, words: str) -> None:
    """`/busy?flames` redirects to `/busy/?flames`, which is profiled, and at once."""
    configure(FLAMES={"ALLOW": f"{SITE}.yes", "EVERY": 60})
    first = client.get("/moved/", {"to": f"/busy/?{words}", "flames": "svg"})
    assert first.status_code == 302
    assert "Slowhound-Flames" not in first
    assert client.get(f"/busy/?{words}")["Slowhound-Flames"].startswith("flame_")


def test_view_sees_the_parameter(client: Client, folder: Path) -> None:
    """Nothing is removed from the request."""
    assert client.get("/shows/?flames=svg2").content == b"svg2"


def test_header_can_ask_as_well(client: Client, folder: Path) -> None:
    """For clients of an API that cannot change their URLs."""
    kept = client.get("/busy/", headers={"Slowhound-Flames": "1"})
    assert kept.content == b"busy"
    assert kept["Slowhound-Flames"].startswith("flame_")
    drawn = client.get("/busy/", headers={"Slowhound-Flames": "svg"})
    assert drawn["Content-Type"] == "image/svg+xml"


def in_a_loop(url: str) -> tuple[Any, bytes]:
    """The response to an asynchronous client, and its body."""

    async def get() -> tuple[Any, bytes]:
        response = await AsyncClient().get(url)
        if not response.streaming:
            return response, response.content
        content = response.streaming_content  # type: ignore[attr-defined]
        body = b"".join([part async for part in content])
        await asyncio.to_thread(response.close)
        return response, body

    return asyncio.run(get())


@pytest.mark.parametrize(
    ("url", "body"),
    [
        ("/busy-later/", b"busy later"),
        ("/streams-later/", b"onetwo"),
        ("/busy/", b"busy"),  # in a thread
    ],
)
def test_views_under_asgi_have_their_graph(folder: Path, url: str, body: bytes) -> None:
    """With the response, and in its place."""
    kept, content = in_a_loop(f"{url}?flames")
    assert content == body
    assert hottest(written(folder, kept["Slowhound-Flames"])) == "hot"
    instead, content = in_a_loop(f"{url}?flames=svg")
    assert content.startswith(b"<svg")
    assert hottest(written(folder, instead["Slowhound-Flames"])) == "hot"
