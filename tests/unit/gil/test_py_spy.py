"""Stacks of another process by py-spy, which is a separate process and may do anything."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from slowhound.gil import py_spy
from slowhound.gil.reading import NotRead
from tests.harness.process import started
from tests.harness.waiting import eventually

CHILD = """
import re, sys
class Shop:
    def holds(self):
        re.match(r"(a+)+$", "a" * 40 + "b")
print("ready", flush=True)
Shop().holds()
"""

# What py-spy writes of a process with one thread, which holds the GIL.
THREAD = '[{"os_thread_id": %s, "owns_gil": true, "frames": [{"name": "f", "filename": "a"}]}]'


def program(folder: Path, script: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Something else in the place of py-spy."""
    path = folder / "py-spy"
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)
    monkeypatch.setattr(py_spy, "command", lambda: str(path))


@pytest.mark.slow
@pytest.mark.skipif(os.geteuid() != 0, reason="the kernel may not allow it to others than root")
def test_thread_that_holds_the_gil_is_read_and_named() -> None:
    """Outermost frame first, functions by their bare names, the holder by the kernel's id."""
    argv = [sys.executable, "-c", CHILD]
    with started(argv, stdout=subprocess.PIPE) as child:
        try:
            assert child.stdout is not None
            child.stdout.readline()
            found = eventually(
                lambda: (it := py_spy.read(child.pid)) and it.holder and it, "its stack"
            )
            assert (found.by, found.holder) == ("py-spy", child.pid)
            assert [each.function for each in found.stacks[child.pid]][:2] == ["<module>", "holds"]
        finally:
            child.kill()


def test_process_that_is_not_there_is_not_read() -> None:
    """Any error means: not in this way."""
    assert py_spy.read(2**22 + 1) is None


@pytest.mark.parametrize(
    "script",
    [
        f"echo '{THREAD % 7}'; exit 1",
        "echo nonsense",
        "echo '[{\"frames\": 7}]'",
        "echo '[]'",
        "kill -KILL $$",
    ],
)
def test_program_that_fails_gives_nothing(
    script: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An exit code, no JSON, JSON of another kind, no thread, a death: none is an error."""
    program(tmp_path, script, monkeypatch)
    assert py_spy.read(os.getpid()) is None


def test_program_that_hangs_is_killed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its time is limited."""
    program(tmp_path, "exec sleep 600", monkeypatch)
    monkeypatch.setattr(py_spy, "READ_TIME_LIMIT", 0.05)
    assert py_spy.read(os.getpid()) is None


def test_program_has_a_second_at_least() -> None:
    """Ten times what it takes on an idle machine."""
    assert py_spy.READ_TIME_LIMIT >= 1.0


@pytest.mark.parametrize(
    ("script", "why"),
    [
        (
            "printf 'Error: not\\033[2J yours\\nCaused by\\n' >&2; exit 3",
            r"exit code 3: Error: not\x1b[2J yours",
        ),
        ("exit 1", "exit code 1"),
        ("kill -KILL $$", "ended by signal 9"),
        ("exec sleep 600", "not done after 0.2 s"),
        ("echo nonsense", "what it wrote are no stacks"),
        ("echo '[]'", "two readings have no stack in common"),
    ],
)
def test_program_that_fails_has_a_reason(
    script: str, why: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One line, without control characters for a terminal."""
    program(tmp_path, script, monkeypatch)
    monkeypatch.setattr(py_spy, "READ_TIME_LIMIT", 0.2 if "sleep" in script else 20)
    with pytest.raises(NotRead) as caught:
        py_spy.read_or_raise(os.getpid())
    assert str(caught.value) == why


def test_process_is_read_without_being_stopped(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """py-spy stops it by default; it is started twice, by the process that reads."""
    runs = tmp_path / "runs"
    program(tmp_path, f"echo $PPID $* >> '{runs}'; echo '{THREAD % 7}'", monkeypatch)
    assert py_spy.read(4711) is not None
    run = f"{os.getpid()} dump --nonblocking --json --pid 4711"
    assert runs.read_text().splitlines() == [run, run]


STARTS = """
import os, platform, sys
sys.path[:0] = [entry for entry in sys.argv[2].split(os.pathsep) if entry]
from slowhound.gil import py_spy, readers
py_spy.command = lambda: sys.argv[3]
started = []
STARTING = ("subprocess.Popen", "os.fork", "os.forkpty", "os.posix_spawn", "os.exec", "os.system")
sys.addaudithook(lambda event, args: event in STARTING and started.append(event))
for reader in getattr(readers, sys.argv[1]):
    reader(os.getppid(), platform.python_version())
print(bool(started))
"""


@pytest.mark.parametrize(("readers", "starts"), [("IN_A_WORKER", False), ("ELSEWHERE", True)])
def test_worker_starts_no_process_to_read_another(
    readers: str, starts: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not even where there is a py-spy; others do start it."""
    program(tmp_path, "exit 1", monkeypatch)
    argv = [sys.executable, "-c", STARTS, readers, os.pathsep.join(sys.path), f"{tmp_path}/py-spy"]
    done = subprocess.run(argv, capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout == f"{starts}\n"


def test_holder_is_reported_when_both_readings_agree(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A GIL that changed hands in between was not held."""
    calls = tmp_path / "calls"
    script = f"echo >> '{calls}'; echo '{THREAD % 7}'"
    program(tmp_path, script, monkeypatch)
    found = py_spy.read(1)
    assert found is not None
    assert found.holder == 7
    both = f"'{THREAD % 8}'"
    script = f"if [ -e '{tmp_path}/again' ]; then echo {both}; else touch '{tmp_path}/again'; "
    program(tmp_path, script + f"echo '{THREAD % 7}'; fi", monkeypatch)
    assert py_spy.read(1) is None


def test_py_spy_of_this_environment_comes_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else the one on the PATH; else there is none."""
    own, other = tmp_path / "venv", tmp_path / "usr"
    for folder in (own, other):
        folder.mkdir()
        (folder / "py-spy").touch(0o755)
    monkeypatch.setattr(sys, "executable", str(own / "python"))
    monkeypatch.setenv("PATH", str(other))
    assert py_spy.command() == str(own / "py-spy")
    (own / "py-spy").unlink()
    assert py_spy.command() == str(other / "py-spy")
    (other / "py-spy").unlink()
    assert py_spy.command() is None
