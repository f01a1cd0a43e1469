"""Runs the command line as an operator does: in another process, and in a real terminal (tmux)."""

from __future__ import annotations

import json
import os
import shlex
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pytest

from slowhound.gil import py_spy
from slowhound.gil.unresponsive import UNRESPONSIVE_AFTER
from slowhound.peers import dumps, workers
from tests.harness import command
from tests.harness.command import Done
from tests.harness.launch import ROOT
from tests.harness.waiting import eventually

WIDTH, HEIGHT = 150, 24


def environment(**extra: str) -> dict[str, str]:
    """The environment of an operator's shell, without settings of a project."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("DJANGO_")}
    return {**kept, "PYTHONPATH": os.environ.get("PYTHONPATH", ""), "TZ": "UTC", **extra}


def slowhound(
    name: str, directory: Path, *arguments: str, **extra: str
) -> subprocess.CompletedProcess[str]:
    """Run `slowhound NAME --dir DIRECTORY ...` in another process."""
    return subprocess.run(
        [sys.executable, "-m", "slowhound", name, "--dir", str(directory), *arguments],
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
    """What `ps --json` lists, without another process, which takes half a second of CPU."""
    try:
        found = workers.workers(str(directory / "boxes"), directory.stat().st_uid)
    except FileNotFoundError:
        return []  # no folder yet
    return [each._asdict() for each in workers.in_flight(found)]


def ps_of(directory: Path, path: str, **match: Any) -> dict[str, Any]:
    """The entry of `ps` for the request to `path`, once it matches; a value may be a predicate."""

    def find() -> dict[str, Any] | None:
        for each in in_flight(directory):
            matches = all(
                wanted(each[name]) if callable(wanted) else each[name] == wanted
                for name, wanted in match.items()
            )
            if each["path"] == path and matches:
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
    """The pid of a process with a recorder and one request in flight; it is killed at the end."""
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


# Seconds to wait for an answer: of a worker on a busy machine, and of one that cannot answer.
PATIENT, SOON = 15.0, 0.2


def dump(
    directory: Path, *arguments: str, patience: float = PATIENT, limit: float = PATIENT
) -> Done:
    """`slowhound dump` in this process, waiting so long for a worker and for py-spy."""
    with (
        patch.object(dumps, "DUMP_PATIENCE", patience),
        patch.object(py_spy, "READ_TIME_LIMIT", limit),
    ):
        return command.slowhound("dump", directory, *arguments)


def silent(directory: Path) -> float:
    """Seconds since the only worker's last sign of life."""
    (found,) = workers.workers(str(directory / "boxes"), os.geteuid())
    return found.silent_for


def wait_silent(directory: Path) -> None:
    """Wait until the only worker holds the GIL."""
    eventually(lambda: silent(directory) > UNRESPONSIVE_AFTER, "it holds the GIL")


READ = {"remote": "read from its memory", "py-spy": "read from its memory by py-spy"}


class Terminal:
    """A shell in a terminal of tmux."""

    def __init__(self, socket: Path) -> None:
        self.socket = socket

    def tmux(self, *arguments: str) -> str:
        argv = ["tmux", "-S", str(self.socket), "-f", "/dev/null", *arguments]
        done = subprocess.run(argv, capture_output=True, text=True, timeout=20, check=True)
        return done.stdout

    def type(self, *keys: str) -> None:
        self.tmux("send-keys", *keys)

    def run(self, *command: str) -> None:
        """Type a command line that also prints its exit code."""
        self.type("-l", shlex.join(command) + "; echo exit=$?")
        self.type("Enter")

    def screen(self) -> str:
        return self.tmux("capture-pane", "-p")

    def wait(self, *texts: str) -> str:
        """The screen, once it shows all these texts."""
        return eventually(
            lambda: shown if all(each in (shown := self.screen()) for each in texts) else "",
            f"{texts} on the screen",
            transcript=self.screen,
        )

    def state(self) -> str:
        """Whether the alternate screen is on, and whether the cursor is visible."""
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
