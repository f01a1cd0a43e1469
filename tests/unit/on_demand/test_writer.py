"""The files of a graph, and the events that name it."""

from __future__ import annotations

import errno
import os
from pathlib import Path
from typing import Any

import pytest
from django.test import Client
from django.test.utils import override_settings

from slowhound.flames.search import find
from slowhound.recorder import process
from slowhound.system import losses
from slowhound.testing import capture_events
from tests.harness.waiting import eventually
from tests.unit.on_demand.site import (
    SITE,
    written,
)

pytestmark = [pytest.mark.usefixtures("site")]


def test_event_names_the_graph(client: Client, folder: Path) -> None:
    """So it can be found by its request."""
    with capture_events() as events:
        response = client.get("/busy/?flames")
    assert events[0]["flame"] == response["Slowhound-Flames"] + ".flame.json.gz"


def test_slow_request_on_demand_has_one_graph(client: Client, configure: Any) -> None:
    """That on demand; automatic sampling skips it."""
    folder = configure(FLAMES={"ALLOW": f"{SITE}.yes"}, SAMPLE_AFTER=0.01, SAMPLE_HZ=100)
    with capture_events() as events:
        name = client.get("/busy/?flames")["Slowhound-Flames"]
    assert events[0]["flame"] == f"{name}.flame.json.gz"
    written(folder / "flames", name)
    process.stop()  # with all files that its hound had to write
    assert [each.name for each in find(str(folder / "flames"))] == [events[0]["flame"]]


def test_request_on_demand_keeps_its_event(client: Client, configure: Any) -> None:
    """With any SAMPLING."""
    configure(FLAMES={"ALLOW": f"{SITE}.yes"}, SAMPLING={"ok": 0.0})
    with capture_events() as events:
        client.get("/shows/")
        client.get("/shows/?flames")
    assert [each["req_query_keys"] for each in events] == ["flames"]


def test_graph_that_cannot_be_written_is_named_by_no_event(
    client: Client, configure: Any, tmp_path: Path
) -> None:
    """Here because its folder is missing."""
    configure(FLAMES={"ALLOW": f"{SITE}.yes", "EVERY": 0})
    target = tmp_path / "old"
    with override_settings(FLAMES_DIR=str(target)), capture_events() as events:
        assert client.get("/shows/?flames").status_code == 200
        assert "flame" not in events[-1]
        target.mkdir()
        name = client.get("/shows/?flames")["Slowhound-Flames"]
        assert events[-1]["flame"] == f"{name}.flame.json.gz"
        written(target, name)


def test_flames_dir_is_used_as_it_is(client: Client, configure: Any, tmp_path: Path) -> None:
    """The old setting: an existing folder; DIR is for the rest."""
    configure(FLAMES={"ALLOW": f"{SITE}.yes", "EVERY": 0})
    target = tmp_path / "old"
    with override_settings(FLAMES_DIR=str(target)):
        client.get("/shows/?flames")
        eventually(lambda: losses.dropped == 1, "a folder that is missing is counted")
        target.mkdir()
        name = client.get("/shows/?flames")["Slowhound-Flames"]
        written(target, name)
    assert len(list(target.iterdir())) == 3


@pytest.mark.parametrize("words", ["flames", "flames=svg"])
def test_full_disk_changes_no_response(
    client: Client, folder: Path, monkeypatch: pytest.MonkeyPatch, words: str
) -> None:
    """A failed write is counted."""
    expected = client.get(f"/busy/?{words}")
    eventually(lambda: len(list(folder.glob("*.*"))) == 3, "the first is written")
    real = os.open

    def full(path: Any, *rest: Any, **more: Any) -> int:
        if "flame_" in str(path):
            raise OSError(errno.ENOSPC, "No space left on device")
        return real(path, *rest, **more)

    monkeypatch.setattr(os, "open", full)
    response = client.get(f"/busy/?{words}")
    assert response.status_code == 200
    assert response["Content-Type"] == expected["Content-Type"]
    eventually(lambda: losses.dropped == 1, "it is counted")
    assert len(list(folder.iterdir())) == 3
