"""Starts a PostgreSQL cluster for the tests, in a temporary folder, with a Unix socket."""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.harness.process import in_session
from tests.harness.waiting import eventually

USER = "slowhound"
# Durability is not what is tested here.
FAST = ("fsync=off", "synchronous_commit=off", "full_page_writes=off", "listen_addresses=")


class Unavailable(Exception):
    """PostgreSQL cannot be started here; the text is the reason."""


def binaries() -> Path:
    """The folder of initdb and postgres."""
    candidates: list[Path] = []
    if tool := shutil.which("pg_config"):
        found = subprocess.run([tool, "--bindir"], capture_output=True, text=True, check=False)
        candidates.append(Path(found.stdout.strip()))
    candidates += sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)
    candidates += [Path(folder) for folder in os.get_exec_path()]
    for folder in candidates:
        if all(os.access(folder / name, os.X_OK) for name in ("initdb", "postgres")):
            return folder
    raise Unavailable("no initdb and postgres by pg_config, in /usr/lib/postgresql or on PATH")


def as_other_user(folder: Path) -> list[str]:
    """The command by which root, whom PostgreSQL refuses, runs it as the new owner of `folder`."""
    if os.getuid() != 0:
        return []
    tool = shutil.which("setpriv")
    if not tool:
        raise Unavailable("root needs setpriv to run PostgreSQL as another user")
    for name in ("postgres", "nobody"):
        try:
            user = pwd.getpwnam(name)
        except KeyError:
            continue
        os.chown(folder, user.pw_uid, user.pw_gid)
        return [tool, f"--reuid={user.pw_uid}", f"--regid={user.pw_gid}", "--clear-groups", "--"]
    raise Unavailable("root needs a user postgres or nobody to run PostgreSQL")


def init(prefix: list[str], tools: Path, data: Path) -> None:
    """Makes the cluster."""
    argv = [
        *prefix,
        str(tools / "initdb"),
        "-D",
        str(data),
        "-U",
        USER,
        "--auth=trust",
        "-E",
        "UTF8",
        "--no-sync",
    ]
    made = subprocess.run(argv, cwd="/", capture_output=True, text=True, check=False)
    if made.returncode:
        raise Unavailable(f"initdb failed: {made.stderr.strip()}")


def ready(folder: Path, process: subprocess.Popen[bytes]) -> bool:
    """Whether it accepts connections."""
    import psycopg

    if process.poll() is not None:
        raise Unavailable(f"postgres ended: {(folder / 'log').read_text()}")
    try:
        with psycopg.connect(host=str(folder), user=USER, dbname="postgres", connect_timeout=5):
            return True
    except psycopg.OperationalError:
        return False


@contextmanager
def cluster() -> Iterator[dict[str, Any]]:
    """Django's settings of a database in a cluster that runs for the length of the block."""
    folder = Path(tempfile.mkdtemp(prefix="sh-pg-"))
    try:
        tools = binaries()
        prefix = as_other_user(folder)
        init(prefix, tools, folder / "data")
        argv = [*prefix, str(tools / "postgres"), "-D", str(folder / "data"), "-k", str(folder)]
        for option in FAST:
            argv += ["-c", option]
        with (folder / "log").open("wb") as log:
            process = subprocess.Popen(
                argv, cwd="/", stdout=log, stderr=log, start_new_session=True
            )
        try:
            eventually(lambda: ready(folder, process), "PostgreSQL answers", deadline=30)
            yield {
                "ENGINE": "django.db.backends.postgresql",
                "NAME": "postgres",
                "USER": USER,
                "HOST": str(folder),
            }
        finally:
            # A fast shutdown; SIGTERM would wait for the clients.
            process.send_signal(signal.SIGINT)
            try:
                process.wait(timeout=10)
            except subprocess.TimeoutExpired:
                process.kill()
            eventually(lambda: not in_session(process.pid), "PostgreSQL is gone")
    finally:
        shutil.rmtree(folder, ignore_errors=True)
