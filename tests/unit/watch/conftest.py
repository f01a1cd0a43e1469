"""A stage for threads and locks."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.unit.watch.lock_stage import Stage


@pytest.fixture
def stage() -> Iterator[Stage]:
    """A stage whose threads all end with the test."""
    made = Stage()
    yield made
    made.over.set()
