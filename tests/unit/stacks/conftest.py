"""An event loop in a thread of its own."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.unit.stacks.doors import Loop


@pytest.fixture
def loop() -> Iterator[Loop]:
    """It ends with the test."""
    running = Loop()
    yield running
    running.close()
