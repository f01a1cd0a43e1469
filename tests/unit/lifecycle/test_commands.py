"""Management commands are recorded in process; separate processes are in ``tests/servers``."""

from __future__ import annotations

import io
import sys
from typing import Any

import pytest
from django.apps import apps
from django.core.management.base import BaseCommand
from django.test.utils import override_settings

from slowhound.lifecycle.commands import UNRECORDED_COMMANDS, record_commands
from slowhound.recorder import process
from slowhound.testing import capture_events
from tests.unit.views import query


class Nightly(BaseCommand):
    requires_system_checks = ()

    def handle(self, *args: Any, **options: Any) -> str:
        query(options["times"])
        return "tidy"


@pytest.fixture
def commands(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(BaseCommand, "execute", BaseCommand.execute)
    monkeypatch.setattr(Nightly, "__module__", "shop.management.commands.nightly")
    record_commands()
    record_commands()


def call(command: BaseCommand, **options: Any) -> str | None:
    given = {"force_color": False, "no_color": True, "skip_checks": True, "stdout": io.StringIO()}
    return command.execute(**given, **options)


@pytest.mark.usefixtures("commands")
def test_command_has_one_event() -> None:
    """A command has one event under its name, even if recording was turned on twice."""
    with capture_events() as events:
        assert call(Nightly(), times=2) == "tidy"
    (event,) = events
    assert (event["task_kind"], event["task_name"]) == ("command", "nightly")
    assert (event["db_queries"], event["resp_outcome"]) == (2, "ok")


@pytest.mark.usefixtures("commands")
@pytest.mark.parametrize("name", sorted(UNRECORDED_COMMANDS))
def test_command_that_serves_or_waits_has_none(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A command that serves or waits for a person starts no recorder."""
    monkeypatch.setattr(Nightly, "__module__", f"django.core.management.commands.{name}")
    assert call(Nightly(), times=1) == "tidy"
    assert process.get() is None


@pytest.mark.usefixtures("commands")
def test_command_in_a_test_has_none(monkeypatch: pytest.MonkeyPatch) -> None:
    """After ``setup_test_environment``, commands are a test's, and not recorded."""
    utils = sys.modules["django.test.utils"]
    monkeypatch.setattr(utils._TestState, "saved_data", None, raising=False)  # type: ignore[attr-defined]
    assert call(Nightly(), times=1) == "tidy"
    assert process.get() is None


def test_nothing_named_patches_nothing() -> None:
    """Without TASKS, Django's class is not patched."""
    with override_settings(SLOWHOUND={"TASKS": ()}):
        apps.get_app_config("slowhound").ready()
    assert BaseCommand.execute.__module__ == "django.core.management.base"
    assert not hasattr(BaseCommand.execute, "slowhound")
