"""A site starts and responds whatever fails in the settings or in the start of the recorder."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from slowhound.blackbox.payloads import read_settings
from slowhound.config import default_dir
from slowhound.config.config import load, problems
from slowhound.recorder.own_box import settings_payload
from tests.harness.launch import ROOT

# Calls to the system that a start may make, each of which has failed on some machine: a current
# folder that is gone, a user without an entry, a machine without a name, threads or memory.
BROKEN = """
import builtins, errno, fcntl, json, logging, mmap, os, pwd, socket, sys, tempfile, _thread
def broken(kind=OSError, *given):
    def fails(*args, **kwargs):
        raise kind(*(given or (errno.EROFS, "broken here")))
    return fails
def break_all():
    os.getcwd = os.getcwdb = os.mkdir = os.makedirs = os.listdir = os.scandir = broken()
    os.statvfs = os.getlogin = os.sysconf = os.cpu_count = broken()
    socket.gethostname = socket.getfqdn = broken()
    tempfile.gettempdir = broken(FileNotFoundError)
    os.path.expanduser = lambda path: path
    pwd.getpwuid = pwd.getpwnam = broken(KeyError, "no such user")
    fcntl.flock = broken()
    mmap.mmap = type("mmap", (mmap.mmap,), {"__new__": broken()})
    _thread.start_new_thread = broken(RuntimeError, "can't start new thread")
    opened = os.open
    def read_only(path, flags, *rest, **more):
        if flags & (os.O_WRONLY | os.O_RDWR | os.O_CREAT):
            raise OSError(errno.EROFS, "broken here")
        return opened(path, flags, *rest, **more)
    os.open = read_only
    os.environ.pop("HOME", None)
    os.environ["RUNTIME_DIRECTORY"] = "/nowhere"
"""
SITE = """
from django.http import HttpResponse
from django.urls import path
urlpatterns = [path("ok/", lambda request: HttpResponse("ok"))]
from django.conf import settings
class Hostile:
    def __fspath__(self): raise RuntimeError("no path")
    def __repr__(self): raise RuntimeError("no text")
    def __bool__(self): raise RuntimeError("no truth")
    def __eq__(self, other): raise RuntimeError("not comparable")
    __hash__ = None
class HostilePath(os.PathLike):
    def __fspath__(self): raise RuntimeError("no path")
shape, given = sys.argv[1], eval(sys.argv[2])
class Logged(logging.Handler):
    lines = []
    def emit(self, record): self.lines.append(record.getMessage())
logging.getLogger("slowhound").addHandler(Logged())
middleware = ["slowhound.middleware.SlowhoundMiddleware"] if shape != "hooks" else []
settings.configure(
    SECRET_KEY="x", ROOT_URLCONF="__main__", ALLOWED_HOSTS=["*"], LOGGING_CONFIG=None,
    INSTALLED_APPS=["slowhound"] if shape == "app" else [], MIDDLEWARE=middleware, SLOWHOUND=given)
import django; django.setup()
if shape == "app":
    from django.core.checks import run_checks
    run_checks(tags=["slowhound"])
if shape == "hooks":
    from slowhound.gunicorn import hooks
    class Worker:
        sockets = []; log = None; cfg = None
    worker = Worker()
    hooks.pre_fork(None, worker); hooks.post_worker_init(worker)
from django.test import Client
statuses = [Client().get("/ok/").status_code for _ in range(3)]
print(json.dumps([statuses, Logged.lines]))
sys.stdout.flush(); os._exit(0)
"""


def boot(shape: str, given: str, before: str = "") -> tuple[list[int], list[str]]:
    """The statuses of three requests, and the lines of slowhound's log."""
    environment = {k: v for k, v in os.environ.items() if k != "SLOWHOUND_LOUD"}
    done = subprocess.run(
        [sys.executable, "-c", BROKEN + before + SITE, shape, given],
        env=environment,
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    statuses, logged = json.loads(done.stdout.splitlines()[-1])
    return statuses, logged


@pytest.mark.parametrize("shape", ["middleware", "app", "hooks"])
@pytest.mark.parametrize("enabled", [True, False])
def test_site_starts_where_every_call_to_the_system_fails(shape: str, enabled: bool) -> None:
    """The site starts and responds; only files are missing, which is logged once."""
    statuses, logged = boot(shape, f"{{'ENABLED': {enabled}}}", "break_all()\n")
    assert statuses == [200] * 3
    # Gunicorn's arbiter does not know the settings, and so not ENABLED.
    assert bool(logged) == (enabled or shape == "hooks")
    assert len(logged) == len(set(logged))


@pytest.mark.parametrize(
    "given",
    [
        "{'DIR': b'/tmp/x'}",
        "{'DIR': 'a\\0b'}",
        "{'DIR': 5}",
        "{'DIR': Hostile()}",
        "{'DIR': HostilePath()}",
        "{'DIR': '/proc/nowhere', 'SLOW_AFTER': 10**400}",
        "{'SLOW_AFTER': 10**400}",
        "{'FLAMES': Hostile(), 'SINKS': Hostile(), 'TASKS': [Hostile()]}",
        "{'SINKS': ['no.such.Sink'], 'DIR': '/proc/nowhere'}",
        "Hostile()",
        "{5: 5}",
    ],
)
@pytest.mark.parametrize("shape", ["middleware", "app", "hooks"])
def test_site_starts_with_settings_of_any_type(shape: str, given: str) -> None:
    """A setting of the wrong type costs that setting only."""
    statuses, _ = boot(shape, given, "import tempfile; os.environ['TMPDIR'] = tempfile.mkdtemp()\n")
    assert statuses == [200] * 3


def test_one_broken_setting_leaves_the_others() -> None:
    """A number that is too large for a float is ignored, and the other settings apply."""
    config = load({"SLOW_AFTER": 10**400, "SAMPLE_HZ": 7, "ENABLED": False})
    assert (config.slow_after, config.sample_hz, config.enabled) == (25.0, 7.0, False)


def test_black_box_holds_settings_of_any_size_and_text() -> None:
    """Settings that JSON cannot hold are made to fit: such a process had no box."""
    given = {"DIR": "/tmp/\udcff", "SERVICE": "\udcff", "REPORTS_MAX_BYTES": 10**30}
    settings = read_settings(settings_payload(load(given), "test"))
    assert (settings.server, settings.service) == ("test", "\\udcff")


def test_hostile_values_are_problems_and_no_exceptions() -> None:
    """For a hostile value the system check names the key."""

    class Hostile:
        def __repr__(self) -> str:
            raise RuntimeError

    assert [each.key for each in problems({"SLOW_AFTER": Hostile(), "DIR": "a\0b"})] == [
        "SLOW_AFTER",
        "DIR",
    ]


def test_site_without_a_temporary_folder_names_one_all_the_same(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Without a temporary folder a name is still found, and the application's is not set."""
    monkeypatch.setattr(default_dir, "_can_write", lambda _: False)
    monkeypatch.setattr("tempfile.tempdir", None)
    monkeypatch.chdir(tmp_path)
    assert load({}).dir.startswith("/tmp/slowhound-")
    assert os.listdir(tmp_path) == []
    import tempfile

    assert tempfile.tempdir is None
