"""Tests of the lock files in requirements/, and of the scripts that install from them."""

from __future__ import annotations

import ast
import os
import re
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tests.harness.launch import ROOT

EXTRAS = ("build", "demo", "test", "soak", "dev")
PIN = re.compile(r"^([a-z\d.-]+)==(\S+)(?: ; (.+?))?(?= \\$|$)", re.MULTILINE)
BLOCK = re.compile(r"^\S+==.*\\\n(?:    --hash=sha256:[\da-f]{64}(?: \\)?\n)+", re.MULTILINE)
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
# An environment made by Debian's Python has neither pip nor ensurepip.
BASE: str = sys._base_executable  # type: ignore[attr-defined]
PYTHONS = re.findall(r"Python :: (3\.\d+)'", str(PROJECT["project"]["classifiers"]))


def environment(python: str) -> dict[str, str]:
    """The variables of markers, for CPython on Linux."""
    return {
        "python_version": python,
        "python_full_version": f"{python}.1",
        "sys_platform": "linux",
        "os_name": "posix",
        "platform_python_implementation": "CPython",
        "implementation_name": "cpython",
    }


def pins(extra: str, python: str) -> dict[str, str]:
    """The versions that a lock file has for a Python, by package."""
    found = PIN.findall((ROOT / f"requirements/{extra}.txt").read_text())
    return {
        str(canonicalize_name(name)): version
        for name, version, marker in found
        if not marker or Requirement(f"x; {marker}").marker.evaluate(environment(python))
    }


def declared(extra: str) -> Iterator[Requirement]:
    """The requirements of an extra in pyproject.toml, with those of extras that it includes."""
    if extra == "build":
        yield from map(Requirement, PROJECT["dependency-groups"]["build"])
        return
    project = PROJECT["project"]
    for text in project["optional-dependencies"][extra]:
        requirement = Requirement(text)
        if requirement.name == "slowhound":
            for included in requirement.extras:
                yield from declared(included)
        else:
            yield requirement
    yield from map(Requirement, project["dependencies"])


@pytest.mark.parametrize("python", PYTHONS)
@pytest.mark.parametrize("extra", EXTRAS)
def test_lock_has_all_that_is_declared_for_each_python(extra: str, python: str) -> None:
    """Fails after a change of pyproject.toml until `make update` has run."""
    locked = pins(extra, python)
    for requirement in declared(extra):
        version = locked.get(canonicalize_name(requirement.name), "(none)")
        assert requirement.specifier.contains(version, prereleases=True), (requirement, version)


def test_no_test_is_left_out_for_a_package_that_is_missing() -> None:
    """All packages of the tests are in the extra `test`: a missing one fails, and skips nothing."""
    for path in sorted((ROOT / "tests").rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_bytes())):
            if isinstance(node, ast.Attribute):
                assert node.attr != "importorskip", f"{path}:{node.lineno}"
            if isinstance(node, ast.Call) and ast.unparse(node.func) in ("pytest.skip", "skip"):
                assert node.args, f"{path}:{node.lineno} skips without a reason"
            if isinstance(node, ast.Call) and ast.unparse(node.func).endswith("mark.skipif"):
                reasons = [word.arg for word in node.keywords]
                assert "reason" in reasons, f"{path}:{node.lineno} skips without a reason"


@pytest.mark.parametrize("python", PYTHONS)
def test_lock_files_agree(python: str) -> None:
    """Lock files that are installed into one environment have the same versions."""
    everything = pins("dev", python)
    for extra in ("demo", "test"):
        assert pins(extra, python).items() <= everything.items()


@pytest.mark.parametrize(
    "path", sorted((ROOT / "requirements").rglob("*.txt")), ids=lambda p: p.name
)
def test_each_line_of_a_lock_has_hashes_and_no_index(path: Path) -> None:
    """Lock files work with any mirror, and a changed file is refused."""
    text = path.read_text()
    assert "://" not in text
    assert "-url" not in text
    lines = re.findall(r"^\w", text, re.MULTILINE)
    assert lines
    assert len(lines) == len(PIN.findall(text)) == len(BLOCK.findall(text))


def install(what: str, **env: str) -> str:
    """The error output of scripts/install.sh."""
    done = subprocess.run(
        [ROOT / "scripts/install.sh", what],
        env={**os.environ, **env},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert done.stdout == ""
    return done.stderr


def test_python_that_is_not_there_is_named_in_one_line() -> None:
    """A wrong PYTHON=... is named in one line."""
    assert (
        install("demo", PYTHON="/no/python")
        == "slowhound: there is no /no/python on this machine\n"
    )


def test_python_that_is_too_old_is_named_in_one_line(tmp_path: Path) -> None:
    """An old Python is named before pip refuses the project or a script does not parse."""
    homes = Path(os.environ.get("PYENV_ROOT") or Path.home() / ".pyenv", "versions")
    names = ("3.10", "3.9", "3.8", "2.7")
    old = [path for name in names for path in homes.glob(f"{name}.*/bin/python")]
    old += [Path(path) for name in names if (path := shutil.which(f"python{name}"))]
    if not old:
        pytest.skip("no Python before 3.11 on this machine")
    error = install("demo", PYTHON=str(old[0]), VENV=str(tmp_path / "venv"))
    assert re.fullmatch(
        r"slowhound: Python 3\.11 or newer is needed, \S+ is Python [\d.]+; name another one: "
        r"make PYTHON=/path/to/python3\.11\n",
        error,
    )
    assert not (tmp_path / "venv").exists()


def test_python_without_pip_is_named_in_one_line(tmp_path: Path) -> None:
    """The line names the Debian package that has pip."""
    for module in ("pip", "ensurepip"):
        (tmp_path / f"{module}.py").write_text("raise ImportError")
    error = install("demo", PYTHON=sys.executable, PYTHONPATH=str(tmp_path))
    assert error == f"slowhound: {sys.executable} has no pip (on Debian: apt install python3-pip)\n"


@pytest.mark.slow  # pip tries twice before it gives up
def test_missing_network_is_named_in_one_line(tmp_path: Path) -> None:
    """A missing network is one line, also in a folder with spaces and non-ASCII characters."""
    venv = tmp_path / "ein Übungs-Ordner" / "venv"
    error = install(
        "demo",
        PYTHON=BASE,
        VENV=str(venv),
        PIP_CONFIG_FILE=os.devnull,
        PIP_INDEX_URL="http://127.0.0.1:1/simple",
        PIP_FIND_LINKS="",
        PIP_RETRIES="1",
    )
    assert error == (
        "slowhound: requirements/build.txt cannot be installed: no package index can be reached "
        f"(pip's words: {venv}/install.log)\n"
    )


def into(folder: Path, python: str = BASE) -> str:
    """The error output when it makes an environment in this folder, without an index."""
    return install("demo", PYTHON=python, VENV=str(folder), PIP_NO_INDEX="1", PIP_FIND_LINKS="")


def test_folder_that_is_no_environment_is_left_alone(tmp_path: Path) -> None:
    """A VENV that is no environment may be a mistake, and is not removed."""
    (tmp_path / "precious").write_text("mine")
    error = f"slowhound: {tmp_path} is there already, and is no virtual environment\n"
    assert into(tmp_path) == error
    assert (tmp_path / "precious").read_text() == "mine"


@pytest.mark.slow
def test_environment_of_another_checkout_is_made_again(tmp_path: Path) -> None:
    """A copied environment has the code of another checkout, so it is made again."""
    folder = tmp_path / "an env"
    folder.mkdir()
    (folder / "pyvenv.cfg").touch()
    (folder / ".made-by").write_text(f"{BASE} /another/checkout\n")
    (folder / "theirs").touch()
    into(folder)
    assert not (folder / "theirs").exists()
    assert (folder / ".made-by").read_text() == f"{BASE} {ROOT}\n"
    (folder / "ours").touch()
    into(folder)
    assert (folder / "ours").exists()


@pytest.mark.parametrize("python", ["/bin/true", "/etc", "/etc/passwd"])
def test_what_is_no_python_is_named_in_one_line(tmp_path: Path, python: str) -> None:
    """A PYTHON that is another program is named in one line."""
    assert into(tmp_path / "env", python) == f"slowhound: {python} is no Python\n"


def test_without_apt_and_a_compiler_there_is_one_line_for_each(tmp_path: Path) -> None:
    """Each missing package is a line with the tests that will be skipped; the run goes on."""
    for name in ("sh", "id", "mktemp", "rm", "grep", "head", "cut", "ls"):
        (tmp_path / name).symlink_to(shutil.which(name) or pytest.fail(f"no {name}"))
    done = subprocess.run(
        [ROOT / "scripts/system-packages.sh", "test"],
        env={"PATH": str(tmp_path), "PYTHON": sys.executable},
        capture_output=True,
        text=True,
        check=False,
    )
    lines = done.stderr.splitlines()
    assert (done.returncode, done.stdout) == (0, "")
    for what, skipped in {
        "compiler": "uWSGI",
        "chromium": "pages",
        "tmux": "slowhound top",
    }.items():
        (line,) = (line for line in lines if line.startswith(f"no {what} on this machine"))
        assert line.endswith("will be skipped")
        assert skipped in line
    assert all(line.startswith("no ") for line in lines)
