"""Tests of why a worker died, and of where each of its requests was then."""

from __future__ import annotations

import fcntl
import os
import signal
import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from slowhound.blackbox.reader import survey
from slowhound.peers.reaper import PARENT_PATIENCE
from slowhound.system.oom_kills import counter_file
from tests.deploy.conftest import Deploy
from tests.harness.accounts import (
    boxes,
    check_boxes_are_of_running_workers,
    check_once,
    heartbeats,
)
from tests.harness.client import Wire
from tests.harness.gil import wait_for_hounds
from tests.harness.launch import Launcher
from tests.harness.recorded import Event
from tests.harness.site import Site
from tests.harness.sources import loc
from tests.harness.stopped import stopped
from tests.harness.timeouts import NEVER, in_flight, make_overdue
from tests.harness.waiting import eventually

WORKERS = ["sync", "gthread"]
# Seconds. The time of a stack is its file's, which the kernel takes from its last tick: they are
# 0.01 apart with CONFIG_HZ=100, and one may come late.
TICK = 0.05


@pytest.fixture(scope="module", params=WORKERS)
def mortal(request: pytest.FixtureRequest, deploy_module: Deploy) -> Site:
    """A site with one worker, which each test kills."""
    return deploy_module(worker=request.param, conf=NEVER, gunicorn_args=["--preload"], warm=True)


def dies(site: Site, path: str, then: Callable[[Wire], object] = lambda wire: None) -> Event:
    """The one terminal event of a request in which the worker is killed."""
    wire = site.open(path)
    then(wire)
    wire.read_what_comes()
    check_once(site, [wire.agent])
    check_boxes_are_of_running_workers(site)
    return site.terminal(wire.agent)


def worker_of(site: Site) -> str:
    """The kind of worker of a site."""
    return "gthread" if "gthread" in (site.scratch / "gunicorn.conf.py").read_text() else "sync"


def frames(stack: str) -> list[str]:
    """The frames of a stack in an event, innermost first."""
    return stack.split(" < ")


def new_name() -> str:
    return f"name-{uuid.uuid4().hex}"


def test_timeout_of_code_that_holds_the_gil_has_the_last_stack_before(mortal: Site) -> None:
    """While C code holds the GIL, SIGABRT is not handled; the event has the last stack before."""
    name = new_name()
    path = f"/gil/native-later/{name}/"

    def time_out(_wire: Wire) -> None:
        pid = in_flight(mortal, path, ":native_later").pid
        (mortal.scratch / f"{name}.go").touch()
        eventually((mortal.scratch / f"{name}.held").exists, "the GIL is held")
        make_overdue(pid)

    event = dies(mortal, path, time_out)
    assert event["event_type"] == "timeout"
    assert event["timeout_stack_by"] == "hound"
    assert frames(event["timeout_stack"])[0].endswith(":native_later")
    assert 0 < event["timeout_stack_age"] < event["resp_time"]


def test_segmentation_fault_names_its_line(mortal: Site) -> None:
    """The faulting request and another one in flight each have their own stack."""
    name = new_name()
    beside = mortal.open(f"/gate/{name}/") if worker_of(mortal) == "gthread" else None
    if beside is not None:
        mortal.gate(name).wait_entered()
    event = dies(mortal, "/segfault/")
    assert (event["event_type"], event["crash_cause"]) == ("crash", "segfault")
    assert event["crash_signal"] == "SIGSEGV"
    assert event["crash_stack_by"] == "fault"
    assert loc("views/gil.py", "segfault", "segfault") in frames(event["crash_stack"])
    assert event["crash_stack_age"] <= event["resp_time"] + TICK
    if beside is not None:
        beside.read_what_comes()
        check_once(mortal, [beside.agent])
        other = mortal.terminal(beside.agent)
        assert (other["event_type"], other["crash_cause"]) == ("crash", "segfault")
        assert other["crash_stack_by"] == "bystander"
        assert loc("views/waiting.py", "gated", "gated") in frames(other["crash_stack"])
        assert "segfault" not in other["crash_stack"]


def test_kill_from_outside_is_a_signal(mortal: Site) -> None:
    """A SIGKILL that neither Gunicorn nor the kernel has sent has the cause `signal`."""
    name = new_name()

    def kill(_wire: Wire) -> None:
        mortal.gate(name).wait_entered()
        os.kill(mortal.worker_pids()[0], signal.SIGKILL)

    event = dies(mortal, f"/gate/{name}/", kill)
    assert (event["crash_cause"], event["crash_signal"]) == ("signal", "SIGKILL")
    assert "crash_code" not in event


def test_peer_leaves_an_ended_worker_to_a_slow_arbiter(deploy: Deploy) -> None:
    """A peer waits for the arbiter, which alone knows the cause, even on a busy machine."""
    site = deploy(workers=2, conf=NEVER, gunicorn_args=["--preload"], warm=True)
    wait_for_hounds(site)
    name = new_name()
    wire = site.open(f"/gate/{name}/")
    site.gate(name).wait_entered()
    victim = in_flight(site, f"/gate/{name}/").pid
    with stopped([site.process.pid]):
        os.kill(victim, signal.SIGKILL)
        (path,) = eventually(lambda: survey(str(site.dir))[1], "its end")
        # The peer searches for ended workers each second: by now it has found this one.
        late = time.monotonic_ns() + int((PARENT_PATIENCE + 2.0) * 1e9)
        eventually(lambda: max(heartbeats(site).values()) > late, "the peer has run since")
        assert survey(str(site.dir))[1] == [path]
    wire.read_what_comes()
    check_once(site, [wire.agent])
    event = site.terminal(wire.agent)
    assert (event["crash_cause"], event["crash_signal"]) == ("signal", "SIGKILL")


def test_exit_has_its_code(mortal: Site) -> None:
    """os._exit in a view is the cause `exit`, with the code."""
    event = dies(mortal, "/leaves/5/")
    assert (event["crash_cause"], event["crash_code"]) == ("exit", 5)
    assert "crash_signal" not in event


def test_exit_that_gunicorn_takes_for_a_failed_start(deploy: Deploy) -> None:
    """A worker that exits with 3, for a failed start, stops Gunicorn, and has its event."""
    site = deploy()
    wire = site.open("/leaves/3/")
    wire.read_what_comes()
    check_once(site, [wire.agent])
    event = site.terminal(wire.agent)
    assert (event["crash_cause"], event["crash_code"]) == ("exit", 3)
    eventually(lambda: not site.process.running, "Gunicorn ends")
    assert boxes(site) == []


@pytest.mark.parametrize("worker", WORKERS)
def test_stop_that_outlasts_the_graceful_timeout_is_a_shutdown(deploy: Deploy, worker: str) -> None:
    """A request that outlasts the graceful timeout is killed by the shutdown."""
    site = deploy(worker=worker, conf="graceful_timeout = 1")
    name = new_name()
    with (site.scratch / f"{name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        wire = site.open(f"/gil/sleeps/{name}/")
        eventually((site.scratch / f"{name}.begun").exists, "the request")
        site.stop()
    wire.close()
    check_once(site, [wire.agent])
    event = site.terminal(wire.agent)
    assert (event["event_type"], event["crash_cause"]) == ("crash", "shutdown")
    assert boxes(site) == []


@pytest.fixture
def cgroup() -> Iterator[Path]:
    """A new cgroup below this process's, with limited memory."""
    if os.getuid() != 0:
        pytest.skip("a memory cgroup needs root")
    counter = counter_file()
    if counter is None:
        pytest.skip("this process is in no memory cgroup, or in the root one")
    folder = Path(counter).parent / f"slowhound-{uuid.uuid4().hex}"
    limits = {"memory.limit_in_bytes": "200M", "memory.memsw.limit_in_bytes": "200M"}
    if counter.endswith("memory.events"):
        limits = {"memory.max": "200M", "memory.swap.max": "0"}
    try:
        folder.mkdir()
    except OSError as reason:
        pytest.skip(f"no memory cgroup can be made here: {reason}")
    try:
        for name, limit in limits.items():
            if (folder / name).exists():
                (folder / name).write_text(limit)
        yield folder
    except OSError as reason:
        pytest.skip(f"no memory cgroup can be limited here: {reason}")
    finally:
        eventually(lambda: removed(folder), "the cgroup is empty")


def removed(folder: Path) -> bool:
    """Removes a cgroup; False while a process is in it."""
    try:
        folder.rmdir()
    except OSError:
        return False
    return True


IN_CGROUP = 'echo $$ > "$1"/cgroup.procs && shift && exec "$@"'


@pytest.mark.root
def test_out_of_memory_kill_is_oom(cgroup: Path, serve: Launcher) -> None:
    """A kill by the kernel in a full cgroup is `oom`; a SIGKILL after that is a signal."""
    site = serve(wrapper=["sh", "-c", IN_CGROUP, "sh", str(cgroup)])
    event = dies(site, "/allocate/")
    assert (event["crash_cause"], event["crash_signal"]) == ("oom", "SIGKILL")
    name = new_name()

    def kill(_wire: Wire) -> None:
        site.gate(name).wait_entered()
        os.kill(site.worker_pids()[0], signal.SIGKILL)

    later = dies(site, f"/gate/{name}/", kill)
    assert (later["crash_cause"], later["crash_signal"]) == ("signal", "SIGKILL")
    site.process.cleanup()
