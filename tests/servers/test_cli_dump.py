"""`slowhound dump`: the stacks of a worker that answers, and of one that cannot."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from slowhound.gil import py_spy, remote_unwinder
from tests.harness.cli import (
    PATIENT,
    READ,
    SOON,
    dump,
    environment,
    ps_of,
    silent,
    slowhound,
    wait_silent,
)
from tests.harness.launch import ROOT, Launcher
from tests.harness.recorded import READ_BY
from tests.harness.site import Site
from tests.harness.sources import line_of
from tests.harness.stopped import stopped
from tests.harness.waiting import eventually

GATED = line_of("views/waiting.py", "gated")
STANDS = (
    f'  File "{ROOT}/tests/site/views/waiting.py", line {GATED}, in gated\n'
    "    wait_at(gate)  # mark: gated\n"
)


@pytest.fixture
def site(two_workers: Site) -> Site:
    return two_workers


@pytest.fixture(scope="module")
def sync_site(serve_module: Launcher) -> Site:
    return serve_module()


IN_A_SHELL = f"""
import sys
from slowhound.peers import dumps
from slowhound.cli import main
dumps.DUMP_PATIENCE = {PATIENT}
sys.exit(main(["dump", "--dir", *sys.argv[1:]]))
"""


def dump_in_a_shell(directory: Path, which: str) -> subprocess.CompletedProcess[str]:
    """The same in another process."""
    argv = [sys.executable, "-c", IN_A_SHELL, str(directory), which]
    return subprocess.run(
        argv, cwd=ROOT, env=environment(), capture_output=True, text=True, timeout=60, check=False
    )


def start(site: Site, name: str) -> Callable[[], str]:
    """Starts a request that waits at this gate; the result finishes it and returns its agent."""
    gate = site.gate(name)
    answer = site.start(f"/gate/{name}/")
    gate.wait_entered()

    def finish() -> str:
        gate.open()
        return answer.result().agent

    return finish


@pytest.mark.parametrize(("worker", "by"), [("sync_site", "pid"), ("site", "req_id")])
def test_current_stack_is_printed_with_its_source(
    worker: str, by: str, request: pytest.FixtureRequest
) -> None:
    """As a traceback, by the worker's pid or the request's id."""
    site: Site = request.getfixturevalue(worker)
    finish = start(site, f"dump-by-{by}")
    found = ps_of(site.dir, f"/gate/dump-by-{by}/")
    done = dump(site.dir, str(found[by]))
    assert (done.returncode, done.stderr) == (0, "")
    title, _ = done.stdout.split("\n", 1)
    assert title.startswith(f"pid {found['pid']}, thread {found['thread']}: GET /gate/dump-by-")
    assert found["req_id"] in title
    assert STANDS in done.stdout
    finish()


def test_without_a_pid_all_workers_are_dumped(site: Site) -> None:
    """Including their other threads, by name."""
    finish = start(site, "dump-all")
    done = dump(site.dir)
    assert done.returncode == 0, done.stderr
    assert STANDS in done.stdout
    pids = {int(pid) for pid in re.findall(r"^pid (\d+), thread", done.stdout, re.MULTILINE)}
    assert pids == set(site.worker_pids())
    found = re.findall(r"^pid (\d+), thread (\d+) \(MainThread\)", done.stdout, re.MULTILINE)
    assert found
    assert all(pid == thread for pid, thread in found)
    finish()


def test_two_dumps_at_once_both_get_an_answer(site: Site) -> None:
    """Neither takes the other's answer."""
    finish = start(site, "dump-twice")
    pid = str(ps_of(site.dir, "/gate/dump-twice/")["pid"])
    with ThreadPoolExecutor() as threads:
        answers = [threads.submit(dump_in_a_shell, site.dir, pid) for _ in range(2)]
    for answer in answers:
        assert (answer.result().returncode, STANDS in answer.result().stdout) == (0, True)
    finish()


def test_dump_is_readable_by_its_user_only(site: Site) -> None:
    """The file has mode 0600, and no unfinished file is left."""
    finish = start(site, "dump-mode")
    dump(site.dir)
    found = sorted(site.dir.glob("boxes/*.dump*"))
    assert [path.suffix for path in found] == [".dump"] * len(site.worker_pids())
    assert {path.stat().st_mode & 0o777 for path in found} == {0o600}
    finish()


def test_dumps_do_not_change_what_is_recorded(site: Site) -> None:
    """The request still has one event, and nothing is dropped."""
    finish = start(site, "dump-recorded")
    dump(site.dir)
    event = site.terminal(finish())
    assert (event["resp_outcome"], event["resp_status"], event.get("rec_dropped")) == (
        "ok",
        200,
        None,
    )


def test_stopped_worker_shows_its_last_known_stack(sync_site: Site) -> None:
    """With its age, and exit code 1."""
    site = sync_site
    finish = start(site, "stopped")
    # A sample from before the gate may show an import.
    found = ps_of(site.dir, "/gate/stopped/", doing=lambda doing: "gates.py:" in (doing or ""))
    with stopped([found["pid"]]):
        done = dump(site.dir, found["req_id"], patience=SOON)
    assert done.returncode == 1
    assert f"pid {found['pid']} did not answer within 0.2 s: GIL held, or process stopped" in (
        done.stderr
    )
    assert re.search(r"its last known stack, \d+\.\d s old, written by the hound", done.stdout)
    assert f"    tests/site/views/waiting.py:{GATED}:gated\n" in done.stdout
    # Once the worker runs again.
    assert dump(site.dir, found["req_id"]).returncode == 0
    finish()


@pytest.mark.parametrize("can_read", [True, False])
def test_background_thread_that_holds_the_gil_is_shown(
    can_read: bool,
    serve: Launcher,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """It runs no request, so it is printed by itself; without a stack by its number only."""
    if not can_read:
        monkeypatch.setattr(remote_unwinder, "available", False)
        monkeypatch.setattr(py_spy, "command", lambda: None)
    site = serve(worker="gthread")
    site.get("/gil/in-background/import/")
    site.gate("import").wait_entered()
    thread = int((site.scratch / "import.thread").read_text())
    finish = start(site, "victim")
    (pid,) = site.worker_pids()
    beat = silent(site.dir)
    eventually(lambda: silent(site.dir) < beat, "the hound's next turn")
    site.gate("import").open()
    try:
        wait_silent(site.dir)
        done = dump(site.dir, str(pid), patience=SOON)
    finally:
        (site.scratch / "import.seen").touch()
    assert done.returncode == 1
    assert re.search(rf"pid {pid}, thread {thread}: The GIL has .* by this thread", done.stderr)
    _, title, block = done.stdout.partition(f"\npid {pid}, thread {thread}, no request\n")
    assert title
    assert ("no stack can be read" in done.stderr) == (not can_read)
    if can_read:
        assert re.match(rf"  its last known stack, \d+\.\d s old, {READ[READ_BY]} ", block)
        assert re.search(
            r"^    tests/site/views/gil\.py:\d+:_native_until_seen$", block, re.MULTILINE
        )
    else:
        assert block == "  no stack is known\n\n"
    finish()


def test_missing_worker_or_request_is_refused(site: Site) -> None:
    """One sentence, and exit code 1."""
    for which, text in (("1", "no worker has the pid 1"), ("x-y", "no request x-y is in flight")):
        done = slowhound("dump", site.dir, which)
        assert (done.returncode, done.stdout) == (1, "")
        assert done.stderr.startswith(f"slowhound: {text}")


def test_dumps_of_an_ended_worker_are_removed(serve: Launcher) -> None:
    """Together with its box."""
    site = serve()
    assert site.get("/ok/").status == 200
    dump(site.dir)
    (pid,) = site.worker_pids()
    assert list(site.dir.glob(f"boxes/{pid}-*.dump"))
    os.kill(pid, signal.SIGKILL)
    eventually(lambda: not list(site.dir.glob(f"boxes/{pid}-*")), "nothing of it is left")
