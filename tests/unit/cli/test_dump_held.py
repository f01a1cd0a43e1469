"""`slowhound dump` reads a process that holds its GIL from outside."""

from __future__ import annotations

import os
import signal
from collections.abc import Sequence
from pathlib import Path

import pytest

from slowhound.blackbox.reader import BoxState
from slowhound.cli import location
from slowhound.gil import py_spy, remote_unwinder, unresponsive
from slowhound.gil.unresponsive import Hold
from slowhound.peers.workers import Worker
from tests.harness.cli import PATIENT, READ, SOON, dump, wait_silent, worker
from tests.harness.recorded import READ_BY
from tests.harness.stopped import stopped

pytestmark = pytest.mark.slow


def test_thread_that_holds_the_gil_is_read_from_outside(tmp_path: Path) -> None:
    """No thread of that process can read it."""
    with worker(tmp_path / "d", path="/held/", then="hold the GIL") as pid:
        wait_silent(tmp_path / "d")
        done = dump(tmp_path / "d", str(pid), patience=SOON)
    assert done.returncode == 1
    assert f"{READ[READ_BY]} (innermost last)" in done.stdout
    assert ":hold_the_gil\n" in done.stdout
    assert "The GIL has been held for about" in done.stderr


def test_where_no_stack_can_be_read_dump_explains_why(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It names the thread that probably holds the GIL, and what to install."""
    monkeypatch.setattr(remote_unwinder, "available", False)
    monkeypatch.setattr(py_spy, "command", lambda: None)
    with worker(tmp_path / "d", path="/held/", then="hold the GIL") as pid:
        wait_silent(tmp_path / "d")
        done = dump(tmp_path / "d", str(pid), patience=SOON)
    assert done.returncode == 1
    assert "no stack is known" in done.stdout
    assert "most likely by this thread, which ran (or waited for a CPU) all the time" in done.stderr
    assert "no stack can be read while the GIL is held" in done.stderr
    assert "slowhound[pyspy]" in done.stderr


def test_hold_that_begins_during_the_dump_is_reported(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The worker's silence is measured again after it did not answer."""
    real = location.workers
    late: list[list[bool]] = []

    def workers(boxes: str, owner: int) -> list[Worker]:
        """Responsive at the first read, and as silent as it is at each later one."""
        found = [each if late else each._replace(silent_for=0.0) for each in real(boxes, owner)]
        late.append([each.late for each in found])
        return found

    with worker(tmp_path / "d", path="/held/", then="hold the GIL") as pid:
        wait_silent(tmp_path / "d")
        monkeypatch.setattr(location, "workers", workers)
        done = dump(tmp_path / "d", str(pid), patience=SOON)
    assert late[:2] == [[False], [True]]
    assert done.returncode == 1
    assert "The GIL has been held for about" in done.stderr
    assert f"{READ[READ_BY]} (innermost last)" in done.stdout


def test_hold_that_the_first_check_misses_is_reported(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As where the hound has no CPU at that time: here the whole process is stopped meanwhile."""
    found: list[bool] = []

    def check(state: BoxState, threads: Sequence[int]) -> Hold | None:
        hold = suspects(state, threads)
        found.append(hold is not None)
        os.kill(state.pid, signal.SIGCONT)
        return hold

    suspects = unresponsive._suspects
    monkeypatch.setattr(unresponsive, "_suspects", check)
    with worker(tmp_path / "d", path="/held/", then="hold the GIL") as pid:
        wait_silent(tmp_path / "d")
        with stopped([pid]):
            done = dump(tmp_path / "d", str(pid), patience=SOON)
    assert (found[0], found[-1]) == (False, True)
    assert "The GIL has been held for about" in done.stderr
    assert f"{READ[READ_BY]} (innermost last)" in done.stdout


@pytest.mark.parametrize(
    ("script", "limit", "why"),
    [
        ("echo 'No\tWay' >&2; exit 7", PATIENT, r"py-spy: exit code 7: No\tWay"),
        ("exec sleep 600", 0.2, "py-spy: not done after 0.2 s"),
    ],
)
def test_error_of_py_spy_is_printed(
    script: str,
    limit: float,
    why: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Its own message, not a guess about the kernel."""
    (tmp_path / "py-spy").write_text(f"#!/bin/sh\n{script}\n")
    (tmp_path / "py-spy").chmod(0o755)
    monkeypatch.setattr(remote_unwinder, "available", False)
    monkeypatch.setattr(py_spy, "command", lambda: str(tmp_path / "py-spy"))
    with worker(tmp_path / "d", path="/held/", then="hold the GIL") as pid:
        wait_silent(tmp_path / "d")
        done = dump(tmp_path / "d", str(pid), patience=SOON, limit=limit)
    assert done.returncode == 1
    last = done.stderr.splitlines()[-1]
    assert last.startswith(f"slowhound: pid {pid}: no stack can be read while the GIL is held. ")
    assert last.endswith(why)
