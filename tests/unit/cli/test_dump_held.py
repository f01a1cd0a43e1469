"""`slowhound dump` of a process that holds the GIL, as read from outside."""

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
    """Nobody in that process can."""
    with worker(tmp_path / "d", path="/held/", then="hold the GIL") as pid:
        wait_silent(tmp_path / "d")
        said = dump(tmp_path / "d", str(pid), patience=SOON)
    assert said.code == 1
    assert f"{READ[READ_BY]} (innermost last)" in said.out
    assert ":hold_the_gil\n" in said.out
    assert "The GIL has been held for about" in said.err


def test_where_no_stack_can_be_read_dump_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With who holds the GIL, as it seems, and what would help."""
    monkeypatch.setattr(remote_unwinder, "available", False)
    monkeypatch.setattr(py_spy, "command", lambda: None)
    with worker(tmp_path / "d", path="/held/", then="hold the GIL") as pid:
        wait_silent(tmp_path / "d")
        said = dump(tmp_path / "d", str(pid), patience=SOON)
    assert said.code == 1
    assert "no stack is known" in said.out
    assert "most likely by this thread, which ran (or waited for a CPU) all the time" in said.err
    assert "no stack can be read while the GIL is held" in said.err
    assert "slowhound[pyspy]" in said.err


def test_hold_that_was_young_when_dump_asked_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What counts is for how long the worker has been silent once it did not answer."""
    real = location.workers
    late: list[list[bool]] = []

    def workers(boxes: str, owner: int) -> list[Worker]:
        """Young at the first look, and of its age at each later one."""
        found = [each if late else each._replace(silent_for=0.0) for each in real(boxes, owner)]
        late.append([each.late for each in found])
        return found

    with worker(tmp_path / "d", path="/held/", then="hold the GIL") as pid:
        wait_silent(tmp_path / "d")
        monkeypatch.setattr(location, "workers", workers)
        said = dump(tmp_path / "d", str(pid), patience=SOON)
    assert late[:2] == [[False], [True]]
    assert said.code == 1
    assert "The GIL has been held for about" in said.err
    assert f"{READ[READ_BY]} (innermost last)" in said.out


def test_hold_that_the_first_look_misses_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As where the hound has no CPU just then: here the whole process is stopped for that look."""
    found: list[bool] = []

    def look(state: BoxState, threads: Sequence[int]) -> Hold | None:
        hold = suspects(state, threads)
        found.append(hold is not None)
        os.kill(state.pid, signal.SIGCONT)
        return hold

    suspects = unresponsive._suspects
    monkeypatch.setattr(unresponsive, "_suspects", look)
    with worker(tmp_path / "d", path="/held/", then="hold the GIL") as pid:
        wait_silent(tmp_path / "d")
        with stopped([pid]):
            said = dump(tmp_path / "d", str(pid), patience=SOON)
    assert (found[0], found[-1]) == (False, True)
    assert "The GIL has been held for about" in said.err
    assert f"{READ[READ_BY]} (innermost last)" in said.out


@pytest.mark.parametrize(
    ("script", "limit", "why"),
    [
        ("echo 'No\tWay' >&2; exit 7", PATIENT, r"py-spy: exit code 7: No\tWay"),
        ("exec sleep 600", 0.2, "py-spy: not done after 0.2 s"),
    ],
)
def test_why_py_spy_could_not_read_is_said(
    script: str,
    limit: float,
    why: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """In its own words, and not as a guess at the kernel's."""
    (tmp_path / "py-spy").write_text(f"#!/bin/sh\n{script}\n")
    (tmp_path / "py-spy").chmod(0o755)
    monkeypatch.setattr(remote_unwinder, "available", False)
    monkeypatch.setattr(py_spy, "command", lambda: str(tmp_path / "py-spy"))
    with worker(tmp_path / "d", path="/held/", then="hold the GIL") as pid:
        wait_silent(tmp_path / "d")
        said = dump(tmp_path / "d", str(pid), patience=SOON, limit=limit)
    assert said.code == 1
    last = said.err.splitlines()[-1]
    assert last.startswith(f"slowhound: pid {pid}: no stack can be read while the GIL is held. ")
    assert last.endswith(why)
