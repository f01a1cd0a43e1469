"""Fixtures that start real servers, and make sure that nothing of them is left running."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings

from tests.harness import gunicorns, in_process
from tests.harness.echo import echo_server
from tests.harness.launch import ROOT, Launcher, Setup
from tests.harness.postgres import Unavailable, cluster
from tests.harness.site import Site

WORKERS = ("sync", "gthread")
SERVER_TESTS = ("servers", "faults", "deploy", "compat")
HERE = Path(__file__).parent
ROOT_FIXTURES = {"tmpfs", "immutable", "foreign", "unprivileged"}

# All other variables are removed, so that neither the tests nor what they start depend on the
# shell: on DJANGO_SETTINGS_MODULE, a proxy, a time zone, unbuffered output.
KEPT = re.compile(
    r"PATH|HOME|USER|LOGNAME|SHELL|TERM|TMPDIR|CI|PYTHONPATH|VIRTUAL_ENV|LD_\w+|XDG_\w+|PIP_\w+|SSL_\w+"
    r"|PYENV_\w+|PYTEST_\w+|SLOWHOUND_SCREENSHOTS"
)
for _name in [each for each in os.environ if not KEPT.fullmatch(each)]:
    del os.environ[_name]
os.environ.update(LC_ALL="C.UTF-8", TZ="UTC")
time.tzset()
in_process.configure()
# A process in the background of a shell ignores Ctrl-C, and so would all that tests start.
signal.signal(signal.SIGINT, signal.default_int_handler)

# Properties are tested with the same examples each time, on any machine. To search for new ones:
# --hypothesis-profile=search, with any --hypothesis-seed.
settings.register_profile(
    "search", deadline=None, database=None, suppress_health_check=[HealthCheck.too_slow]
)
settings.register_profile("suite", settings.get_profile("search"), derandomize=True)
settings.load_profile("suite")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Marks tests: `server` and `slow` by their folder, `postgres` and `root` by their fixtures."""
    for item in items:
        if any(item.path.is_relative_to(HERE / folder) for folder in SERVER_TESTS):
            item.add_marker("server")
            item.add_marker("slow")
        used = set(getattr(item, "fixturenames", ()))
        if "postgres" in used:
            item.add_marker("postgres")
        if used & ROOT_FIXTURES:
            item.add_marker("root")


def prepare(setup: Setup, scratch: Path) -> None:
    """Makes the tables of `setup`'s databases."""
    argv = [sys.executable, "-m", "tests.site.prepare"]
    env = setup.environment(scratch, scratch / "record")
    subprocess.run(argv, cwd=ROOT, env=env, check=True, timeout=120)


@pytest.fixture(scope="session")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with prepared SQLite databases, copied for each server."""
    folder = tmp_path_factory.mktemp("template")
    prepare(Setup(settings=None), folder)
    return folder


@pytest.fixture(scope="session", params=gunicorns.VERSIONS)
def gunicorn(request: pytest.FixtureRequest) -> str:
    """Both versions of Gunicorn, one after the other, for Setup's `gunicorn`."""
    version: str = request.param
    gunicorns.folder_of(version)  # skips the test where it is not installed
    return version


@pytest.fixture
def serve(tmp_path: Path, template: Path) -> Iterator[Launcher]:
    """Starts a Gunicorn with the test site; Setup lists the options."""
    launcher = Launcher(tmp_path, template)
    yield launcher
    launcher.cleanup()


@pytest.fixture(scope="module")
def serve_module(tmp_path_factory: pytest.TempPathFactory, template: Path) -> Iterator[Launcher]:
    """The same for servers that all tests of a module share."""
    launcher = Launcher(tmp_path_factory.mktemp("module"), template)
    yield launcher
    launcher.cleanup()


@pytest.fixture(scope="session", params=WORKERS)
def site(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, template: Path
) -> Iterator[Site]:
    """A site with slowhound's defaults that all tests share, once for each kind of worker."""
    launcher = Launcher(tmp_path_factory.mktemp("shared"), template)
    yield launcher(worker=request.param)
    launcher.cleanup()


@pytest.fixture(scope="session")
def bare_site(tmp_path_factory: pytest.TempPathFactory, template: Path) -> Iterator[Site]:
    """The same site without slowhound, to compare with."""
    launcher = Launcher(tmp_path_factory.mktemp("bare"), template)
    yield launcher(settings=None)
    launcher.cleanup()


@pytest.fixture(scope="session")
def postgres(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Any]]:
    """Django's settings of a database in a real PostgreSQL."""
    try:
        with cluster() as database:
            prepare(
                Setup(settings=None, databases={"default": database}),
                tmp_path_factory.mktemp("postgres"),
            )
            yield database
    except Unavailable as reason:
        pytest.skip(str(reason))


@pytest.fixture(scope="session")
def echo() -> Iterator[str]:
    """The base URL of a loopback HTTP server."""
    with echo_server() as base:
        yield base
