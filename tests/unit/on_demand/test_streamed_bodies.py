"""Streamed bodies are profiled to their end, or read and discarded for the graph."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest
from django.test import AsyncClient, Client

from tests.unit.on_demand.site import (
    SITE,
    closed,
    hottest,
    written,
)

pytestmark = [pytest.mark.usefixtures("site")]


@pytest.mark.parametrize("path", ["/streams/", "/streams/?breaks"])
def test_graph_of_a_streamed_body_covers_the_body(client: Client, folder: Path, path: str) -> None:
    """The body is read and discarded, also when it fails."""
    join = "&" if "?" in path else "?"
    response = client.get(f"{path}{join}flames=svg")
    assert response["Content-Type"] == "image/svg+xml"
    assert hottest(written(folder, response["Slowhound-Flames"])) == "hot"


def test_endless_body_is_closed_after_its_seconds(client: Client, configure: Any) -> None:
    """The graph is of that time."""
    folder = configure(FLAMES={"ALLOW": f"{SITE}.yes", "SECONDS": 0.05}) / "flames"
    response = client.get("/endless/?flames=svg")
    assert response["Content-Type"] == "image/svg+xml"
    assert closed == ["endless"]
    assert written(folder, response["Slowhound-Flames"]).event["req_path"] == "/endless/"


def test_silent_body_is_closed_after_its_seconds(configure: Any) -> None:
    """A stream of events may wait forever for the next one."""
    configure(FLAMES={"ALLOW": [f"{SITE}.yes"], "EVERY": 0, "SECONDS": 0.2})
    response = asyncio.run(AsyncClient().get("/silent/?flames=svg"))
    assert response["Content-Type"] == "image/svg+xml"
    assert closed == ["silent"]


def test_streamed_body_is_profiled_to_its_end(client: Client, folder: Path) -> None:
    """The headers are sent before that, with the times until then."""
    response = client.get("/streams/?flames")
    assert response.getvalue() == b"onetwo"  # type: ignore[attr-defined]
    response.close()
    assert response["Server-Timing"].startswith("view;dur=")
    assert "total" not in response["Server-Timing"]
    found = written(folder, response["Slowhound-Flames"])
    assert hottest(found) == "hot"
    assert found.event["resp_bytes"] == 6


def test_client_that_disconnects_ends_it(client: Client, folder: Path) -> None:
    """The samples until then are kept, and another request can be profiled."""
    response = client.get("/endless/?flames")
    parts = iter(response.streaming_content)  # type: ignore[attr-defined]
    assert next(parts) == b"."
    response.close()
    found = written(folder, response["Slowhound-Flames"])
    assert found.event["resp_outcome"] == "disconnect"
    assert client.get("/busy/?flames")["Slowhound-Flames"] != "busy"
