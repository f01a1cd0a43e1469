"""The command line as an operator has it: in another process, and in a real terminal (tmux)."""

from __future__ import annotations

import json
import os
import shlex
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from io import StringIO
from pathlib import Path
from typing import Any, NamedTuple
from unittest.mock import patch

import pytest

from slowhound.cli import main
from slowhound.gil import py_spy
from slowhound.gil.unresponsive import UNRESPONSIVE_AFTER
from slowhound.peers import dumps, workers
from tests.harness.launch import ROOT
from tests.harness.waiting import eventually

WIDTH, HEIGHT = 150, 24


def environment(**extra: str) -> dict[str, str]:
    """An operator's shell: nothing in it says where the installation is."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("DJANGO_")}
    return {**kept, "PYTHONPATH": os.environ.get("PYTHONPATH", ""), "TZ": "UTC", **extra}


def slowhound(
    command: str, directory: Path, *arguments: str, **extra: str
) -> subprocess.CompletedProcess[str]:
    """Run `slowhound COMMAND --dir DIRECTORY ...` in a shell of its own."""
    return subprocess.run(
        [sys.executable, "-m", "slowhound", command, "--dir", str(directory), *arguments],
        cwd=ROOT,
        env=environment(**extra),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def ps(directory: Path) -> list[dict[str, Any]]:
    """What `ps --json` lists."""
    done = slowhound("ps", directory, "--json")
    assert "Traceback" not in done.stderr, done.stderr
    found: list[dict[str, Any]] = json.loads(done.stdout or "[]")  # no folder yet
    assert done.returncode == (0 if found else 1), done.stderr
    return found


def in_flight(directory: Path) -> list[dict[str, Any]]:
    """What `ps --json` lists, without a shell of its own, which takes half a second of CPU."""
    try:
        found = workers.workers(str(directory / "boxes"), directory.stat().st_uid)
    except FileNotFoundError:
        return []  # no folder yet
    return [each._asdict() for each in workers.in_flight(found)]


def ps_of(directory: Path, path: str, **match: Any) -> dict[str, Any]:
    """What `ps` has of the request to `path`, once it fits; a value may be a predicate."""

    def find() -> dict[str, Any] | None:
        for each in in_flight(directory):
            fits = all(
                wanted(each[name]) if callable(wanted) else each[name] == wanted
                for name, wanted in match.items()
            )
            if each["path"] == path and fits:
                return each
        return None

    return eventually(find, f"{path} with {match} in flight")


@contextmanager
def worker(
    directory: Path,
    *,
    method: str = "GET",
    path: str = "/",
    view: str = "",
    sql: str = "",
    user: int = 0,
    then: str = "wait",
    **settings: Any,
) -> Iterator[int]:
    """A process with a recorder and one request in flight; its pid. It is killed in the end."""
    given = {"dir": str(directory), "method": method, "path": path, "view": view, "sql": sql}
    given |= {"user": user, "then": then, "settings": settings}
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.harness.worker", json.dumps(given)],
        cwd=ROOT,
        env=environment(PYTHONPATH=os.pathsep.join([*filter(None, sys.path), str(ROOT)])),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    with process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == "ready\n"
            yield process.pid
        finally:
            process.kill()


class Output(NamedTuple):
    """What the command said, and its exit code."""

    code: int
    out: str
    err: str


# Seconds for a worker's answer: on a machine that others use too, and from one that cannot answer.
PATIENT, SOON = 15.0, 0.2


def dump(
    directory: Path, *arguments: str, patience: float = PATIENT, limit: float = PATIENT
) -> Output:
    """`slowhound dump` in this process; how long it waits for a worker and for py-spy is given."""
    with (
        patch.object(dumps, "DUMP_PATIENCE", patience),
        patch.object(py_spy, "TIME_LIMIT", limit),
        redirect_stdout(StringIO()) as out,
        redirect_stderr(StringIO()) as err,
    ):
        code = main(["dump", "--dir", str(directory), *arguments])
    return Output(code, out.getvalue(), err.getvalue())


def silent(directory: Path) -> float:
    """For how many seconds the one worker has given no sign of life."""
    (found,) = workers.workers(str(directory / "boxes"), os.geteuid())
    return found.silent_for


def wait_silent(directory: Path) -> None:
    """Until its one worker holds the GIL."""
    eventually(lambda: silent(directory) > UNRESPONSIVE_AFTER, "it holds the GIL")


READ = {"remote": "read from its memory", "py-spy": "read from its memory by py-spy"}


class Terminal:
    """A shell in a terminal of tmux's."""

    def __init__(self, socket: Path) -> None:
        self.socket = socket

    def tmux(self, *arguments: str) -> str:
        argv = ["tmux", "-S", str(self.socket), "-f", "/dev/null", *arguments]
        done = subprocess.run(argv, capture_output=True, text=True, timeout=20, check=True)
        return done.stdout

    def type(self, *keys: str) -> None:
        self.tmux("send-keys", *keys)

    def run(self, *command: str) -> None:
        """Type a command line and say how it ended."""
        self.type("-l", shlex.join(command) + "; echo exit=$?")
        self.type("Enter")

    def screen(self) -> str:
        return self.tmux("capture-pane", "-p")

    def wait(self, *texts: str) -> str:
        """The screen, once it shows all of these."""
        return eventually(
            lambda: shown if all(each in (shown := self.screen()) for each in texts) else "",
            f"{texts} on the screen",
            transcript=self.screen,
        )

    def state(self) -> str:
        """Whether the other screen is on, and the cursor visible."""
        return self.tmux("display", "-p", "#{alternate_on} #{cursor_flag}").strip()


@contextmanager
def terminal() -> Iterator[Terminal]:
    """A shell in a terminal of this size; skips where there is no tmux."""
    if shutil.which("tmux") is None:
        pytest.skip("no tmux on this machine")
    folder = Path(tempfile.mkdtemp(prefix="sh-tmux-"))
    found = Terminal(folder / "socket")
    size = ("-x", str(WIDTH), "-y", str(HEIGHT))
    shell = [
        "env",
        "-u",
        "COLUMNS",
        "-u",
        "LINES",
        "PS1=$ ",
        f"PYTHONPATH={os.environ.get('PYTHONPATH', '')}",
        "sh",
    ]
    found.tmux("new-session", "-d", *size, "-c", str(ROOT), *shell)
    try:
        found.wait("$")
        yield found
    finally:
        found.tmux("kill-server")
        shutil.rmtree(folder, ignore_errors=True)
