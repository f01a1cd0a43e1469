"""``slowhound doctor``: what it prints, and its exit code."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from slowhound.cli.diagnostics import directory
from slowhound.cli.doctor import diagnostics


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
    """The check removes what it makes."""
    code, found = doctor("--dir", str(tmp_path / "new"))
    assert code == 0
    assert states(found)["DIR"] == "ok"
    assert list(tmp_path.iterdir()) == []


def test_folder_of_others_is_a_problem(tmp_path: Path) -> None:
    """With a reason, advice, and exit code 1."""
    os.chmod(tmp_path, 0o777)
    code, found = doctor("--dir", str(tmp_path))
    assert code == 1
    (problem,) = [each for each in found if each["state"] == "problem"]
    assert "writable by other users" in problem["text"]
    assert problem["advice"]


def test_check_that_fails_is_a_problem_and_the_others_still_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As for a DIR that cannot be listed; what the check made is removed."""

    def denied(path: str) -> bool:
        raise PermissionError(13, "Permission denied", path)

    monkeypatch.setattr(directory, "_has_locks", denied)
    found = diagnostics(str(tmp_path / "new"))
    (problem,) = [each for each in found if each.state == "problem"]
    assert problem.subject == "DIR"
    assert "Permission denied" in problem.text
    assert found[-1].subject == "other servers"
    assert list(tmp_path.iterdir()) == []


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="there is no backlog")
def test_long_temporary_folder_is_no_problem(tmp_path: Path) -> None:
    """The path of a socket has 107 bytes at most, so the check uses none."""
    long = tmp_path / ("x" * 120)
    long.mkdir()
    code, found = doctor("--dir", str(tmp_path / "new"), TMPDIR=str(long))
    assert code == 0
    assert states(found)["backlog of unix sockets"] == "ok"


def test_wrong_settings_are_problems_with_their_number(tmp_path: Path) -> None:
    """The same as Django's system checks, outside Django."""
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
    """In one sentence, without a traceback."""
    code, found = doctor("--dir", str(tmp_path / "d"), DJANGO_SETTINGS_MODULE="no_such_settings")
    assert code == 1
    assert "no_such_settings" in next(x["text"] for x in found if x["state"] == "problem")


@pytest.mark.parametrize("enabled", [True, False])
def test_faulthandler_that_is_enabled_is_a_note(tmp_path: Path, enabled: bool) -> None:
    """Then the stack of a segmentation fault is not slowhound's."""
    code, found = doctor("--dir", str(tmp_path / "d"), PYTHONFAULTHANDLER="1" if enabled else "")
    assert code == 0
    assert states(found)["faulthandler"] == ("note" if enabled else "ok")


def test_wrong_use_exits_with_2() -> None:
    """As for every command."""
    done = subprocess.run(
        [sys.executable, "-m", "slowhound", "doctor", "--no-such"],
        check=False,
        capture_output=True,
        timeout=60,
    )
    assert done.returncode == 2
