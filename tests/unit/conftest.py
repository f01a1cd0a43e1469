"""Fixtures of the unit tests, in which a bug of slowhound's fails the test."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from django.test import Client
from django.test.utils import override_settings

from slowhound.core.in_flight import snapshot_in_flight
from slowhound.recorder import process
from slowhound.system import guard, losses


@pytest.fixture(autouse=True)
def _fresh() -> Iterator[None]:
    """Each test starts without counts and requests; its guard raises what it catches."""
    guard.loud = True
    guard.reset()
    losses.reset()
    yield
    process.stop()
    for record in snapshot_in_flight():  # a response that the test has not closed
        process.finish(record)
    guard.loud = False


@pytest.fixture
def client() -> Client:
    """Django's test client; it does not raise, as a server does not."""
    return Client(raise_request_exception=False)


@pytest.fixture
def configure(tmp_path: Path) -> Iterator[Any]:
    """Sets SLOWHOUND for the test: ``configure(SLOW_AFTER=1)``; DIR is the test's own."""
    active: list[override_settings] = []

    def set_up(**values: Any) -> Path:
        directory = tmp_path / "dir"
        override = override_settings(SLOWHOUND={"DIR": str(directory), "STREAM": None, **values})
        override.enable()
        active.append(override)
        return directory

    yield set_up
    while active:
        active.pop().disable()
