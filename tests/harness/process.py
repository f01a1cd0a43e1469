"""A server process in a session of its own, with output in files, that leaves nothing."""

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
    """The live children of a process, but for a py-spy that it has sent to read another one."""
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
    """The processes of a session that are alive, zombies left out."""
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
    """A command that is killed in the end: after a failure it would be waited for for good."""
    with subprocess.Popen(argv, **options) as process:
        try:
            yield process
        finally:
            process.kill()


class Process:
    """One started server: `stdout`, `stderr`, `stop()`, and `cleanup()` that is always called."""

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
        self._asked = False

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
        """Both outputs, for a failing test."""
        state = "running" if self.running else f"exit code {self._process.returncode}"
        return f"--- stdout ({state})\n{self.stdout[-6000:]}\n--- stderr\n{self.stderr[-6000:]}"

    def children(self) -> list[int]:
        """The pids of the processes it started."""
        return children_of(self.pid)

    def terminate(self) -> None:
        """Ask it to end, once: a second signal would make some servers hurry."""
        if self.running and not self._asked:
            self._asked = True
            self._process.send_signal(signal.SIGTERM)

    def stop(self, deadline: float = STOP_DEADLINE) -> int:
        """Ask it to end and wait for it; an AssertionError when it does not."""
        self.terminate()
        eventually(
            lambda: not self.running,
            f"process {self.pid} ends after SIGTERM",
            deadline=deadline,
            transcript=self.transcript,
        )
        return self._process.wait()

    def cleanup(self) -> None:
        """End everything it started; fail when it did not end by itself."""
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
