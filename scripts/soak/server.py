"""Starts and stops Gunicorn with the site, and reads the kernel's figures of its workers."""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

HERE = Path(__file__).parent
CONF = """
worker_class = "gthread"
workers = 2
threads = 4
timeout = 120
graceful_timeout = 30
bind = "127.0.0.1:0"
control_socket_disable = True
errorlog = {log!r}
"""
WIRED = """
from slowhound.gunicorn import *
logger_class = Logger
accesslog = {lines!r}
"""
LISTENING = re.compile(r"Listening at: http://127\.0\.0\.1:(\d+)")
STARTS_WITHIN = ENDS_WITHIN = 60.0


class Sample(NamedTuple):
    """The figures of one worker at one moment."""

    pid: int
    caught: int  # a bit for each signal that it handles
    timers: str  # its POSIX timers, from /proc
    descriptors: int
    rss: int  # KiB


class Server:
    """A running server.

    Args:
        folder: where its files go; it is created.
        enabled: with slowhound.
        locals_too: with local variables in reports.
    """

    def __init__(self, folder: Path, *, enabled: bool, locals_too: bool) -> None:
        folder.mkdir()
        self.dir = folder / "slowhound"
        self.log = folder / "gunicorn.log"
        conf = folder / "gunicorn.conf.py"
        text = CONF.format(log=str(self.log))
        if enabled:
            text += WIRED.format(lines=str(folder / "lines.log"))
        conf.write_text(text)
        options = {"dir": str(self.dir), "enabled": enabled, "locals": locals_too}
        paths = [str(HERE), os.environ.get("PYTHONPATH", "")]
        # OpenBLAS ends its threads before a fork, also while another thread uses them: an
        # application that forks then hangs or crashes without slowhound's help.
        env = {
            **os.environ,
            "OPENBLAS_NUM_THREADS": "1",
            # Otherwise each thread has its own arena of the C library, and each arena grows for
            # minutes, to the most that a request takes: 100 MiB a worker, even without slowhound.
            "MALLOC_ARENA_MAX": "1",
            "SOAK": json.dumps(options),
            "PYTHONPATH": os.pathsep.join(paths),
        }
        argv = [sys.executable, "-m", "gunicorn", "-c", str(conf), "app:application"]
        with (folder / "output.log").open("w") as output:
            self.process = subprocess.Popen(
                argv, cwd=folder, env=env, stdout=output, stderr=subprocess.STDOUT
            )
        self.port = self._port()
        # The pids at the start: a worker that is replaced later has died.
        self.workers = self.children()

    def _port(self) -> int:
        end = time.monotonic() + STARTS_WITHIN
        while time.monotonic() < end and self.process.poll() is None:
            found = LISTENING.search(self.text())
            if found and len(self.children()) == 2:
                return int(found[1])
            time.sleep(0.05)
        raise RuntimeError(f"the server does not start: {self.text()}")

    def text(self) -> str:
        """Gunicorn's log."""
        return self.log.read_text() if self.log.exists() else ""

    def children(self) -> list[int]:
        """The pids of the workers, without short-lived children of theirs or the arbiter's."""
        booted = re.findall(r"Booting worker with pid: (\d+)", self.text())
        return [int(pid) for pid in booted if Path(f"/proc/{pid}").exists()]

    def sample(self) -> list[Sample]:
        """The kernel's figures of each worker."""
        found = []
        for pid in self.children():
            with contextlib.suppress(OSError, KeyError):
                found.append(_sample(pid))
        return found

    @contextlib.contextmanager
    def stopped(self, pid: int) -> Iterator[None]:
        """Keeps a worker from running, as a debugger or a freezer does."""
        with contextlib.suppress(ProcessLookupError):  # it has died: a check finds that
            os.kill(pid, signal.SIGSTOP)
        try:
            yield
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGCONT)

    def stop(self) -> bool:
        """Stops the server gracefully; False when it did not stop."""
        self.process.send_signal(signal.SIGTERM)
        try:
            self.process.wait(ENDS_WITHIN)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            return False
        return True


def _sample(pid: int) -> Sample:
    status = dict(
        line.split(":\t", 1)
        for line in Path(f"/proc/{pid}/status").read_text().splitlines()
        if ":\t" in line
    )
    return Sample(
        pid,
        int(status["SigCgt"], 16),
        Path(f"/proc/{pid}/timers").read_text().strip(),
        len(os.listdir(f"/proc/{pid}/fd")),
        int(status["VmRSS"].split()[0]),
    )
