"""``slowhound doctor`` tries whether the stacks of another process can be read."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from slowhound.cli.diagnostics import Diagnostic, host, trial
from slowhound.cli.diagnostics.trial import Trial
from slowhound.gil import py_spy, remote_unwinder
from tests.harness.recorded import READ_BY


def tried(monkeypatch: pytest.MonkeyPatch, folder: Path, script: str) -> Diagnostic:
    """The diagnostic with this script in place of py-spy, where Python itself cannot read."""
    program = folder / "py-spy"
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(0o755)
    monkeypatch.setattr(remote_unwinder, "available", False)
    monkeypatch.setattr(py_spy, "command", lambda: str(program))
    monkeypatch.setattr(host, "PTRACE_SCOPE", str(folder / "no-yama"))
    (found,) = [each for each in host.stacks() if each.subject == host.HELD_GIL_STACKS]
    return found


@pytest.mark.parametrize(
    ("script", "why"),
    [
        ("echo 'Permission\tDenied' >&2; exit 7", r"py-spy: exit code 7: Permission\tDenied"),
        ("exec sleep 600", "py-spy: not done after 0.2 s"),
    ],
)
def test_py_spy_that_fails_is_a_note(
    script: str, why: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """That it is installed, and that the kernel has no rule against it, is not enough."""
    monkeypatch.setattr(py_spy, "READ_TIME_LIMIT", 0.2 if "sleep" in script else 20)
    found = tried(monkeypatch, tmp_path, script)
    assert found.state == "note"
    assert found.text.startswith("could not be read for a child of this command.")
    assert found.text.endswith(why)
    assert "SYS_PTRACE" in found.advice


def test_py_spy_that_works_reads_a_child_that_ends_afterwards(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The diagnostic names the reader and who may use it, and says that it was tried."""
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


@pytest.mark.skipif(os.geteuid() != 0, reason="the kernel may allow it to root only")
def test_the_reader_of_this_python_reads_a_child() -> None:
    """As the tests of stacks while the GIL is held do."""
    assert trial.read_a_child() == Trial(READ_BY)


def test_where_no_child_can_be_started_nothing_is_claimed(monkeypatch: pytest.MonkeyPatch) -> None:
    """A Python inside another program may not know its own executable."""
    monkeypatch.setattr(sys, "executable", None)
    found = trial.read_a_child()
    assert found.by is None
    assert found.why.startswith("no Python to try it with: ")


@pytest.mark.parametrize(
    ("scope", "rule"), [(2, "the kernel lets root do it"), (3, "no process may read another one")]
)
def test_rules_of_the_kernel_are_shown_where_the_trial_fails(
    monkeypatch: pytest.MonkeyPatch, scope: int, rule: str
) -> None:
    """They may be the reason."""
    monkeypatch.setattr(remote_unwinder, "available", True)
    found = host.held_gil_stacks(scope, None, lambda: Trial(None, "PermissionError()"))
    assert found.text.endswith("PermissionError()")
    assert f"ptrace_scope is {scope}: {rule}" in found.advice
