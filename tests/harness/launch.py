"""Starts the test site under Gunicorn, and under the standard library's WSGI server."""

from __future__ import annotations

import json
import os
import re
import shutil
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import Any

from tests.harness.client import Address
from tests.harness.gunicorns import VERSIONS, folder_of, script_of
from tests.harness.process import Process
from tests.harness.site import Site
from tests.harness.waiting import eventually

ROOT = Path(__file__).parents[2]

CONF = """\
from slowhound.gunicorn import *
logger_class = Logger
accesslog = "-"
"""
# A stopping worker whose views still wait is killed soon; the arbiter's own socket is not needed.
COMMON = """\
worker_class = {worker!r}
workers = {workers}
bind = {bind!r}
graceful_timeout = 3
control_socket_disable = True
"""

# The first of the sockets: IPv6, IPv4 or unix.
LISTENING = r"Listening at: (?:http://(?:\[([\d:a-f]+)\]|([\d.]+)):(\d+)|unix:([^\s,]+))[ ,]"


@dataclass
class Setup:
    """The options of a server for a test.

    `settings` is the site's SLOWHOUND, None for a site without slowhound; `wired` is whether
    Gunicorn's configuration has slowhound's lines, `middleware` whether MIDDLEWARE has its entry.
    `warm`: views are imported and the database is open before the first request (with a short
    SLOW_AFTER the views are imported in any case). `gunicorn` is its version; a variable of `env`
    that is None is not set; `wrapper` is a command that runs the server.
    """

    gunicorn: str = VERSIONS[0]

    worker: str = "sync"
    workers: int = 1
    threads: int = 4
    settings: Mapping[str, Any] | None = field(default_factory=dict)
    django: Mapping[str, Any] = field(default_factory=dict)
    conf: str = ""
    env: Mapping[str, str | None] = field(default_factory=dict)
    wrapper: Sequence[str] = ()
    python_path: Sequence[str] = ()
    as_script: bool = False
    bind: str = "tcp"
    gunicorn_args: Sequence[str] = ()
    wired: bool = True
    middleware: bool = True
    extra_middleware: Sequence[str] = ()
    databases: Mapping[str, Any] | None = None
    warm: bool = False
    instrumenters: bool = False
    app: str = "tests.site.wsgi:application"

    def options(self, scratch: Path, folder: Path) -> str:
        """The JSON that the site's settings module reads from the environment."""
        settings = None if self.settings is None else {"DIR": str(folder), **self.settings}
        return json.dumps(
            {
                "scratch": str(scratch),
                "slowhound": settings,
                "django": dict(self.django),
                "middleware": self.middleware,
                "extra_middleware": list(self.extra_middleware),
                "databases": self.databases,
                "warm": self.warm,
                "instrumenters": self.instrumenters,
            }
        )

    def environment(self, scratch: Path, folder: Path) -> dict[str, str]:
        kept = {
            name: value
            for name, value in os.environ.items()
            if not name.startswith(("GUNICORN", "SLOWHOUND"))
        }
        extra = os.environ.get("PYTHONPATH")
        paths = (folder_of(self.gunicorn), *self.python_path, str(ROOT), extra)
        found = {
            **kept,
            "DJANGO_SETTINGS_MODULE": "tests.site.settings",
            "PYTHONPATH": os.pathsep.join(path for path in paths if path),
            "SLOWHOUND_TEST": self.options(scratch, folder),
            **self.env,
        }
        return {name: value for name, value in found.items() if value is not None}

    def command(self, conf: Path) -> list[str]:
        """The command that starts Gunicorn with this configuration."""
        script = [os.path.join(script_of(self.gunicorn), "gunicorn")]
        gunicorn = script if self.as_script else ["-m", "gunicorn"]
        options = ["-c", str(conf), *self.gunicorn_args, self.app]
        return [*self.wrapper, sys.executable, *gunicorn, *options]

    def gunicorn_conf(self, bind: str) -> str:
        head = "" if self.settings is None or not self.wired else CONF
        common = COMMON.format(worker=self.worker, workers=self.workers, bind=bind)
        threads = f"threads = {self.threads}\n" if self.worker == "gthread" else ""
        return f"{head}{common}{threads}{self.conf}\n"


class Launcher:
    """Starts servers in a folder and ends them all; one per fixture scope."""

    def __init__(self, folder: Path, template: Path) -> None:
        self.folder = folder
        self.template = template
        self.sites: list[Site] = []
        self.home_mode = 0o755
        self.short = Path(tempfile.mkdtemp(prefix="sh-"))  # a unix socket's path holds 107 bytes

    def __call__(self, **options: Any) -> Site:
        """A Gunicorn with the site, ready for requests; `options` are the fields of Setup."""
        setup = Setup(**options)
        home, folder = self._home(setup)
        bind = {
            "tcp": "127.0.0.1:0",
            "tcp6": "[::1]:0",
            "unix": f"unix:{self.short}/{home.name}.sock",
        }.get(setup.bind, setup.bind)
        conf = home / "gunicorn.conf.py"
        conf.write_text(setup.gunicorn_conf(bind))
        process = Process(setup.command(conf), home, setup.environment(home, folder))
        if setup.bind == bind:
            return self._site(process, home, folder, lambda: answering(bind))
        return self._site(process, home, folder, lambda: gunicorn_address(process, setup.workers))

    def wsgiref(self, **options: Any) -> Site:
        """The same site under wsgiref, with the middleware only."""
        setup = Setup(**options)
        home, folder = self._home(setup)
        argv = [sys.executable, "-m", "tests.site.run_wsgiref"]
        process = Process(argv, home, setup.environment(home, folder))
        return self._site(process, home, folder, lambda: wsgiref_address(process))

    def cleanup(self) -> None:
        """Stops every server; the first failure is raised after all have been stopped."""
        failures: list[BaseException] = []
        for site in self.sites:
            site.begin_to_end()  # all at once
        for site in self.sites:
            try:
                site.cleanup()
            except AssertionError as failure:
                failures.append(failure)
        shutil.rmtree(self.short, ignore_errors=True)
        if failures:
            raise failures[0]

    def _home(self, setup: Setup) -> tuple[Path, Path]:
        home = self.folder / f"site{len(self.sites)}"
        home.mkdir()
        home.chmod(self.home_mode)
        for name in ("default", "other"):
            shutil.copyfile(self.template / f"{name}.sqlite3", home / f"{name}.sqlite3")
        folder = Path((setup.settings or {}).get("DIR") or home / "record")
        return home, folder

    def _site(self, process: Process, home: Path, folder: Path, ready: Any) -> Site:
        site = Site(process, folder, Address("127.0.0.1"), home)
        self.sites.append(site)
        site.address = eventually(
            ready, "the server listens", deadline=30, transcript=process.transcript
        )
        return site


def major_of(gunicorn: str) -> int:
    """The major version of Gunicorn; the environment's own may be any."""
    return 23 if gunicorn == "23" else int(version("gunicorn").partition(".")[0])


def answering(bind: str) -> Address | None:
    """The given address, once a server accepts connections there."""
    host, _, port = bind.rpartition(":")
    address = Address(host, int(port))
    try:
        address.connect().close()
    except ConnectionRefusedError:
        return None
    return address


def gunicorn_address(process: Process, workers: int) -> Address | None:
    """Where the arbiter listens, once every worker has started; AssertionError if it has ended."""
    text = process.stderr
    assert process.running, f"Gunicorn ended\n{process.transcript()}"
    if text.count("Booting worker with pid") < workers:
        return None
    found = re.search(LISTENING, text)
    if not found:
        return None
    if found[4]:
        return Address("localhost", path=found[4])
    return Address(found[1] or found[2], int(found[3]))


def wsgiref_address(process: Process) -> Address | None:
    """Where the wsgiref server listens."""
    assert process.running, f"wsgiref ended\n{process.transcript()}"
    found = re.search(r"^listening on (\d+)$", process.stderr, re.MULTILINE)
    return Address("127.0.0.1", int(found[1])) if found else None
