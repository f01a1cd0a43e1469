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
    Output,
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


def dump_in_a_shell(directory: Path, which: str) -> Output:
    """The same in a process of its own."""
    argv = [sys.executable, "-c", IN_A_SHELL, str(directory), which]
    done = subprocess.run(
        argv, cwd=ROOT, env=environment(), capture_output=True, text=True, timeout=60, check=False
    )
    return Output(done.returncode, done.stdout, done.stderr)


def start(site: Site, name: str) -> Callable[[], str]:
    """A request that waits at the gate of this name; what lets it go returns its agent."""
    gate = site.gate(name)
    answer = site.start(f"/gate/{name}/")
    gate.wait_entered()

    def let_go() -> str:
        gate.open()
        return answer.result().agent

    return let_go


@pytest.mark.parametrize(("worker", "by"), [("sync_site", "pid"), ("site", "req_id")])
def test_stack_of_now_is_printed_with_its_source(
    worker: str, by: str, request: pytest.FixtureRequest
) -> None:
    """As a traceback, by the worker's pid or the request's id."""
    site: Site = request.getfixturevalue(worker)
    let_go = start(site, f"asked-by-{by}")
    found = ps_of(site.dir, f"/gate/asked-by-{by}/")
    done = dump(site.dir, str(found[by]))
    assert (done.code, done.err) == (0, "")
    title, _ = done.out.split("\n", 1)
    assert title.startswith(f"pid {found['pid']}, thread {found['thread']}: GET /gate/asked-by-")
    assert found["req_id"] in title
    assert STANDS in done.out
    let_go()


def test_without_a_pid_all_workers_are_asked(site: Site) -> None:
    """Their other threads too, by name."""
    let_go = start(site, "asked-all")
    done = dump(site.dir)
    assert done.code == 0, done.err
    assert STANDS in done.out
    pids = {int(pid) for pid in re.findall(r"^pid (\d+), thread", done.out, re.MULTILINE)}
    assert pids == set(site.worker_pids())
    found = re.findall(r"^pid (\d+), thread (\d+) \(MainThread\)", done.out, re.MULTILINE)
    assert found
    assert all(pid == thread for pid, thread in found)
    let_go()


def test_two_who_ask_at_once_both_get_an_answer(site: Site) -> None:
    """Neither takes away the other's."""
    let_go = start(site, "asked-twice")
    pid = str(ps_of(site.dir, "/gate/asked-twice/")["pid"])
    with ThreadPoolExecutor() as threads:
        answers = [threads.submit(dump_in_a_shell, site.dir, pid) for _ in range(2)]
    for answer in answers:
        assert (answer.result().code, STANDS in answer.result().out) == (0, True)
    let_go()


def test_dump_is_for_nobody_else_to_read(site: Site) -> None:
    """The file is the workers' user's own, and there is no part of one."""
    let_go = start(site, "asked-mode")
    dump(site.dir)
    found = sorted(site.dir.glob("boxes/*.dump*"))
    assert [path.suffix for path in found] == [".dump"] * len(site.worker_pids())
    assert {path.stat().st_mode & 0o777 for path in found} == {0o600}
    let_go()


def test_dumps_do_not_change_what_is_recorded(site: Site) -> None:
    """A request that was looked at has its one event, and nothing of it is lost."""
    let_go = start(site, "asked-recorded")
    dump(site.dir)
    event = site.terminal(let_go())
    assert (event["resp_outcome"], event["resp_status"], event.get("rec_dropped")) == (
        "ok",
        200,
        None,
    )


def test_stopped_worker_shows_its_last_known_stack(sync_site: Site) -> None:
    """It says that it is not of now, how old it is, and exits with 1."""
    site = sync_site
    let_go = start(site, "stopped")
    # A look of before the gate may be at an import.
    found = ps_of(site.dir, "/gate/stopped/", doing=lambda doing: "gates.py:" in (doing or ""))
    with stopped([found["pid"]]):
        done = dump(site.dir, found["req_id"], patience=SOON)
    assert done.code == 1
    assert f"pid {found['pid']} did not answer within 0.2 s: GIL held, or process stopped" in (
        done.err
    )
    assert re.search(r"its last known stack, \d+\.\d s old, written by the hound", done.out)
    assert f"    tests/site/views/waiting.py:{GATED}:gated\n" in done.out
    # Once it goes on.
    assert dump(site.dir, found["req_id"]).code == 0
    let_go()


@pytest.mark.parametrize("can_read", [True, False])
def test_background_thread_that_holds_the_gil_is_shown(
    can_read: bool,
    serve: Launcher,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """It has no request in whose place it could stand; without a stack there is its number."""
    if not can_read:
        monkeypatch.setattr(remote_unwinder, "available", False)
        monkeypatch.setattr(py_spy, "command", lambda: None)
    site = serve(worker="gthread")
    site.get("/gil/in-background/import/")
    site.gate("import").wait_entered()
    thread = int((site.scratch / "import.thread").read_text())
    let_go = start(site, "victim")
    (pid,) = site.worker_pids()
    beat = silent(site.dir)
    eventually(lambda: silent(site.dir) < beat, "the hound's next turn")
    site.gate("import").open()
    try:
        wait_silent(site.dir)
        said = dump(site.dir, str(pid), patience=SOON)
    finally:
        (site.scratch / "import.seen").touch()
    assert said.code == 1
    assert re.search(rf"pid {pid}, thread {thread}: The GIL has .* by this thread", said.err)
    _, title, block = said.out.partition(f"\npid {pid}, thread {thread}, no request\n")
    assert title
    assert ("no stack can be read" in said.err) == (not can_read)
    if can_read:
        assert re.match(rf"  its last known stack, \d+\.\d s old, {READ[READ_BY]} ", block)
        assert re.search(
            r"^    tests/site/views/gil\.py:\d+:_native_until_seen$", block, re.MULTILINE
        )
    else:
        assert block == "  no stack is known\n\n"
    let_go()


def test_who_is_not_there_cannot_be_asked(site: Site) -> None:
    """A sentence, and exit code 1."""
    for which, words in (("1", "no worker has the pid 1"), ("x-y", "no request x-y is in flight")):
        done = slowhound("dump", site.dir, which)
        assert (done.returncode, done.stdout) == (1, "")
        assert done.stderr.startswith(f"slowhound: {words}")


def test_dumps_of_the_dead_are_removed(serve: Launcher) -> None:
    """With their box."""
    site = serve()
    assert site.get("/ok/").status == 200
    dump(site.dir)
    (pid,) = site.worker_pids()
    assert list(site.dir.glob(f"boxes/{pid}-*.dump"))
    os.kill(pid, signal.SIGKILL)
    eventually(lambda: not list(site.dir.glob(f"boxes/{pid}-*")), "nothing of it is left")
