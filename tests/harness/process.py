"""Runs a server process in a new session, with output in files, and cleans up after it."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.harness.waiting import eventually

STOP_DEADLINE = 15.0


def children_of(pid: int) -> list[int]:
    """The running children of a process, without a py-spy that reads another process for it."""
    found = []
    for task in Path(f"/proc/{pid}/task").glob("*"):
        try:
            found += [int(child) for child in (task / "children").read_text().split()]
        except OSError:
            continue
    return sorted(child for child in found if not _is_py_spy(child))


def _is_py_spy(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")[0].endswith(b"py-spy")
    except OSError:
        return False


def in_session(session: int) -> list[int]:
    """The running processes of a session, without zombies."""
    found = []
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        try:
            fields = (entry / "stat").read_text().rpartition(")")[2].split()
        except OSError:
            continue
        if int(fields[3]) == session and fields[0] not in "ZX":
            found.append(int(entry.name))
    return sorted(found)


@contextmanager
def started(argv: Sequence[str], **options: Any) -> Iterator[subprocess.Popen[Any]]:
    """A command that is killed at the end of the block, so that a failed test does not hang."""
    with subprocess.Popen(argv, **options) as process:
        try:
            yield process
        finally:
            process.kill()


class Process:
    """A started server: `stdout`, `stderr`, `stop()`, and `cleanup()`, which is always called."""

    def __init__(self, argv: Sequence[str], cwd: Path, env: Mapping[str, str]) -> None:
        self.out_path = cwd / "stdout.txt"
        self.err_path = cwd / "stderr.txt"
        with self.out_path.open("wb") as out, self.err_path.open("wb") as err:
            self._process = subprocess.Popen(
                argv,
                cwd=cwd,
                env=dict(env),
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=err,
                start_new_session=True,
            )
        self.pid = self._process.pid
        self._is_told = False  # to stop

    @property
    def stdout(self) -> str:
        return self.out_path.read_text("utf-8", "surrogateescape")

    @property
    def stderr(self) -> str:
        return self.err_path.read_text("utf-8", "surrogateescape")

    @property
    def running(self) -> bool:
        return self._process.poll() is None

    def transcript(self) -> str:
        """Both outputs, for the message of a failing test."""
        state = "running" if self.running else f"exit code {self._process.returncode}"
        return f"--- stdout ({state})\n{self.stdout[-6000:]}\n--- stderr\n{self.stderr[-6000:]}"

    def children(self) -> list[int]:
        """The pids of its children."""
        return children_of(self.pid)

    def terminate(self) -> None:
        """Sends SIGTERM, once: a second one would make some servers hurry."""
        if self.running and not self._is_told:
            self._is_told = True
            self._process.send_signal(signal.SIGTERM)

    def stop(self, deadline: float = STOP_DEADLINE) -> int:
        """Stops it and waits for its end; AssertionError if it does not end."""
        self.terminate()
        eventually(
            lambda: not self.running,
            f"process {self.pid} ends after SIGTERM",
            deadline=deadline,
            transcript=self.transcript,
        )
        return self._process.wait()

    def cleanup(self) -> None:
        """Ends everything it has started; fails if that did not end by itself."""
        try:
            self.stop()
            eventually(self._gone, f"session {self.pid} is empty", transcript=self.transcript)
        finally:
            self._kill()

    def _gone(self) -> bool:
        return not in_session(self.pid)

    def _kill(self) -> None:
        for _ in range(200):
            left = in_session(self.pid)
            for pid in left:
                try:
                    os.kill(pid, signal.SIGKILL)
                except ProcessLookupError:
                    continue
            self._process.poll()
            if not left:
                break
            time.sleep(0.02)
        self._process.wait(timeout=5)
