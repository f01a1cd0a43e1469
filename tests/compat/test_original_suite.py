"""Runs gunicorn-django-canonical-logs' own tests, from its source release, on slowhound."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import sysconfig
import tarfile
from pathlib import Path
from typing import Any

import pytest

import slowhound
from tests.harness import gunicorns
from tests.harness.launch import ROOT

IMPORT = re.compile(r"^(from|import) gunicorn_django_canonical_logs\b", re.MULTILINE)
# All tests but those in instrumenter_tests, which patch its own instrumenters.
COUNT = 40
# Its servers have fixed ports, so they run in a new network namespace where possible.
ALONE = ("unshare", "--net", "--map-root-user")
LOOPBACK_UP = """\
import fcntl, os, socket, struct, sys
with socket.socket() as sock:
    fcntl.ioctl(sock, 0x8914, struct.pack("16sh14x", b"lo", 0x41))  # SIOCSIFFLAGS, UP and RUNNING
os.execv(sys.argv[1], sys.argv[1:])
"""


@pytest.fixture
def suite(tmp_path: Path) -> Path:
    """The unpacked release, with the name in its import lines replaced, and nothing else."""
    source = gunicorns.apart("canonical-logs").parent / "source"
    archives = list(source.glob("*.tar.gz"))
    if not archives:
        pytest.skip("its source is not in this environment: scripts/install.sh apart")
    # Python 3.11.2 does not have filters yet.
    safely: dict[str, Any] = {"filter": "data"} if hasattr(tarfile, "data_filter") else {}
    with tarfile.open(archives[0]) as packed:
        packed.extractall(tmp_path, **safely)
    (folder,) = tmp_path.iterdir()
    for file in (folder / "tests").rglob("*.py"):
        file.write_text(IMPORT.sub(r"\1 slowhound.compat.canonical_logs", file.read_text()))
    return folder


def alone() -> list[str]:
    """A command that runs another one in a new network namespace; empty where that fails."""
    try:
        tried = subprocess.run([*ALONE, "true"], capture_output=True, check=False)
    except OSError:
        return []
    return [] if tried.returncode else [*ALONE, sys.executable, "-c", LOOPBACK_UP]


@pytest.mark.slow
def test_original_suite_passes(suite: Path) -> None:
    """All 40 tests pass, with the import lines replaced and nothing else."""
    own = str(Path(slowhound.__file__).parents[1])
    paths = [own, str(gunicorns.apart("pytest-django")), os.environ.get("PYTHONPATH", "")]
    # Without the checkout, which has a package "tests" as well.
    paths = [each for each in os.pathsep.join(paths).split(os.pathsep) if each != str(ROOT)]
    scripts = os.pathsep.join([sysconfig.get_path("scripts"), os.environ["PATH"]])
    env = {
        **os.environ,
        "PATH": scripts,
        "PYTHONPATH": os.pathsep.join(each for each in paths if each),
        "TMPDIR": str(suite),
    }
    options = ["-p", "no:cacheprovider", "--ignore", "tests/instrumenter_tests", "tests"]
    done = subprocess.run(
        [*alone(), sys.executable, "-m", "pytest", *options],
        cwd=suite,
        env=env,
        capture_output=True,
        text=True,
        timeout=150,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"{COUNT} passed" in done.stdout.splitlines()[-1], done.stdout
