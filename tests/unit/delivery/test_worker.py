"""The delivery thread starts by itself, but not while the application still imports."""

from __future__ import annotations

from pathlib import Path

import pytest
from django.apps import apps

from slowhound.delivery.worker import SECONDS_AFTER_SETUP, Delivery

LOGGER = {"sink": "slowhound.sinks.logger.PythonLogger", "name": "reports"}


@pytest.mark.parametrize("ready", [True, False])
def test_thread_starts_seconds_after_the_application_is_loaded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, ready: bool
) -> None:
    """A thread that imports a sink before may get a module that is only half there."""
    monkeypatch.setattr(apps, "ready", ready)
    delivery = Delivery((LOGGER,), str(tmp_path / "d"))
    for _ in range(SECONDS_AFTER_SETUP):
        delivery.start_when_loaded()
        assert not delivery._started
    delivery.start_when_loaded()
    assert delivery._started is ready
    delivery.stop()
