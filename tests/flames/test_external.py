"""A profile on demand is read from outside, where Python can do it: no GIL blinds it."""

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

from slowhound.core.record import Record, in_flight
from slowhound.flames.profile import Profile
from slowhound.flames.sampling import external
from slowhound.flames.sampling import session as module
from tests.harness.stopped import stopped
from tests.harness.waiting import eventually

pytestmark = pytest.mark.skipif(
    sys.version_info < (3, 14), reason="Python 3.14 and newer can read another process"
)

BIG = list(range(1_000_000))
ENOUGH = 20_000  # bytes that a reader has written: some hundred looks


@pytest.fixture(autouse=True)
def _alone(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """What the process of the tests has beside it (servers, handlers) is none of theirs."""
    monkeypatch.setattr(external, "_has_children", lambda: False)
    monkeypatch.setattr(external, "_is_caught", lambda number: False)
    yield
    if module._session is not None:
        module.stop(module._session.record)
    in_flight.clear()


@pytest.fixture
def record() -> Record:
    """Of a request that this thread carries."""
    return Record("GET", "/", time.monotonic())


def reader() -> external.ExternalSampler:
    session = module._session
    assert session is not None
    return session.external


def pid_of(of: external.ExternalSampler) -> int:
    return eventually(lambda: of.pid, "its id")


def is_gone(pid: int) -> bool:
    """True also for a zombie, which is for the system's first process."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except OSError:
        return True


def written() -> int:
    return os.fstat(reader()._output).st_size


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
    """What was found of ``work``, done again and again until the reader has seen enough."""
    assert module.start(record)
    end = time.monotonic() + 30
    while written() < size:
        assert time.monotonic() < end, "the reader sees nothing"
        work()
    found = module.stop(record)
    assert found is not None
    return found


def share(profile: Profile, *names: str) -> float:
    """Of all time, in which these functions were on the stack in this order."""
    total = 0.0
    for sample in profile.samples:
        stack = [profile.frames[each].name for each in profile.stacks[sample.stack]]
        places = [stack.index(name) if name in stack else -1 for name in names]
        if -1 not in places and places == sorted(places):
            total += sample.weight
    return total / profile.duration


@pytest.mark.parametrize("work", [calls, calls_through_c])
def test_operators_are_named(record: Record, work: Callable[[], None]) -> None:
    """Nobody can look in the process meanwhile; from outside its function has its share."""
    found = profiled(record, work)
    assert found.accuracy.ways["remote"] > 50
    assert found.accuracy.taken > found.accuracy.ways["remote"]
    # Nearly all of it, where nothing runs beside.
    assert share(found, "profiled", work.__name__, "searches") > 0.05
    assert sum(each.weight for each in found.samples) == pytest.approx(found.duration)
    running = sum(each.weight for each in found.samples if each.state in ("running", "starved"))
    assert running > found.duration / 10


def test_waits_say_for_what(record: Record) -> None:
    """The reader sees where, and the sampler in the process why."""
    found = profiled(record, lambda: time.sleep(0.02), size=3_000)
    waits = [frame.name for frame in found.frames if frame.kind == "wait"]
    assert waits == ["waiting: sleep"]
    assert share(found, waits[0]) > 0.03


def descriptors() -> set[str]:
    return set(os.listdir("/proc/self/fd"))


def test_nothing_is_left(record: Record, monkeypatch: pytest.MonkeyPatch) -> None:
    """No process, no zombie, no descriptor; also when nobody asks for the profile."""
    monkeypatch.setattr(external, "ENDS_WITHIN", 30)
    before = descriptors()
    profiled(record, innocent)
    eventually(lambda: descriptors() == before, "closed descriptors")
    other = Record("GET", "/", time.monotonic())
    assert module.start(other)
    eventually(written, "a look from outside")
    pid = pid_of(reader())
    other.done = True
    session = module._session
    assert session is not None
    eventually(lambda: not session._thread.alive(), "its end")
    eventually(lambda: is_gone(pid), "the reader's end")
    module._session = session = None
    gc.collect()
    eventually(lambda: descriptors() == before, "closed descriptors, again")


def test_reader_that_has_just_been_started_ends_as_well(
    record: Record, monkeypatch: pytest.MonkeyPatch
) -> None:
    """While it is a child, and has looked at nothing."""
    monkeypatch.setattr(external, "ENDS_WITHIN", 30)
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


def test_killed_reader_does_no_harm(record: Record) -> None:
    """What it has seen by then is used, and the rest was seen in the process."""
    assert module.start(record)
    eventually(lambda: written() > 500, "looks from outside")
    os.kill(pid_of(reader()), signal.SIGKILL)
    session = module._session
    assert session is not None
    looks = session.samples.taken
    eventually(lambda: session.samples.taken > looks + 20, "looks in the process")
    found = module.stop(record)
    assert found is not None
    assert found.accuracy.ways["remote"] > 0
    assert found.accuracy.ways["hound"] > 20
    assert sum(each.weight for each in found.samples) == pytest.approx(found.duration)


def test_reader_that_cannot_start_does_no_harm(
    record: Record, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No process can be had, or no Python is where it should be."""
    monkeypatch.setattr(sys, "executable", "/nowhere/python3")
    assert module.start(record)
    session = module._session
    assert session is not None
    eventually(lambda: session.samples.taken > 5, "looks in the process")
    found = module.stop(record)
    assert found is not None
    assert "remote" not in found.accuracy.ways


def test_reader_is_allowed_to_read(
    record: Record, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Where only ancestors may; afterwards nobody may any more."""
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

    def told() -> int:
        found.tend()
        return found.pid

    pid = eventually(told, "its id")
    found.end()
    assert calls == [(0x59616D61, pid), (0x59616D61, 0)]


def test_reader_that_hears_nothing_is_not_waited_for(
    record: Record, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It may be stopped itself; it ends as soon as it runs."""
    monkeypatch.setattr(external, "ENDS_WITHIN", 0.1)
    assert module.start(record)
    eventually(written, "a look from outside")
    pid = pid_of(reader())
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


def test_reader_that_goes_in_circles_is_ended_by_the_kernel() -> None:
    """What it reads changes meanwhile, and nobody waits for it."""
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
DELIVERS = "not os.fstat(session.external._output).st_size"


def child(dumpable: int, more: str = "False", *, stays: bool = False) -> subprocess.Popen[str]:
    code = textwrap.dedent(CHILD).format(dumpable=dumpable, more=more, stays=stays)
    return subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)


def test_process_that_may_not_be_read_is_sampled_inside() -> None:
    """As after `setuid`: the kernel refuses, silently for the application."""
    with child(0) as refused:
        assert refused.communicate(timeout=60)[0].split()[-1:] == ["hound"]
    assert refused.returncode == 0


def test_reader_dies_with_its_parent() -> None:
    """Killed workers leave none behind; without privileges it reads its own parent."""
    with child(1, DELIVERS, stays=True) as parent:
        assert parent.stdout is not None
        pid = int(parent.stdout.readline())
        assert Path(f"/proc/{pid}").exists()
        parent.kill()

        eventually(lambda: is_gone(pid), "the reader's end")


def test_greenlets_and_tasks_are_sampled_inside(record: Record) -> None:
    """Their stacks are not the thread's."""
    assert external.possible(record)
    record.task = lambda: None  # type: ignore[assignment]
    assert not external.possible(record)


# What an application sees of the reader: processes of their own, for the tests' has children.
APPLICATION = """
    import os, signal, sys, threading, time
    from slowhound.flames.sampling import session as module
    from slowhound.flames.sampling import external
    from slowhound.core.record import Record

    def begin():
        record = Record("GET", "/", time.monotonic())
        assert module.start(record)
        return record

    def reader():
        return module._session.external

    def until(condition):
        end = time.monotonic() + 20
        while not condition():
            assert time.monotonic() < end
            sum(range(100))

    def looked():
        until(lambda: os.fstat(reader()._output).st_size)

    def all_children():
        "As some applications wait: for any child, until there is none."
        found = []
        while True:
            try:
                found.append(os.wait()[0])
            except ChildProcessError:
                return found
"""


def application(code: str) -> str:
    """What an application prints that is profiled."""
    whole = textwrap.dedent(APPLICATION) + textwrap.dedent(code)
    argv = [sys.executable, "-W", "ignore", "-c", whole]
    ran = subprocess.run(argv, capture_output=True, text=True, timeout=60, check=False)
    assert ran.returncode == 0, ran.stderr
    return ran.stdout


def test_application_that_waits_for_any_child_gets_its_own_only() -> None:
    """However it started them; the reader is none of its children, and goes on."""
    said = application("""
        import subprocess
        record = begin()
        looked()
        children = {os.fork() or os._exit(0), subprocess.Popen(["/bin/sleep", "0"]).pid}
        print(set(all_children()) == children)
        seen = os.fstat(reader()._output).st_size
        until(lambda: os.fstat(reader()._output).st_size > seen)
        print("remote" in module.stop(record).accuracy.ways)
    """)
    assert said == "True\nTrue\n"


def test_handler_of_sigchld_that_is_set_meanwhile_is_not_called() -> None:
    """The reader's end is none of its business."""
    said = application("""
        called = []
        record = begin()
        looked()
        signal.signal(signal.SIGCHLD, lambda *_: called.append(os.waitpid(-1, os.WNOHANG)))
        pid = reader().pid
        module.stop(record)
        until(lambda: not os.path.exists(f"/proc/{pid}") or "Z" in open(f"/proc/{pid}/stat").read())
        print(called)
    """)
    assert said == "[]\n"


def test_application_that_would_get_the_grandchild_has_none() -> None:
    """It takes orphans, as the first process of a container does: the reader would be its child."""
    said = application("""
        import ctypes
        assert ctypes.CDLL(None).prctl(36, 1, 0, 0, 0) == 0
        record = begin()
        until(lambda: module._session.samples.taken > 20)
        print(reader().pid, all_children(), *module.stop(record).accuracy.ways)
    """)
    assert said == "0 [] hound\n"


def test_application_that_has_a_child_gets_no_other_one() -> None:
    """It may wait for any child at any time."""
    said = application("""
        child = os.fork()
        if child == 0:
            time.sleep(60)
        record = begin()
        until(lambda: module._session.samples.taken > 20)
        print(reader().pid, *module.stop(record).accuracy.ways)
        os.kill(child, signal.SIGKILL)
    """)
    assert said == "0 hound\n"


@pytest.mark.parametrize("language", ["python", "c"])
def test_handler_of_sigchld_is_never_called(language: str) -> None:
    """Nor does a sleep in C code end early: no reader is started."""
    said = application(f"""
        import ctypes
        called = []
        handler = lambda *_: called.append(1)
        if {language!r} == "python":
            signal.signal(signal.SIGCHLD, handler)
        else:
            kept = ctypes.CFUNCTYPE(None, ctypes.c_int)(handler)
            ctypes.CDLL(None).signal(signal.SIGCHLD, kept)
        record = begin()
        until(lambda: module._session.samples.taken > 20)
        print(called, *module.stop(record).accuracy.ways)
    """)
    assert said == "[] hound\n"


def test_application_without_children_has_none_afterwards() -> None:
    """No zombie, and nothing that it could wait for."""
    said = application("""
        record = begin()
        looked()
        print("remote" in module.stop(record).accuracy.ways, all_children())
    """)
    assert said == "True []\n"


def test_application_that_takes_the_end_of_the_process_in_between_does_no_harm() -> None:
    """It waits for all children just then, and no other process is waited for in its place."""
    said = application("""
        found = external.ExternalSampler()
        found.prepare()
        found.start(os.getpid(), 20)
        taken = os.waitpid(-1, 0)[0]
        other = os.fork() or os._exit(0)
        until(lambda: found.tend() or found.pid)
        print(found._child, taken != found.pid)
        until(lambda: os.fstat(found._output).st_size)
        found.end()
        print(len(found.take()) > 0, all_children() == [other])
    """)
    assert said == "-1 True\nTrue True\n"
