"""Django's system checks of slowhound's and dogslow's settings."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
from django.core.checks import run_checks
from django.test.utils import override_settings


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("DOGSLOW_TIMER", "25"),
        ("DOGSLOW_OUTPUT", 5),
        ("DOGSLOW_EMAIL_TO", [1]),
        ("DOGSLOW_LOG_LEVEL", "LOUD"),
        ("DOGSLOW_IGNORE_URLS", "one"),
        ("DOGSLOW_LOGGER", 1),
        ("DOGSLOW", "no"),
        ("FLAMES_DIR", 1),
    ],
)
def test_bad_old_setting_is_an_error(name: str, value: Any) -> None:
    """dogslow's settings are checked like slowhound's own."""
    other = {"DOGSLOW_EMAIL_FROM": "a@b"} if name == "DOGSLOW_EMAIL_TO" else {}
    with override_settings(**{name: value, **other}):
        found = run_checks(tags=["slowhound"])
    assert [each.id for each in found] == ["slowhound.E003"]
    assert name in found[0].msg


def test_address_without_a_sender_is_an_error() -> None:
    """With only one of the mail settings, nothing would be sent."""
    with override_settings(DOGSLOW_EMAIL_TO="a@b"):
        assert [each.id for each in run_checks(tags=["slowhound"])] == ["slowhound.E003"]


def test_sink_that_cannot_be_imported_is_an_error() -> None:
    """It is found before the first report is due."""
    with override_settings(SLOWHOUND={"SINKS": ["no.such.Sink"]}):
        assert [each.id for each in run_checks(tags=["slowhound"])] == ["slowhound.E004"]


def test_folder_and_locals_are_warned_about(tmp_path: Path) -> None:
    """A DIR that this user cannot use, and locals in production, are warnings."""
    os.chmod(tmp_path, 0o777)
    with override_settings(SLOWHOUND={"DIR": str(tmp_path), "LOCALS": True}):
        found = [each.id for each in run_checks(tags=["slowhound"])]
    assert sorted(found) == ["slowhound.W002", "slowhound.W003"]
