"""Background tasks in separate processes: scripts, management commands, Celery workers."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.harness.cli import environment, ps, ps_of, slowhound
from tests.harness.launch import ROOT
from tests.harness.process import Process
from tests.harness.recorded import Event, Recorded
from tests.harness.waiting import eventually

SETTINGS = """
import json, os
SECRET_KEY = "of a test"
INSTALLED_APPS = ["slowhound", "shop"]
DATABASES = {"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": ":memory:"}}
SLOWHOUND = json.loads(os.environ["SHOP"])
"""
COMMAND = """
import slowhound
from django.core.management.base import BaseCommand, CommandError
from django.db import connection

class Command(BaseCommand):
    def add_arguments(self, parser):
        parser.add_argument("what", nargs="?")

    def handle(self, *args, what=None, **options):
        with connection.cursor() as cursor:
            cursor.execute("SELECT 1")
        slowhound.Context.set("what", what)
        if what == "fails":
            raise CommandError("out of stock")
        return '{"data": 1}'
"""
# Waits in a system call, as a task does that waits for another program.
WORK = """
import slowhound

def waits(path):
    with open(path) as pipe:
        return pipe.read()

@slowhound.task(name="nightly")
def nightly(path):
    return waits(path)
"""
# After a hard time limit Celery sends SIGTERM and, 0.1 s later, SIGKILL. Here a process has as long
# as it needs to end, unless its task ignores SIGTERM.
CELERY = """
import json, os
from billiard.popen_fork import Popen
from celery import Celery
import slowhound.celery
from shop.work import waits
from tests.harness import celery_messages

celery_messages.install()
wait = Popen.wait

def wait_patiently(self, timeout=None):
    ended = wait(self, timeout)
    while timeout == 0.1 and ended is None and not os.path.exists(f"{self.pid}.deaf"):
        ended = wait(self, timeout)
    return ended

Popen.wait = wait_patiently
app = Celery("shop", broker="filesystem://", set_as_current=True)
app.conf.update(
    broker_transport_options=json.loads(os.environ["SHOP_BROKER"]),
    broker_connection_retry_on_startup=True,
    task_ignore_result=True,
    worker_lost_wait=0.5,
)
slowhound.celery.install()

@app.task(name="adds")
def adds(one, two):
    from django.db import connection
    with connection.cursor() as cursor:
        cursor.execute("SELECT %s", [one])
    slowhound.Context.set("total", one + two)

@app.task(name="fails")
def fails():
    raise ValueError("out of stock")

@app.task(name="again", bind=True, max_retries=1)
def again(self):
    if self.request.retries == 0:
        try:
            raise TimeoutError("no answer")
        except TimeoutError as exc:
            raise self.retry(exc=exc, countdown=0)

@app.task(name="calls")
def calls():
    adds.apply((20, 22))
    slowhound.Context.set("after", 1)

@app.task(name="rejects")
def rejects(how):
    from celery.exceptions import Ignore, Reject
    slowhound.Context.set("how", how)
    if how == "why":
        try:
            raise MemoryError("too large")
        except MemoryError as exc:
            raise Reject(exc, requeue=False)
    raise Reject("not mine") if how == "reason" else Ignore()

app.task(name="waits")(waits)
app.task(name="limited", time_limit=1)(waits)
app.task(name="soft", soft_time_limit=1)(waits)

@app.task(name="deaf", time_limit=1)
def deaf():
    import signal
    signal.signal(signal.SIGTERM, lambda *_: open(f"{os.getpid()}.deaf", "w").close())
    while True:
        signal.pause()
"""


class Shop(Recorded):
    """An application in a new folder, all of whose processes write into one DIR."""

    process: Process

    def __init__(self, home: Path) -> None:
        self.home = home
        self.dir = home / "record"
        self.torn_expected = False
        self.write("settings.py", SETTINGS)
        self.write("work.py", WORK)
        self.write("management/commands/nightly.py", COMMAND)
        self.write("worker.py", CELERY)
        self.broker = home / "broker"
        self.broker.mkdir()
        self.pipe = home / "pipe"
        os.mkfifo(self.pipe)

    def write(self, name: str, text: str) -> None:
        path = self.home / "shop" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)

    def broker_options(self) -> dict[str, Any]:
        folder = str(self.broker)
        names = ("data_folder_in", "data_folder_out", "control_folder")
        return {**dict.fromkeys(names, folder), "polling_interval": 0.02}

    def environment(self, **settings: Any) -> dict[str, str]:
        paths = [str(self.home), str(ROOT), *filter(None, sys.path)]
        return environment(
            PYTHONPATH=os.pathsep.join(paths),
            DJANGO_SETTINGS_MODULE="shop.settings",
            SHOP=json.dumps({"DIR": str(self.dir), **settings}),
            SHOP_BROKER=json.dumps(self.broker_options()),
        )

    def start(self, *argv: str, **settings: Any) -> Process:
        self.process = Process([sys.executable, *argv], self.home, self.environment(**settings))
        return self.process

    def run(self, *argv: str, **settings: Any) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, *argv],
            cwd=self.home,
            env=self.environment(**settings),
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )

    def send(self, name: str, *given: Any) -> str:
        """Puts a task into the broker's folder; returns its id."""
        from celery import Celery

        from tests.harness import celery_messages

        celery_messages.install()
        app = Celery("test", broker="filesystem://", set_as_current=False)
        app.conf.broker_transport_options = self.broker_options()
        task_id = str(uuid.uuid4())
        app.send_task(name, given, task_id=task_id, ignore_result=True)
        app.close()
        return task_id

    def events_of(self, task_id: str) -> list[Event]:
        return [event for event in self.events() if event.get("task_id") == task_id]

    def let_go(self) -> None:
        """Ends a task that waits for the pipe."""
        with self.pipe.open("w"):
            pass


@pytest.fixture
def shop(tmp_path: Path) -> Shop:
    return Shop(tmp_path)


@pytest.fixture
def script(shop: Shop) -> Iterator[Shop]:
    """A script whose decorated function waits for the pipe."""
    code = "import django; django.setup(); import sys, shop.work as work; work.nightly(sys.argv[1])"
    process = shop.start("-c", code, str(shop.pipe))
    yield shop
    process.cleanup()


def test_running_task_is_shown_and_its_end_recorded(script: Shop) -> None:
    """``ps`` shows a running task and its line; at the end its event is on standard output."""
    entry = ps_of(script.dir, "nightly", doing=lambda doing: doing and doing.endswith(":waits"))
    assert (entry["method"], entry["pid"]) == ("function", script.process.pid)
    script.let_go()
    line = script.wait_line(event_type="task")
    assert (line["task_name"], line["resp_outcome"]) == ("nightly", "ok")
    eventually(lambda: not list(script.dir.glob("boxes/*.box")), "its box is gone")


def test_killed_task_leaves_one_crash(script: Shop) -> None:
    """The next reader of DIR writes the crash event of a killed task."""
    ps_of(script.dir, "nightly", doing=lambda doing: doing and doing.endswith(":waits"))
    os.kill(script.process.pid, signal.SIGKILL)
    eventually(lambda: not script.process.running, "the process is dead")
    slowhound("ps", script.dir)
    slowhound("ps", script.dir)
    (event,) = script.events()
    assert (event["event_type"], event["resp_outcome"]) == ("crash", "killed")
    assert (event["task_kind"], event["task_name"]) == ("function", "nightly")
    assert event["crash_cause_loc"].endswith("work.py:5:waits")
    assert not {"req_method", "req_path", "resp_view"} & set(event)


def test_command_has_an_event_and_its_output_is_unchanged(shop: Shop) -> None:
    """A command's line goes to standard error, for its output may be data."""
    done = shop.run("-m", "django", "nightly", "now", TASKS=["commands"])
    assert (done.returncode, done.stdout) == (0, '{"data": 1}\n')
    (event,) = shop.events()
    assert (event["task_kind"], event["task_name"]) == ("command", "nightly")
    assert (event["db_queries"], event["app_what"], event["resp_outcome"]) == (1, "now", "ok")
    assert done.stderr.startswith('event_type="task" ')
    assert done.stderr.count("\n") == 1
    assert not list(shop.dir.glob("boxes/*"))


def test_failing_command_ends_as_without_slowhound(shop: Shop) -> None:
    """A failing command has Django's message and exit code, and its event has the error."""
    done = shop.run("-m", "django", "nightly", "fails", TASKS=["commands"])
    assert done.returncode == 1
    assert "CommandError: out of stock" in done.stderr
    (event,) = shop.events()
    assert (event["resp_outcome"], event["exc_type"]) == ("error", "CommandError")


def test_command_that_is_not_recorded_leaves_nothing(shop: Shop) -> None:
    """A command without TASKS, and a shell with it, make not even the folder."""
    assert shop.run("-m", "django", "nightly").stdout == '{"data": 1}\n'
    code = "import threading; print(threading.active_count())"
    done = shop.run("-m", "django", "shell", "-c", code, TASKS=["commands", "django.tasks"])
    assert done.stdout.split()[-1] == "1", done.stderr
    assert not shop.dir.exists()


def worker(shop: Shop, *options: str) -> Process:
    quiet = ("--without-gossip", "--without-mingle", "--without-heartbeat", "--loglevel=INFO")
    process = shop.start("-m", "celery", "-A", "shop.worker", "worker", *quiet, *options)
    try:
        eventually(
            lambda: " ready." in process.stderr,
            "the worker is ready",
            deadline=60,
            transcript=process.transcript,
        )
    except AssertionError:
        process.cleanup()
        raise
    return process


@pytest.fixture(scope="module")
def prefork(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shop]:
    """A worker with two processes, shared by tests that do not kill the worker itself."""
    shop = Shop(tmp_path_factory.mktemp("prefork"))
    process = worker(shop, "--pool=prefork", "--concurrency=2")
    yield shop
    process.cleanup()
    assert not list(shop.dir.glob("boxes/*"))


@pytest.fixture
def solo(shop: Shop) -> Iterator[Shop]:
    process = worker(shop, "--pool=solo")
    yield shop
    process.cleanup()


def crash_of(shop: Shop, task_id: str) -> Event:
    return shop.wait_event(task_id=task_id, event_type="crash")


def test_each_process_of_a_pool_has_a_recorder(prefork: Shop) -> None:
    """Each of two child processes has a box; the main process, which runs no task, has none."""
    boxes = eventually(
        lambda: found if len(found := list(prefork.dir.glob("boxes/*.box"))) == 2 else None,
        "two boxes",
    )
    owners = {int(path.name.partition("-")[0]) for path in boxes}
    assert owners <= set(prefork.process.children())


def check_ends(shop: Shop) -> None:
    adds, fails, again = (shop.send("adds", 40, 2), shop.send("fails"), shop.send("again"))
    done = shop.wait_event(task_id=adds)
    assert (done["task_kind"], done["task_name"], done["resp_outcome"]) == ("celery", "adds", "ok")
    assert (done["db_queries"], done["app_total"]) == (1, 42)
    broken = shop.wait_event(task_id=fails)
    assert (broken["resp_outcome"], broken["exc_type"]) == ("error", "ValueError")
    assert broken["exc_cause_loc"].endswith(":fails")
    retried = shop.wait_event(task_id=again, resp_outcome="retry")
    assert (retried["exc_type"], retried["exc_handled"]) == ("TimeoutError", True)
    shop.wait_event(task_id=again, resp_outcome="ok")
    assert len(shop.events_of(again)) == 2


def test_celerys_tasks_have_outcomes(prefork: Shop) -> None:
    """Celery's tasks end with ``ok``, ``error`` or ``retry``, with id, name and counts."""
    check_ends(prefork)
    prefork.wait_line(task_name="again", resp_outcome="retry")
    assert "event_type=" not in prefork.process.stderr  # where Celery's own log is


def test_rejected_and_ignored_tasks_are_not_ok(prefork: Shop) -> None:
    """Reject and Ignore have their own outcomes with the reason, and are not failures."""
    why, reason, ignored = (prefork.send("rejects", how) for how in ("why", "reason", "not"))
    event = prefork.wait_event(task_id=why)
    assert (event["resp_outcome"], event["exc_type"]) == ("rejected", "MemoryError")
    assert (event["exc_msg"], event["exc_handled"]) == ("too large", True)
    assert event["exc_loc"].endswith(":rejects")
    event = prefork.wait_event(task_id=reason)
    assert (event["resp_outcome"], event["exc_type"]) == ("rejected", "Reject")
    assert (event["exc_msg"], event["exc_handled"]) == ("not mine", True)
    event = prefork.wait_event(task_id=ignored)
    assert (event["resp_outcome"], event["exc_type"]) == ("ignored", "Ignore")
    assert len(prefork.events_of(ignored)) == 1


def test_task_run_by_apply_has_its_own_event(prefork: Shop) -> None:
    """A task run by ``apply`` inside another one has its own event, and the outer goes on."""
    outer = prefork.wait_event(task_id=prefork.send("calls"))
    inner = prefork.wait_event(task_name="adds", app_total=42, req_id=lambda each: True)
    assert outer["app_after"] == 1
    assert "db_queries" not in outer
    assert inner["task_id"] != outer["task_id"]


def test_killed_process_of_a_pool_leaves_one_crash(prefork: Shop) -> None:
    """A peer, or the process that replaces the killed one, writes the crash event."""
    task_id = prefork.send("waits", str(prefork.pipe))
    entry = ps_of(prefork.dir, "waits", doing=lambda doing: doing and doing.endswith(":waits"))
    assert entry["method"] == "celery"
    os.kill(entry["pid"], signal.SIGKILL)
    event = crash_of(prefork, task_id)
    assert (event["task_kind"], event["task_name"]) == ("celery", "waits")
    assert (event["pid"], event["resp_outcome"]) == (entry["pid"], "killed")
    assert event["crash_cause_loc"].endswith("work.py:5:waits")
    prefork.wait_event(task_id=prefork.send("adds", 1, 1))
    assert len(prefork.events_of(task_id)) == 1


def test_time_limits_leave_one_event(prefork: Shop) -> None:
    """The soft limit is an error, and the hard one ends the process with ``killed``."""
    soft, hard = (prefork.send(name, str(prefork.pipe)) for name in ("soft", "limited"))
    event = prefork.wait_event(task_id=soft)
    assert (event["resp_outcome"], event["exc_type"]) == ("error", "SoftTimeLimitExceeded")
    ended = prefork.wait_event(task_id=hard)
    assert (ended["event_type"], ended["resp_outcome"]) == ("task", "killed")
    assert ended["exc_loc"].endswith("work.py:5:waits")
    assert ended["resp_time"] >= 1


def test_time_limit_of_a_process_that_ignores_sigterm_leaves_one_crash(prefork: Shop) -> None:
    """A process that does not react to SIGTERM is killed, and has one crash event."""
    task_id = prefork.send("deaf")
    assert crash_of(prefork, task_id)["task_name"] == "deaf"
    prefork.wait_event(task_id=prefork.send("adds", 1, 1))
    assert len(prefork.events_of(task_id)) == 1


def test_killed_solo_worker_leaves_one_crash(solo: Shop) -> None:
    """The crash event of a killed solo worker is written by the next reader of DIR."""
    check_ends(solo)
    task_id = solo.send("waits", str(solo.pipe))
    ps_of(solo.dir, "waits", doing=lambda doing: doing and doing.endswith(":waits"))
    os.kill(solo.process.pid, signal.SIGKILL)
    eventually(lambda: not solo.process.running, "the worker is dead")
    assert ps(solo.dir) == []
    (event,) = solo.events_of(task_id)
    assert (event["event_type"], event["task_name"]) == ("crash", "waits")
