"""A profile on demand is sampled from outside, where Python can do that, without the GIL."""

from __future__ import annotations

import ctypes
import gc
import os
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from slowhound.core.in_flight import in_flight
from slowhound.core.record import Record
from slowhound.flames.profile import Profile
from slowhound.flames.sampling import external
from slowhound.flames.sampling import session as module
from tests.harness.stopped import stopped
from tests.harness.waiting import eventually

pytestmark = pytest.mark.skipif(
    sys.version_info < (3, 14), reason="Python 3.14 and newer can read another process"
)

BIG = list(range(1_000_000))
ENOUGH = 20_000  # bytes that the external process has written: some hundred samples


@pytest.fixture(autouse=True)
def _alone(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Without the other children and handlers of the test process."""
    monkeypatch.setattr(external, "_has_children", lambda: False)
    monkeypatch.setattr(external, "_is_caught", lambda number: False)
    yield
    if module._session is not None:
        module.stop(module._session.record)
    in_flight.clear()


@pytest.fixture
def record() -> Record:
    """The record of a request that this thread carries."""
    return Record("GET", "/", time.monotonic())


def sampler() -> external.ExternalSampler:
    session = module._session
    assert session is not None
    return session.external


def pid_of(of: external.ExternalSampler) -> int:
    return eventually(lambda: of.pid, "its id")


def is_gone(pid: int) -> bool:
    """True also for a zombie, which the system's first process reaps."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except OSError:
        return True


def written() -> int:
    return os.fstat(sampler()._output).st_size


def searches() -> bool:
    return -1 in BIG


def from_c(_: int) -> bool:
    return searches()


def innocent() -> None:
    sum(1 for _ in range(1000))


def calls() -> None:
    searches()
    innocent()


def calls_through_c() -> None:
    sorted([1, 2], key=from_c)
    innocent()


def profiled(record: Record, work: Callable[[], None], size: int = ENOUGH) -> Profile:
    """The profile of ``work``, which is repeated until there are enough samples."""
    assert module.start(record)
    end = time.monotonic() + 30
    while written() < size:
        assert time.monotonic() < end, "no samples from outside"
        work()
    found = module.stop(record)
    assert found is not None
    return found


def share(profile: Profile, *names: str) -> float:
    """The share of time with these functions on the stack in this order."""
    total = 0.0
    for sample in profile.samples:
        stack = [profile.frames[each].name for each in profile.stacks[sample.stack]]
        places = [stack.index(name) if name in stack else -1 for name in names]
        if -1 not in places and places == sorted(places):
            total += sample.weight
    return total / profile.duration


@pytest.mark.parametrize("work", [calls, calls_through_c])
def test_operators_have_their_share(record: Record, work: Callable[[], None]) -> None:
    """No sample can be taken in the process meanwhile."""
    found = profiled(record, work)
    assert found.accuracy.ways["remote"] > 50
    assert found.accuracy.taken > found.accuracy.ways["remote"]
    # Nearly all of it on an idle machine.
    assert share(found, "profiled", work.__name__, "searches") > 0.05
    assert sum(each.weight for each in found.samples) == pytest.approx(found.duration)
    running = sum(each.weight for each in found.samples if each.state in ("running", "starved"))
    assert running > found.duration / 10


def test_waits_have_what_the_thread_waits_for(record: Record) -> None:
    """The external process samples the stack, and the sampler in the process the wait."""
    found = profiled(record, lambda: time.sleep(0.02), size=3_000)
    waits = [frame.name for frame in found.frames if frame.kind == "wait"]
    assert waits == ["waiting: sleep"]
    assert share(found, waits[0]) > 0.03


def descriptors() -> set[str]:
    return set(os.listdir("/proc/self/fd"))


def test_nothing_is_left(record: Record, monkeypatch: pytest.MonkeyPatch) -> None:
    """No process, no zombie, no descriptor; also when the session is not stopped."""
    monkeypatch.setattr(external, "EXTERNAL_ENDS_WITHIN", 30)
    before = descriptors()
    profiled(record, innocent)
    eventually(lambda: descriptors() == before, "closed descriptors")
    other = Record("GET", "/", time.monotonic())
    assert module.start(other)
    eventually(written, "a sample from outside")
    pid = pid_of(sampler())
    other.done = True
    session = module._session
    assert session is not None
    eventually(lambda: not session._thread.alive(), "its end")
    eventually(lambda: is_gone(pid), "the external process's end")
    module._session = session = None
    gc.collect()
    eventually(lambda: descriptors() == before, "closed descriptors, again")


def test_external_process_that_has_just_been_started_ends_as_well(
    record: Record, monkeypatch: pytest.MonkeyPatch
) -> None:
    """While it is a child, and has taken no samples."""
    monkeypatch.setattr(external, "EXTERNAL_ENDS_WITHIN", 30)
    before = descriptors()
    found = external.ExternalSampler()
    found.prepare()
    found.start(record.native_id, 10)
    child = found._child
    assert child >= 0
    twin = os.dup(child)
    found.end()
    assert found.take() == []
    with pytest.raises(ChildProcessError):
        os.waitid(os.P_PIDFD, twin, os.WEXITED | os.WNOHANG)
    os.close(twin)
    eventually(lambda: descriptors() == before, "closed descriptors")


def test_killed_external_process_does_no_harm(record: Record) -> None:
    """Its samples until then are used, and those from inside for the rest."""
    assert module.start(record)
    eventually(lambda: written() > 500, "samples from outside")
    os.kill(pid_of(sampler()), signal.SIGKILL)
    session = module._session
    assert session is not None
    taken = session.samples.taken
    eventually(lambda: session.samples.taken > taken + 20, "samples in the process")
    found = module.stop(record)
    assert found is not None
    assert found.accuracy.ways["remote"] > 0
    assert found.accuracy.ways["hound"] > 20
    assert sum(each.weight for each in found.samples) == pytest.approx(found.duration)


def test_external_process_that_cannot_start_does_no_harm(
    record: Record, monkeypatch: pytest.MonkeyPatch
) -> None:
    """There is no Python where it should be."""
    monkeypatch.setattr(sys, "executable", "/nowhere/python3")
    assert module.start(record)
    session = module._session
    assert session is not None
    eventually(lambda: session.samples.taken > 5, "samples in the process")
    found = module.stop(record)
    assert found is not None
    assert "remote" not in found.accuracy.ways


def test_external_process_is_allowed_to_read(
    record: Record, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Where only ancestors may read; afterwards no other process may."""
    (tmp_path / "scope").write_text("1\n")
    monkeypatch.setattr(external, "_YAMA", str(tmp_path / "scope"))
    calls: list[tuple[int, int]] = []

    class Libc:
        def __init__(self, _: None) -> None:
            pass

        def prctl(self, option: int, pid: ctypes.c_ulong, *_: int) -> None:
            calls.append((option, pid.value))

    monkeypatch.setattr(external.ctypes, "CDLL", Libc)
    found = external.ExternalSampler()
    found.prepare()
    found.start(record.native_id, 10)

    def pid_once_known() -> int:
        found.tend()
        return found.pid

    pid = eventually(pid_once_known, "its id")
    found.end()
    assert calls == [(0x59616D61, pid), (0x59616D61, 0)]


def test_stopped_external_process_is_not_waited_for(
    record: Record, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It may be stopped by a signal; it ends as soon as it runs."""
    monkeypatch.setattr(external, "EXTERNAL_ENDS_WITHIN", 0.1)
    assert module.start(record)
    eventually(written, "a sample from outside")
    pid = pid_of(sampler())
    with stopped([pid]):
        found = module.stop(record)
        assert found is not None
        assert found.accuracy.ways["remote"] > 0
    eventually(lambda: is_gone(pid), "its end")


CIRCLE = """
    import os, sys
    from types import ModuleType
    from slowhound.flames.sampling import external_process

    class RemoteUnwinder:
        def __init__(self, *_, **__):
            pass
        def get_stack_trace(self):
            while True:
                pass

    sys.modules["_remote_debugging"] = fake = ModuleType("_remote_debugging")
    fake.RemoteUnwinder = RemoteUnwinder
    external_process.CPU_AT_LEAST, external_process.CPU_SHARE = 1, 0
    external_process.sample_thread(os.getpid(), os.getpid(), 600)
"""


def test_endless_loop_is_ended_by_the_kernel() -> None:
    """It reads memory that changes, and no other process would end it."""
    argv = [sys.executable, "-c", textwrap.dedent(CIRCLE)]
    ran = subprocess.run(argv, stdin=subprocess.PIPE, timeout=60, check=False)
    assert ran.returncode == -signal.SIGKILL


CHILD = """
    import ctypes, os, sys, time
    from slowhound.flames.sampling import session as module
    from slowhound.core.record import Record
    if os.geteuid() == 0:
        os.setuid(65534)
    ctypes.CDLL(None).prctl(4, {dumpable}, 0, 0, 0)
    record = Record("GET", "/", time.monotonic())
    module.start(record)
    session = module._session
    while session.samples.taken < 20 or {more}:
        time.sleep(0.01)
    print(session.external.pid, flush=True)
    if {stays}:
        worker, reader = os.getpid(), f"/proc/{{session.external.pid}}/stat"
        if os.fork():
            time.sleep(600)
        # It has all descriptors as well, and outlives its parent.
        end = time.monotonic() + 60
        while os.getppid() == worker or os.path.exists(reader) and time.monotonic() < end:
            time.sleep(0.01)
        os._exit(0)
    print(*module.stop(record).accuracy.ways)
"""
HAS_SAMPLES = "not os.fstat(session.external._output).st_size"


def child(dumpable: int, more: str = "False", *, stays: bool = False) -> subprocess.Popen[str]:
    code = textwrap.dedent(CHILD).format(dumpable=dumpable, more=more, stays=stays)
    return subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)


def test_process_that_must_not_be_read_is_sampled_from_inside() -> None:
    """As after `setuid`: the kernel refuses, and nothing is logged."""
    with child(0) as refused:
        assert refused.communicate(timeout=60)[0].split()[-1:] == ["hound"]
    assert refused.returncode == 0


def test_external_process_ends_with_its_worker() -> None:
    """Killed workers leave none behind; it needs no privileges."""
    with child(1, HAS_SAMPLES, stays=True) as parent:
        assert parent.stdout is not None
        pid = int(parent.stdout.readline())
        assert Path(f"/proc/{pid}").exists()
        parent.kill()

        eventually(lambda: is_gone(pid), "the external process's end")


def test_greenlets_and_tasks_are_sampled_from_inside(record: Record) -> None:
    """Their stacks are not the thread's."""
    assert external.possible(record)
    record.task = lambda: None  # type: ignore[assignment]
    assert not external.possible(record)
