"""Starts the test site under uWSGI, which pip has built for this very Python."""

from __future__ import annotations

import json
import os
import re
import socket
import subprocess
import sys
import sysconfig
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from tests.harness import gunicorns
from tests.harness.client import Address
from tests.harness.launch import Launcher, Setup
from tests.harness.process import Process
from tests.harness.site import Site
from tests.harness.waiting import DEADLINE

# With --die-on-term a master ends its workers on SIGTERM, as every other server does.
COMMON = ("--master", "--die-on-term", "--enable-threads", "--http-socket", "127.0.0.1:0")


def installed() -> Path:
    """The path of a uwsgi that runs."""
    program = gunicorns.apart("uwsgi") / "bin" / "uwsgi"
    tried = subprocess.run(
        [program, "--version"], env=environment(), capture_output=True, text=True, check=False
    )
    if tried.returncode:
        pytest.skip(f"uWSGI does not run here: {tried.stderr.strip()[-200:]}")
    return program


def environment() -> dict[str, str]:
    """The environment with the path of its Python's library, if that is not the system's."""
    library = sysconfig.get_config_var("LIBDIR") or ""
    paths = [library, os.environ.get("LD_LIBRARY_PATH", "")]
    return {**os.environ, "LD_LIBRARY_PATH": os.pathsep.join(filter(None, paths))}


def serve(launcher: Launcher, program: Path, options: Sequence[str], **wishes: Any) -> Site:
    """The site under uWSGI, with the middleware only; `wishes` are the fields of Setup."""
    setup = Setup(**wishes)
    home, folder = launcher._home(setup)
    env = {
        **setup.environment(home, folder),
        "LD_LIBRARY_PATH": environment()["LD_LIBRARY_PATH"],
        # Without these it does not find the virtual environment.
        "PYTHONPATH": os.pathsep.join(
            [setup.environment(home, folder)["PYTHONPATH"], *filter(None, sys.path)]
        ),
    }
    module, _, name = setup.app.partition(":")
    # Its own messages go to standard error, which is merged into standard output.
    shell = ["sh", "-c", 'exec "$0" "$@" 2>&1']
    argv = [*shell, str(program), *COMMON, *options, "--module", module, "--callable", name]
    process = Process(argv, home, env)
    return launcher._site(process, home, folder, listening(process))


def listening(process: Process) -> Callable[[], Address | None]:
    """Where it listens, once every worker has started."""

    def address() -> Address | None:
        text = process.stdout
        assert process.running, f"uWSGI ended\n{process.transcript()}"
        found = re.search(r"bound to TCP address 127\.0\.0\.1:(\d+) \(port auto-assigned\)", text)
        ready = "spawned uWSGI worker" in text or "WSGI app 0" in text
        return Address("127.0.0.1", int(found[1])) if found and ready else None

    return address


def statuses(stats: Path) -> list[str]:
    """What each worker does ("idle", "busy"), from the socket that ``--stats`` names."""
    with socket.socket(socket.AF_UNIX) as wire:
        wire.settimeout(DEADLINE)
        wire.connect(str(stats))
        answer = b"".join(iter(lambda: wire.recv(65536), b""))
    return [worker["status"] for worker in json.loads(answer)["workers"]]
