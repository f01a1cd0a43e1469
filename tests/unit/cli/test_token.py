"""`slowhound token`: the token is accepted for its path and time, and nothing else is printed."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from django.test import override_settings

from slowhound.cli import main
from slowhound.on_demand.permission import is_valid


@pytest.fixture(autouse=True)
def settings(monkeypatch: pytest.MonkeyPatch) -> None:
    """Those of this process; the command reads them by this name."""
    monkeypatch.setenv("DJANGO_SETTINGS_MODULE", "tests.unit.conftest")


def token(capsys: Any, *arguments: str) -> str:
    """The token, alone on its line."""
    assert main(["token", *arguments]) == 0
    out = capsys.readouterr().out
    assert out.count("\n") == 1
    return str(out.strip())


def test_token_is_valid_for_all_paths(capsys: Any) -> None:
    """For ten minutes, by default."""
    assert is_valid(token(capsys), "/any/path/")


def test_token_is_valid_for_one_path(capsys: Any) -> None:
    """And all below it."""
    found = token(capsys, "--path", "/shop/", "--ttl", "5")
    assert is_valid(found, "/shop/cart/")
    assert not is_valid(found, "/admin/")


def test_token_fits_into_a_url(capsys: Any) -> None:
    """Nothing in it needs escaping, even for a path in another script."""
    found = token(capsys, "--path", "/größe/%s" % ("x" * 100))
    assert set(found) <= set("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_:.")


def test_token_that_would_be_rejected_gives_a_warning(capsys: Any) -> None:
    """In production FLAMES must allow it."""
    for allow, debug, warned in (
        ("debug", False, True),
        ("debug", True, False),
        ("token", False, False),
        (["staff", "token"], False, False),
        ([], True, True),
    ):
        with override_settings(DEBUG=debug, SLOWHOUND={"FLAMES": {"ALLOW": allow}}):
            assert main(["token"]) == 0
        assert ("will be rejected" in capsys.readouterr().err) is warned


@pytest.mark.parametrize(
    "arguments",
    [
        ["--path", "shop"],
        ["--path", "/a/../b"],
        ["--ttl", "0"],
        ["--ttl", "700000"],
        ["--ttl", "x"],
    ],
)
def test_wrong_use(arguments: list[str], capsys: Any) -> None:
    """Exit code 2, and no token."""
    with pytest.raises(SystemExit) as ended:
        main(["token", *arguments])
    assert ended.value.code == 2
    assert capsys.readouterr().out == ""


def run(tmp_path: Path, settings: str | None, text: str = "") -> subprocess.CompletedProcess[str]:
    (tmp_path / "shop_settings.py").write_text(text)
    env = {name: value for name, value in os.environ.items() if name != "DJANGO_SETTINGS_MODULE"}
    env |= {"DJANGO_SETTINGS_MODULE": settings} if settings else {}
    argv = [sys.executable, "-m", "slowhound", "token"]
    return subprocess.run(
        argv, cwd=tmp_path, env=env, capture_output=True, text=True, check=False, timeout=60
    )


def test_settings_are_those_of_the_project_in_the_folder(tmp_path: Path) -> None:
    """As with manage.py."""
    text = 'SECRET_KEY = "unit"\nSLOWHOUND = {"FLAMES": {"ALLOW": "token"}}\n'
    done = run(tmp_path, "shop_settings", text)
    assert (done.returncode, done.stderr) == (0, "")
    assert is_valid(done.stdout.strip(), "/")


@pytest.mark.parametrize(
    ("settings", "text", "code", "error"),
    [
        (None, "", 2, "DJANGO_SETTINGS_MODULE is not set"),
        ("no_such_settings", "", 1, "the settings cannot be used"),
        ("shop_settings", "SECRET_KEY = ''", 1, "the settings cannot be used"),
        ("shop_settings", "raise RuntimeError('a\\nb')", 1, "the settings cannot be used"),
    ],
)
def test_settings_that_do_not_work_are_reported(
    tmp_path: Path, settings: str | None, text: str, code: int, error: str
) -> None:
    """On one line."""
    done = run(tmp_path, settings, text)
    assert (done.returncode, done.stdout) == (code, "")
    assert error in done.stderr
    assert done.stderr.count("\n") == 1
