"""``slowhound doctor`` tries whether the stacks of another process can be read."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from slowhound.cli.diagnostics import host as diagnostics
from slowhound.cli.diagnostics import trial
from slowhound.cli.diagnostics.host import Diagnostic
from slowhound.cli.diagnostics.trial import Trial
from slowhound.gil import py_spy, remote_unwinder
from tests.harness.recorded import READ_BY


def tried(monkeypatch: pytest.MonkeyPatch, folder: Path, script: str) -> Diagnostic:
    """What is found with this script in the place of py-spy, where Python itself cannot read."""
    program = folder / "py-spy"
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(0o755)
    monkeypatch.setattr(remote_unwinder, "available", False)
    monkeypatch.setattr(py_spy, "command", lambda: str(program))
    monkeypatch.setattr(diagnostics, "PTRACE_SCOPE", str(folder / "no-yama"))
    (found,) = [
        each for each in diagnostics.stacks() if each.subject == diagnostics.HELD_GIL_STACKS
    ]
    return found


@pytest.mark.parametrize(
    ("script", "why"),
    [
        ("echo 'Permission\tDenied' >&2; exit 7", r"py-spy: exit code 7: Permission\tDenied"),
        ("exec sleep 600", "py-spy: not done after 0.2 s"),
    ],
)
def test_py_spy_that_fails_is_found_out(
    script: str, why: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """That it is there, and that the kernel has no rule against it, is not enough."""
    monkeypatch.setattr(py_spy, "TIME_LIMIT", 0.2 if "sleep" in script else 20)
    found = tried(monkeypatch, tmp_path, script)
    assert found.state == "note"
    assert found.text.startswith("could not be read of a child of this command.")
    assert found.text.endswith(why)
    assert "SYS_PTRACE" in found.advice


def test_py_spy_that_works_reads_a_child_that_ends_afterwards(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is said with what, by whom, and that it was tried."""
    thread = '[{"os_thread_id": 7, "frames": [{"name": "f", "filename": "a"}]}]'
    script = (
        f"readlink /proc/$5/exe > '{tmp_path}/exe'; echo $5 > '{tmp_path}/pid'; echo '{thread}'"
    )
    found = tried(monkeypatch, tmp_path, script)
    assert found.state == "ok"
    assert f"can be read with {tmp_path}/py-spy by the same user and by root" in found.text
    assert found.text.endswith("; tried with a child of this command: by py-spy")
    assert (tmp_path / "exe").read_text().strip() == os.path.realpath(sys.executable)
    assert not Path("/proc", (tmp_path / "pid").read_text().strip()).exists()


@pytest.mark.skipif(os.geteuid() != 0, reason="the kernel may not allow it to others than root")
def test_the_way_of_this_python_reads_a_child() -> None:
    """As the tests of stacks while the GIL is held do."""
    assert trial.read_a_child() == Trial(READ_BY)


def test_where_no_child_can_be_started_nothing_is_claimed(monkeypatch: pytest.MonkeyPatch) -> None:
    """A Python inside of another program may not know where it is."""
    monkeypatch.setattr(sys, "executable", None)
    found = trial.read_a_child()
    assert found.by is None
    assert found.why.startswith("no Python to try it with: ")


@pytest.mark.parametrize(("scope", "says"), [(2, "lets root do it"), (3, "lets nobody")])
def test_rules_of_the_kernel_are_told_where_the_trial_fails(
    monkeypatch: pytest.MonkeyPatch, scope: int, says: str
) -> None:
    """They may be the reason."""
    monkeypatch.setattr(remote_unwinder, "available", True)
    found = diagnostics.while_the_gil_is_held(scope, None, lambda: Trial(None, "PermissionError()"))
    assert found.text.endswith("PermissionError()")
    assert f"ptrace_scope is {scope}: the kernel {says}" in found.advice
