"""The folder of a site that names no DIR: its user's and its project's alone, and found again."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from django.test.utils import override_settings

from slowhound.config.default_dir import default_folder, existing, project_name
from slowhound.config.from_django import get_config
from tests.harness.cli import environment

USER = os.geteuid()


@pytest.fixture(autouse=True)
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The system's temporary folder."""
    folder = tmp_path / "tmp"
    folder.mkdir()
    monkeypatch.setenv("TMPDIR", str(folder))
    monkeypatch.setattr("tempfile.tempdir", None)
    monkeypatch.delenv("RUNTIME_DIRECTORY", raising=False)
    return folder


def project(folder: Path, settings: str = "settings") -> Path:
    """A project with its settings in ``config/settings.py``, as ``startproject .`` makes none."""
    folder.mkdir(exist_ok=True)
    (folder / f"{settings}.py").write_text("SECRET_KEY = 'x'\nROOT_URLCONF = 'urls'\n")
    return folder


def run(folder: Path, *argv: str, settings: str | None = "settings", **env: str) -> tuple[int, str]:
    """Exit code and output of a command that runs in this folder."""
    named = {"DJANGO_SETTINGS_MODULE": settings} if settings else {}
    shell = environment(**named, **env)
    shell["PYTHONPATH"] = os.pathsep.join(
        os.path.abspath(each) for each in shell["PYTHONPATH"].split(os.pathsep)
    )
    done = subprocess.run(
        [sys.executable, *argv],
        cwd=folder,
        env=shell,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    return done.returncode, (done.stdout + done.stderr).strip()


def dir_of(folder: Path, settings: str = "settings", **env: str) -> str:
    """DIR of a site in this folder."""
    code = "import sys; sys.path.insert(0, '');"
    code += "from slowhound.config.from_django import get_config as c"
    return run(folder, "-c", f"{code}; print(c().dir)", settings=settings, **env)[1]


def test_two_projects_of_one_user_have_two_folders(tmp_path: Path) -> None:
    """Two sites of one user without DIR are kept apart by project."""
    one, two = project(tmp_path / "one"), project(tmp_path / "two")
    project(one, "other")
    found = [dir_of(one), dir_of(two), dir_of(one, "other")]
    assert len(set(found)) == 3
    assert all(os.path.basename(each).startswith(f"slowhound-{USER}-") for each in found)
    assert dir_of(one) == found[0]


def test_project_keeps_its_folder_wherever_a_command_is_run(tmp_path: Path) -> None:
    """The current folder does not matter."""
    site = project(tmp_path / "site")
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    assert dir_of(elsewhere, PYTHONPATH=f"{site}:{os.environ.get('PYTHONPATH', '')}") == dir_of(
        site
    )


def test_project_without_a_settings_module_has_a_folder_of_its_own(tmp_path: Path) -> None:
    """With ``settings.configure()``, its URLs and its folder identify it."""
    code = (
        "from django.conf import settings; settings.configure(ROOT_URLCONF=%r);"
        "from slowhound.config.from_django import get_config; print(get_config().dir)"
    )
    one, two = tmp_path / "one", tmp_path / "two"
    one.mkdir()
    two.mkdir()
    found = [
        run(folder, "-c", code % urls, settings=None)[1]
        for folder, urls in ((one, "a"), (one, "b"), (two, "a"))
    ]
    assert len(set(found)) == 3


def test_runtime_directory_comes_first_where_it_can_be_written(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, temporary: Path
) -> None:
    """systemd's folder comes before the temporary one; of several, the first."""
    monkeypatch.setenv("RUNTIME_DIRECTORY", f"{tmp_path}:/run/other")
    assert default_folder("shop") == f"{tmp_path}/slowhound-{USER}-shop"
    monkeypatch.setenv("RUNTIME_DIRECTORY", str(tmp_path / "none"))
    assert default_folder("shop") == f"{temporary}/slowhound-{USER}-shop"


def test_process_that_becomes_another_user_has_that_users_folder(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A worker may have an arbiter that is root and has read the settings before it."""
    with override_settings(SLOWHOUND={}):
        assert os.path.basename(get_config().dir).startswith(f"slowhound-{USER}-")
        monkeypatch.setattr("os.geteuid", lambda: 12345)
        assert os.path.basename(get_config().dir).startswith("slowhound-12345-")


def test_name_of_a_project_is_clean_and_short() -> None:
    """It is a part of a path, and may come from any text."""
    name = project_name("../a b/\0" + "ü" * 99, "x\udc80")
    assert name.isascii()
    assert len(name) < 50
    assert not set("/\0 .") & set(name)


def made(temporary: Path, name: str) -> Path:
    folder = temporary / name
    (folder / "boxes").mkdir(parents=True, mode=0o700)
    folder.chmod(0o700)
    return folder


def test_command_without_dir_finds_the_folder_of_the_settings(tmp_path: Path) -> None:
    """DJANGO_SETTINGS_MODULE names it, also where there are others."""
    one, two = project(tmp_path / "one"), project(tmp_path / "two")
    for each in (one, two):
        made(Path(dir_of(each)).parent, os.path.basename(dir_of(each)))
    code, output = run(two, "-m", "slowhound", "ps")
    assert (code, output) == (1, f"slowhound: no worker runs here ({dir_of(two)})")


def test_command_without_settings_finds_the_only_folder(tmp_path: Path, temporary: Path) -> None:
    """It does where the user has exactly one such folder; else it lists them."""
    only = made(temporary, f"slowhound-{USER}-shop-1a2b3c4d")
    made(temporary, f"slowhound-{USER}9-shop-1a2b3c4d")
    (temporary / f"slowhound-{USER}-empty-1a2b3c4d").mkdir(mode=0o700)
    code, output = run(tmp_path, "-m", "slowhound", "ps", settings=None)
    assert (code, output) == (1, f"slowhound: no worker runs here ({only})")
    other = made(temporary, f"slowhound-{USER}-blog-1a2b3c4d")
    code, output = run(tmp_path, "-m", "slowhound", "ps", settings=None)
    assert code == 2
    assert str(only) in output
    assert str(other) in output
    assert existing() == [str(other), str(only)]


def test_doctor_says_where_files_go_without_dir(tmp_path: Path) -> None:
    """It also lists the folders of other projects."""
    one, two = project(tmp_path / "one"), project(tmp_path / "two")
    made(Path(dir_of(two)).parent, os.path.basename(dir_of(two)))
    output = run(one, "-m", "slowhound", "doctor")[1]
    assert f"DIR: is not set: {dir_of(one)}" in output
    assert f"other projects use {dir_of(two)}" in output
