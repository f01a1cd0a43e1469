"""``slowhound doctor``."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from django.core.checks import run_checks
from django.test.utils import override_settings


def doctor(*arguments: str, **env: str) -> tuple[int, list[dict[str, Any]]]:
    done = subprocess.run(
        [sys.executable, "-m", "slowhound", "doctor", "--json", *arguments],
        check=False,
        capture_output=True,
        text=True,
        timeout=60,
        env={**os.environ, **env},
    )
    return done.returncode, json.loads(done.stdout)


def states(found: list[dict[str, Any]]) -> dict[str, str]:
    return {each["subject"]: each["state"] for each in found}


def test_healthy_folder_is_fine_and_left_as_it_was(tmp_path: Path) -> None:
    """A look makes nothing that stays."""
    code, found = doctor("--dir", str(tmp_path / "new"))
    assert code == 0
    assert states(found)["DIR"] == "ok"
    assert list(tmp_path.iterdir()) == []


def test_folder_of_others_is_a_problem(tmp_path: Path) -> None:
    """It says why, what to do, and exits with 1."""
    os.chmod(tmp_path, 0o777)
    code, found = doctor("--dir", str(tmp_path))
    assert code == 1
    (problem,) = [each for each in found if each["state"] == "problem"]
    assert "writable by other users" in problem["text"]
    assert problem["advice"]


def test_wrong_settings_are_problems_with_their_number(tmp_path: Path) -> None:
    """The same findings as Django's system checks, outside Django."""
    (tmp_path / "bad_settings.py").write_text(
        "SECRET_KEY = 'x'\nMIDDLEWARE = []\nSLOWHOUND = {'SLOW': 1, 'STORE': 2}\n"
        "DOGSLOW_TIMER = 'soon'\n"
    )
    code, found = doctor(
        "--dir",
        str(tmp_path / "d"),
        DJANGO_SETTINGS_MODULE="bad_settings",
        PYTHONPATH=str(tmp_path),
    )
    assert code == 1
    problems = [each["subject"] for each in found if each["state"] == "problem"]
    assert sorted(problems) == ["slowhound.E002", "slowhound.E003", "slowhound.E003"]


def test_settings_that_cannot_be_loaded_are_a_problem(tmp_path: Path) -> None:
    """No traceback: a sentence."""
    code, found = doctor("--dir", str(tmp_path / "d"), DJANGO_SETTINGS_MODULE="no_such_settings")
    assert code == 1
    assert "no_such_settings" in next(x["text"] for x in found if x["state"] == "problem")


def test_wrong_use_exits_with_2() -> None:
    """As every command does."""
    done = subprocess.run(
        [sys.executable, "-m", "slowhound", "doctor", "--no-such"],
        check=False,
        capture_output=True,
        timeout=60,
    )
    assert done.returncode == 2


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
    """Half of the mail settings sends nothing, and says so."""
    with override_settings(DOGSLOW_EMAIL_TO="a@b"):
        assert [each.id for each in run_checks(tags=["slowhound"])] == ["slowhound.E003"]


def test_sink_that_cannot_be_imported_is_an_error() -> None:
    """Not only when the first report is due."""
    with override_settings(SLOWHOUND={"SINKS": ["no.such.Sink"]}):
        assert [each.id for each in run_checks(tags=["slowhound"])] == ["slowhound.E004"]


def test_folder_and_locals_are_warned_about(tmp_path: Path) -> None:
    """A DIR that this user cannot use, and locals in production."""
    os.chmod(tmp_path, 0o777)
    with override_settings(SLOWHOUND={"DIR": str(tmp_path), "LOCALS": True}):
        found = [each.id for each in run_checks(tags=["slowhound"])]
    assert sorted(found) == ["slowhound.W002", "slowhound.W003"]
