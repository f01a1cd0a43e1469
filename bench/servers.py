"""Starts Gunicorn servers to measure, and reads the CPU time of their workers."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from typing import NamedTuple, Self

TICKS = os.sysconf("SC_CLK_TCK")
ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))


class Variant(NamedTuple):
    """What is added to the application: lines of ``gunicorn.conf.py``, and Django middleware."""

    name: str
    conf: str = ""
    middleware: str = ""


BARE = Variant("bare")
ACCESS_LOG = Variant("access log", "accesslog = LOG")
SLOWHOUND = Variant(
    "slowhound", "from slowhound.gunicorn import *\nlogger_class = Logger\naccesslog = LOG"
)
OLDER = Variant(
    "the two older tools",
    "from gunicorn_django_canonical_logs.glogging import Logger\n"
    "from gunicorn_django_canonical_logs.gunicorn_hooks import *\n"
    "logger_class = Logger\naccesslog = LOG",
    "dogslow.WatchdogMiddleware",
)


class Server:
    """Gunicorn with one worker, for the length of a ``with`` block."""

    def __init__(self, variant: Variant, *options: str) -> None:
        self.variant = variant
        self.folder = tempfile.TemporaryDirectory(prefix="slowhound-bench-")
        self.port = _free_port()
        self.url = f"http://127.0.0.1:{self.port}/"
        conf = os.path.join(self.folder.name, "gunicorn.conf.py")
        with open(conf, "w", encoding="utf-8") as file:
            # Without its control socket, which would be in the user's home folder.
            file.write("control_socket_disable = True\n")
            file.write(f"LOG = {os.path.join(self.folder.name, 'access.log')!r}\n{variant.conf}\n")
        environ = {
            **os.environ,
            "DJANGO_SETTINGS_MODULE": "bench.settings",
            "BENCH_DIR": os.path.join(self.folder.name, "slowhound"),
            "BENCH_DATABASE": os.path.join(self.folder.name, "db.sqlite3"),
            "BENCH_MIDDLEWARE": variant.middleware,
        }
        self.errors = os.path.join(self.folder.name, "error.log")
        fill = "from bench import site; site.fill()"
        subprocess.run([sys.executable, "-c", fill], cwd=ROOT, env=environ, check=True)
        command = [sys.executable, "-m", "gunicorn", "-c", conf, "-b", f"127.0.0.1:{self.port}"]
        command += ["--workers", "1", "--error-logfile", self.errors, *options]
        self.arbiter = subprocess.Popen([*command, "bench.wsgi"], cwd=ROOT, env=environ)

    def __enter__(self) -> Self:
        try:
            self._wait()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.arbiter.terminate()
        self.arbiter.wait(15)
        self.folder.cleanup()

    def _wait(self) -> None:
        deadline = time.monotonic() + 20
        while True:
            try:
                self.get("plain/")
                return
            except OSError:
                if self.arbiter.poll() is not None or time.monotonic() > deadline:
                    with open(self.errors, encoding="utf-8") as errors:
                        raise RuntimeError(f"Gunicorn did not start:\n{errors.read()}") from None
                time.sleep(0.1)

    def get(self, path: str) -> bytes:
        """The body of a response."""
        with urllib.request.urlopen(self.url + path, timeout=5) as response:
            body: bytes = response.read()
        return body

    def workers(self) -> list[int]:
        """Process ids of the workers."""
        path = f"/proc/{self.arbiter.pid}/task/{self.arbiter.pid}/children"
        with open(path, encoding="ascii") as children:
            return [int(pid) for pid in children.read().split()]

    def cpu(self) -> float:
        """Seconds of CPU that the workers have used: utime and stime of ``/proc/PID/stat``."""
        return sum(_cpu(pid) for pid in self.workers())


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
    return port


def _cpu(pid: int) -> float:
    with open(f"/proc/{pid}/stat", encoding="utf-8") as stat:
        # The name of the program, in parentheses, may hold spaces.
        fields = stat.read().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICKS
