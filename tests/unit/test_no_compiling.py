"""No thread of slowhound's parses or compiles: that would break the application's `ast.parse`."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest

from tests.harness.launch import ROOT

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def compiled(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """What slowhound's threads have compiled, in a process without bytecode files."""
    folder = tmp_path_factory.mktemp("compiling")
    env = {
        **{name: value for name, value in os.environ.items() if name != "SLOWHOUND_LOUD"},
        "PYTHONDONTWRITEBYTECODE": "1",
        "PYTHONPYCACHEPREFIX": str(folder / "empty"),
    }
    argv = [sys.executable, "-m", "tests.harness.compiling", str(folder)]
    ran = subprocess.run(
        argv, check=False, cwd=ROOT, env=env, capture_output=True, text=True, timeout=120
    )
    assert ran.returncode == 0, ran.stderr
    found: list[str] = json.loads(ran.stdout)
    return found


def test_no_thread_of_ours_compiles(compiled: list[str]) -> None:
    """Slow requests, locks, flame graphs, failures and deliveries compile nothing."""
    assert compiled == []
