"""The middleware alone under runserver and the test client, and processes that start nothing."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.harness.accounts import check_once
from tests.harness.client import Address
from tests.harness.launch import Launcher, Setup
from tests.harness.process import Process
from tests.harness.site import Site
from tests.harness.waiting import eventually


@pytest.fixture
def setup(tmp_path: Path, template: Path) -> tuple[Setup, Path]:
    """Settings with the middleware and databases, for processes that are not servers."""
    for name in ("default", "other"):
        (tmp_path / f"{name}.sqlite3").write_bytes((template / f"{name}.sqlite3").read_bytes())
    return Setup(), tmp_path


def run(setup: tuple[Setup, Path], code: str, **env: str) -> str:
    """The output of a Python process with the site's settings."""
    wanted, scratch = setup
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=scratch,
        env={**wanted.environment(scratch, scratch / "record"), **env},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize("reload", [True, False], ids=["reloader", "noreload"])
def test_runserver(serve: Launcher, setup: tuple[Setup, Path], reload: bool) -> None:
    """Under runserver each request has its line and event, and a slow one its report."""
    _, scratch = setup
    wanted = Setup(settings={"SLOW_AFTER": 0.3}, django={"DEBUG": True})
    folder = scratch / "record"
    code = "import sys; from django.core.management import execute_from_command_line as run; run()"
    manage = scratch / "manage.py"
    manage.write_text(code)
    options = [] if reload else ["--noreload"]
    argv = [sys.executable, "-u", str(manage), "runserver", "127.0.0.1:0", *options]
    process = Process(argv, scratch, wanted.environment(scratch, folder))
    site = Site(process, folder, Address("127.0.0.1"), scratch)
    try:
        port = eventually(
            lambda: listening_port(process.pid), "it listens", transcript=process.transcript
        )
        site.address = Address("127.0.0.1", port)
        answers = {path: site.get(path) for path in ("/ok/", "/n1/", "/raise/")}
        check_once(site, [answer.agent for answer in answers.values()])
        assert site.terminal(answers["/n1/"].agent)["db_queries"] == 7
        slow = site.start("/gate/slow/")
        report = site.wait_report(", in gated")
        site.gate("slow").open()
        assert Path(site.terminal(slow.result().agent)["report"]).name == report.path.name
    finally:
        site.cleanup()


def listening_port(pid: int) -> int | None:
    """The TCP port on which a process or one of its children listens."""
    pids = [pid, *Site.children_of(pid)]
    sockets = set()
    for each in pids:
        for descriptor in Path(f"/proc/{each}/fd").glob("*"):
            try:
                found = re.fullmatch(r"socket:\[(\d+)\]", str(descriptor.readlink()))
            except OSError:
                continue
            if found:
                sockets.add(found[1])
    for row in Path("/proc/net/tcp").read_text().splitlines()[1:]:
        fields = row.split()
        if fields[3] == "0A" and fields[9] in sockets:
            return int(fields[1].rpartition(":")[2], 16)
    return None


CLIENT = """
import django
django.setup()
from django.test import Client
from slowhound.testing import capture_events
client = Client(raise_request_exception=False)
with capture_events() as events:
    for path in ("/ok/", "/n1/", "/raise/", "/stream/3/10/"):
        response = client.get(path)
        b"".join(response) if response.streaming else response.content
        response.close()
for event in events:
    print(event["event_type"], event["resp_view"], event.get("db_queries", 0), event["resp_status"])
"""


def test_test_client(setup: tuple[Setup, Path]) -> None:
    """Django's test client, with the middleware alone, has one event for each request."""
    assert run(setup, CLIENT).splitlines() == [
        "request ok 0 200",
        "request n1 7 200",
        "request raise 0 500",
        "request stream 0 200",
    ]


QUIET = """
import threading
{code}
import slowhound.recorder.process
names = [thread.name for thread in threading.enumerate()]
print(slowhound.recorder.process.get(), names)
"""
STARTS = {
    "a management command": """
import django
django.setup()
from django.core.management import call_command
call_command("check")
call_command("migrate", verbosity=0)
from tests.site.models import Item
Item.objects.count()
""",
    "settings, as Celery imports them": """
from django.conf import settings
settings.MIDDLEWARE
import django
django.setup()
""",
    "the application, not served": """
import tests.site.wsgi
""",
    "slowhound itself": """
import slowhound, slowhound.gunicorn
""",
}


@pytest.mark.parametrize("name", list(STARTS))
def test_nothing_starts(setup: tuple[Setup, Path], name: str) -> None:
    """A process that serves no request has no thread, no box, and no file."""
    printed = run(setup, QUIET.format(code=STARTS[name]))
    assert printed.splitlines()[-1] == "None ['MainThread']"
    assert not (setup[1] / "record").exists()


def test_dogslows_middleware_starts_nothing_either(setup: tuple[Setup, Path]) -> None:
    """Settings with the drop-in middleware start nothing, either."""
    code = QUIET.format(code="import tests.site.wsgi")
    middleware = ["slowhound.compat.dogslow.WatchdogMiddleware"]
    wanted = Setup(settings=None, django={"MIDDLEWARE": middleware})
    assert run((wanted, setup[1]), code).splitlines()[-1] == "None ['MainThread']"


def test_failure_in_a_command_is_handled(setup: tuple[Setup, Path]) -> None:
    """Outside a request on_error returns its value, and starts nothing."""
    code = """
import django
django.setup()
from slowhound import Context, on_error
@on_error(return_value="fallback")
def fails():
    raise ValueError("no request here")
Context.set("kept", "nowhere")
with Context.time("nowhere"):
    print(fails())
"""
    assert run(setup, code).splitlines()[0] == "fallback"
    assert list((setup[1]).glob("record/boxes/*")) == []
