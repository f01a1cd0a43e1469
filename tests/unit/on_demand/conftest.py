"""The site, for the tests that go through the whole of Django."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from django.test.utils import override_settings

from slowhound.on_demand import profiled_request
from tests.unit.on_demand.site import (
    MIDDLEWARE,
    SITE,
    closed,
    gates,
    users,
)


@pytest.fixture
def site(_fresh: None) -> Iterator[None]:
    """The views of ``site.py``; the state of earlier tests is reset."""
    closed.clear()
    users.clear()
    gates.update(entered=threading.Event(), open=threading.Event())
    profiled_request._forget_after_fork()
    with override_settings(ROOT_URLCONF=SITE, MIDDLEWARE=MIDDLEWARE):
        yield
    profiled_request._worker.writer._wait()


@pytest.fixture
def configure(configure: Any) -> Any:
    """As elsewhere, but no graph is made automatically, however long a request takes."""
    return lambda **values: configure(**{"SAMPLE_AFTER": 3600, **values})


@pytest.fixture
def folder(site: None, configure: Any) -> Path:
    """The folder of the graphs. All clients may ask at any time."""
    found: Path = configure(FLAMES={"ALLOW": [f"{SITE}.yes"], "EVERY": 0})
    return found / "flames"
