"""The folder that a command reads: missing, not to be trusted, or another user's."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.harness.cli import ps, slowhound, worker

NOBODY = 65534
needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="becoming another user needs root")


@pytest.fixture
def reachable() -> Iterator[Path]:
    """A folder that other users can reach; pytest's own folders are private."""
    with tempfile.TemporaryDirectory(prefix="slowhound-") as name:
        os.chmod(name, 0o755)
        yield Path(name)


def patient_dump(folder: Path, pid: int) -> subprocess.CompletedProcess[str]:
    """`slowhound dump` with a minute for the answer: the process may have to wait for a CPU."""
    code = (
        "import sys; from slowhound import cli; from slowhound.peers import dumps;"
        "dumps.DUMP_PATIENCE = 60.0;"
        f"sys.exit(cli.main(['dump', '--dir', {str(folder)!r}, '{pid}']))"
    )
    return subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=90, check=False
    )


def test_missing_folder_is_refused(tmp_path: Path) -> None:
    """In one sentence; no command creates it."""
    for command in ("ps", "dump", "watch"):
        done = slowhound(command, tmp_path / "none")
        assert (done.returncode, done.stdout) == (1, "")
        assert "No such file or directory" in done.stderr
        assert done.stderr.count("\n") == 1
    assert not (tmp_path / "none").exists()


def test_folder_without_workers_is_reported(tmp_path: Path) -> None:
    """With --json an empty list."""
    tmp_path.chmod(0o700)
    done = slowhound("ps", tmp_path, "--json")
    assert (done.returncode, json.loads(done.stdout)) == (1, [])
    assert done.stderr == f"slowhound: no worker runs here ({tmp_path})\n"
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("command", ["ps", "dump", "watch"])
def test_folder_that_cannot_be_trusted_is_refused(tmp_path: Path, command: str) -> None:
    """A link, a file, and a folder that others can write to."""
    (tmp_path / "file").touch()
    (tmp_path / "open").mkdir()
    (tmp_path / "open").chmod(0o777)
    (tmp_path / "link").symlink_to(tmp_path / "open")
    for name, why in (
        ("file", "is not a folder"),
        ("open", "is writable by other users"),
        ("link", "is not a folder"),
    ):
        done = slowhound(command, tmp_path / name)
        assert (done.returncode, done.stdout) == (1, "")
        assert done.stderr.startswith(f"slowhound: {tmp_path / name} {why}")
        assert done.stderr.count("\n") == 1


@pytest.mark.slow
@needs_root
@pytest.mark.root
def test_root_sees_the_workers_of_another_user_and_leaves_nothing_of_its_own(
    reachable: Path,
) -> None:
    """Requests, dumps and thresholds; each file belongs to the other user."""
    folder = reachable / "d"
    folder.mkdir(mode=0o700)
    os.chown(folder, NOBODY, NOBODY)
    with worker(folder, path="/theirs/", user=NOBODY) as pid:
        assert [each["path"] for each in ps(folder)] == ["/theirs/"]
        dumped = patient_dump(folder, pid)
        assert dumped.returncode == 0, dumped.stderr
        assert "GET /theirs/" in dumped.stdout
        assert slowhound("watch", folder, "--slow-after", "1", "--for", "9m").returncode == 0
        assert "watch.json" in os.listdir(folder)
        os.kill(pid, signal.SIGKILL)
    done = slowhound("ps", folder)
    assert "run this as user nobody to write their events" in done.stderr
    assert len(list((folder / "boxes").glob("*.box"))) == 1
    assert {path.stat().st_uid for path in folder.rglob("*")} == {NOBODY}


@needs_root
@pytest.mark.root
@pytest.mark.parametrize("command", ["ps", "dump", "watch"])
def test_folder_of_another_user_is_for_root_only(reachable: Path, command: str) -> None:
    """The refusal names its owner."""
    folder = reachable / "d"
    folder.mkdir(mode=0o755)
    code = (
        # Imports everything first: that user may not read this interpreter's folder.
        "import os, sys; from slowhound.cli import build_parser, main; build_parser();"
        "os.setuid(65534);"
        f"sys.exit(main(['{command}', '--dir', {str(folder)!r}]))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 1
    assert "belongs to user root; run this as that user or root" in done.stderr
