"""An application written for gunicorn-django-canonical-logs runs after a change of its imports.

`canonical_app/` is written for that package. The tests replace the package's name in the import
lines, and nothing else.
"""

from __future__ import annotations

import os
import re
import shutil
import signal
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.harness import gunicorns
from tests.harness.client import Address
from tests.harness.launch import ROOT, gunicorn_address
from tests.harness.process import Process
from tests.harness.recorded import Line
from tests.harness.site import Site
from tests.harness.timeouts import in_flight, make_overdue
from tests.harness.waiting import eventually

APP = Path(__file__).parent / "canonical_app"
ORIGINAL = "gunicorn_django_canonical_logs"
OURS = "slowhound.compat.canonical_logs"
SECONDS = r"\d+\.\d{3}"
NUMBER = r"\d+"
NAMESPACES = ["event", "req", "exc", "resp", "db", "g"]
AGENT = "the README's curl"

# The fields in its README for each kind of request, in the order of their namespaces.
EXPECTED: dict[str, dict[str, str]] = {
    "/ok/": {"resp_view": r"app\.ok", "resp_status": "200"},
    "/db_queries/": {
        "resp_view": r"app\.db_queries",
        "resp_status": "200",
        "db_queries": "3",
        "db_time": SECONDS,
        "db_dup_queries": "2",
        "db_dup_time": SECONDS,
    },
    "/does-not-exist/": {"resp_view": "-", "resp_status": "404"},
    "/view_exception/": {
        "exc_type": "MyError",
        "exc_msg": "Oh noes!",
        "exc_loc": r"app\.py:\d+:view_exception",
        "exc_cause_loc": r"app\.py:\d+:func_that_throws",
        "resp_view": r"app\.view_exception",
        "resp_status": "500",
    },
    "/template_exception/": {
        "exc_type": "MyError",
        "exc_msg": "in a template",
        "exc_template": r"throws\.html:\d",
        "resp_status": "500",
    },
    "/custom/": {
        "app_custom": "my_value",
        "app_number": "7",
        "app_yes": "true",
        "app_nothing": "-",
        "app_work_time": r"(?!0\.0)\d+\.\d{3}",
        "resp_status": "200",
    },
    "/partial_failure/": {"resp_view": r"app\.partial_failure", "resp_status": "200"},
}
IN_EACH = {
    "event_type": "request",
    "req_id": r"[0-9a-f-]{36}",
    "req_method": "GET",
    "req_user_agent": AGENT,
    "resp_time": SECONDS,
    "resp_cpu_time": SECONDS,
    "g_w_count": NUMBER,
    "g_w_active": NUMBER,
    "g_backlog": NUMBER,
    "app_instrumented": "True Request",
    "own_method": "GET",
}


class Run(NamedTuple):
    """A server with that application, after one request of each kind."""

    site: Site
    lines: dict[str, Line]


Start = Callable[..., Site]


@pytest.fixture(scope="module")
def start(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Start]:
    """Starts the application with this package's name in its imports."""
    sites: list[Site] = []

    def begin(package: str, *args: str, path: str = "", **env: str) -> Site:
        folder = tmp_path_factory.mktemp("canonical") / "app"
        shutil.copytree(APP, folder)
        for file in folder.glob("*.py"):
            imports = re.compile(rf"^(from|import) {ORIGINAL}\b", re.MULTILINE)
            file.write_text(imports.sub(rf"\1 {package}", file.read_text()))
        kept = {k: v for k, v in os.environ.items() if not k.startswith(("GUNICORN", "SLOWHOUND"))}
        paths = [path, str(folder), str(ROOT), os.environ.get("PYTHONPATH", "")]
        environment = {
            **kept,
            "PYTHONPATH": os.pathsep.join(each for each in paths if each),
            "DJANGO_SETTINGS_MODULE": "settings",
            "RECORD": str(folder / "record"),
            # The original's line of a partial failure would come when the worker ends.
            **({"PYTHONUNBUFFERED": "1"} if package == ORIGINAL else {}),
            **env,
        }
        argv = [sys.executable, "-m", "gunicorn", "-c", "config.py", "-b", "127.0.0.1:0"]
        argv += ["--graceful-timeout", "3", *args, "wsgi:application"]
        process = Process(argv, folder, environment)
        site = Site(process, folder / "record", Address("127.0.0.1"), folder)
        sites.append(site)
        site.address = eventually(
            lambda: gunicorn_address(process, 1),
            "it listens",
            deadline=30,
            transcript=process.transcript,
        )
        return site

    yield begin
    for site in sites:
        site.cleanup()


def line_of(site: Site, path: str, kind: str = "request") -> Line:
    """The line of the request to this path."""
    return site.wait_line(event_type=kind, req_path=path)


def visit(site: Site) -> Run:
    """Makes one request of each kind."""
    for path in EXPECTED:
        site.get(path, {"User-Agent": AGENT, "Referer": "http://shop.example/"})
    return Run(site, {path: line_of(site, path) for path in EXPECTED})


@pytest.fixture(scope="module")
def moved(start: Start) -> Run:
    """The application with slowhound."""
    return visit(start(OURS))


@pytest.fixture(scope="module")
def before(start: Start) -> Run:
    """The application with the package that it was written for."""
    return visit(start(ORIGINAL, path=str(gunicorns.apart("canonical-logs"))))


def order(line: Line) -> list[str]:
    """The package's own namespaces, in the order in which they begin."""
    return [
        name for name in dict.fromkeys(key.partition("_")[0] for key in line) if name in NAMESPACES
    ]


@pytest.mark.parametrize("path", list(EXPECTED))
def test_line_has_the_fields_of_the_readme(moved: Run, path: str) -> None:
    """Each kind of request has the fields of the README, in their format and order."""
    line = moved.lines[path]
    expected = {**IN_EACH, **EXPECTED[path], "req_path": re.escape(path)}
    for name, pattern in expected.items():
        assert re.fullmatch(pattern, line.get(name, "(missing)")), (name, line)
    assert next(iter(line)) == "event_type"
    assert order(line) == [name for name in NAMESPACES if name in order(line)]
    assert ("db_queries" in line) == ("db_queries" in expected)
    assert ("exc_type" in line) == ("exc_type" in expected)


@pytest.mark.parametrize("path", list(EXPECTED))
def test_line_has_the_fields_of_the_original(moved: Run, before: Run, path: str) -> None:
    """Each field of the original's line is in slowhound's, in the same format."""
    old, new = before.lines[path], moved.lines[path]
    assert set(old) <= set(new)
    measured = ("_time", "g_", "req_id", "req_referrer", "exc_template")
    for name, value in old.items():
        if not any(part in name for part in measured):
            assert new[name] == value, name
        elif re.fullmatch(SECONDS, value):
            assert re.fullmatch(SECONDS, new[name]), name
    assert [name for name in order(new) if name in order(old)] == order(old)


def test_referrer_has_a_value(moved: Run) -> None:
    """req_referrer, which the original read from a header that no browser sends, has a value."""
    assert {line["req_referrer"] for line in moved.lines.values()} == {"http://shop.example/"}


def test_partial_failure_line(moved: Run, before: Run) -> None:
    """on_error's line goes to standard output as before, with the id of its request."""
    found = []
    for run in (moved, before):
        run.site.wait_line(event_type="partial_failure")
        (line,) = (line for line in run.site.lines() if line["event_type"] == "partial_failure")
        assert line["req_id"] == run.lines["/partial_failure/"]["req_id"]
        found.append({name: value for name, value in line.items() if name != "req_id"})
    # In the folder where this test installs the original, it takes itself for application code.
    assert re.fullmatch(r"app\.py:\d+:will_throw", found[0].pop("exc_loc"))
    found[1].pop("exc_loc")
    assert found[0] == found[1]
    assert list(found[0]) == ["event_type", "exc_type", "exc_msg", "exc_cause_loc"]


def test_each_request_has_one_line(moved: Run) -> None:
    """Nothing is emitted twice, and nothing else is printed."""
    counted = Counter(
        line["req_path"] for line in moved.site.lines() if line["event_type"] == "request"
    )
    assert {path: counted[path] for path in EXPECTED} == dict.fromkeys(EXPECTED, 1)
    assert moved.site.stray_output() == []
    assert moved.site.get("/custom/").text != moved.site.get("/custom/").text  # with the ids


def test_request_that_django_never_saw(moved: Run) -> None:
    """A static file in front of Django has req_*, resp_status, g_* and the event's own fields."""
    assert moved.site.get("/static/foo.txt").text == "foo\n"
    line = line_of(moved.site, "/static/foo.txt")
    allowed = re.compile(
        r"event_type|req_\w+|resp_status|g_\w+|w_\w+|ts|host|pid|rec_\w+|seq|v|app_\w+|own_\w+"
        r"|gc_time"
    )
    assert [name for name in line if not allowed.fullmatch(name)] == []
    assert (line["resp_status"], line["req_method"]) == ("200", "GET")


def test_helpers(moved: Run, before: Run) -> None:
    """EventContext, LogFmt, get_stack_loc_context and the registry work as before."""
    new, old = (run.site.get("/helpers/").text.splitlines() for run in (moved, before))
    assert new[0] == old[0]
    assert new[1] == old[1] == "['cause_loc', 'loc']"
    assert "'MyInstrumenter'" in new[2]
    assert "'Another'" in new[2]


def test_every_hook_is_called(start: Start) -> None:
    """The callbacks of each hook run, in the arbiter and in the worker."""
    site = start(OURS)
    site.get("/ok/")
    worker = site.worker_pids()[0]
    os.kill(site.process.pid, signal.SIGTTIN)
    os.kill(site.process.pid, signal.SIGHUP)
    eventually(
        lambda: worker not in site.worker_pids() and site.worker_pids(),
        "new workers",
        transcript=site.process.transcript,
    )
    site.stop()
    called = set((site.scratch / "hooks.txt").read_text().split())
    expected = {
        "on_starting", "on_reload", "when_ready", "pre_fork", "post_fork", "post_worker_init",
        "pre_request", "post_request", "child_exit", "worker_exit", "nworkers_changed", "on_exit",
    }  # fmt: skip
    assert expected <= called


def test_existing_logger_is_preserved(start: Start) -> None:
    """GUNICORN_PRESERVE_EXISTING_LOGGER=1 keeps Gunicorn's own line, before the canonical one."""
    site = start(OURS, GUNICORN_PRESERVE_EXISTING_LOGGER="1")
    for path in ("/ok/", "/db_queries/"):
        site.get(path)
    line_of(site, "/db_queries/")
    output = site.output()
    assert [text.startswith('event_type="') for text in output] == [False, True] * 2
    assert '"GET /ok/ HTTP/1.1" 200' in output[0]
    assert '"GET /db_queries/ HTTP/1.1" 200' in output[2]


def test_timeout(start: Start) -> None:
    """A request that times out has a timeout line with its locations, and no request line."""
    site = start(OURS, "--timeout", "300")
    wire = site.open("/sleeps/")
    make_overdue(in_flight(site, "/sleeps/", ":sleeps").pid)
    line = line_of(site, "/sleeps/", "timeout")
    wire.close()
    assert re.fullmatch(r"app\.py:\d+:sleeps", line["timeout_cause_loc"])
    assert line["timeout_loc"] not in ("", "-")
    assert re.fullmatch(SECONDS, line["resp_time"])
    assert next(iter(line)) == "event_type"
    site.get("/ok/")
    line_of(site, "/ok/")
    site.stop()
    assert [one["event_type"] for one in site.lines() if one["req_path"] == "/sleeps/"] == [
        "timeout"
    ]
