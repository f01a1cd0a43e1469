"""The dead man's switch: each case in a process of its own, for it is about signals and crashes."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from slowhound.selfdumps import SelfDumps
from slowhound.watch.deadman import MOST_THREADS
from slowhound.watch.timers import HOLD, works
from tests.harness.waiting import eventually

pytestmark = pytest.mark.skipif(not works, reason="needs Linux and CPython")

# What each of the processes begins with. `burn` and `hold` are one call into C each: no bytecode
# is run, the GIL is kept, and the seconds are of the thread's own CPU time.
COMMON = f"""
import ctypes, faulthandler, json, operator, os, signal, sys, threading, time
from itertools import repeat, starmap
from slowhound import losses
from slowhound.osthread import OsThread
from slowhound.selfdumps import SelfDumps
from slowhound.watch.deadman import DeadMan
from slowhound.watch.hound import Hound

HOLD = {HOLD}
path = sys.argv[1]
ident, native = threading.get_ident, threading.get_native_id
access = ctypes.PyDLL(None).access

def burn(seconds=1.5 * HOLD):
    end = time.thread_time() + seconds
    any(map(end.__lt__, starmap(time.thread_time, repeat(()))))

def hold(until):
    any(map(operator.not_, map(access, repeat(os.fsencode(until), 60_000_000), repeat(0))))

def wrote(dead, thread=None):
    dump = dead.read(thread or native())
    return dump and [frame.function for frame in dump.stack][-1]

def proofs(dead):
    return dict(each for each in dead.read_all().items() if each[1].by == "thread")

def elsewhere(function):
    thread = threading.Thread(target=function)
    thread.start()
    thread.join()

def status(name):
    with open("/proc/self/status") as file:
        return next(line.split()[1] for line in file if line.startswith(name))

def catches(number):
    return bool(int(status("SigCgt:"), 16) >> (number - 1) & 1)

def say(*values):
    print(json.dumps(values), flush=True)

dead = DeadMan()
"""
READY = "dead.open(path)\ndead.watch(ident(), native())\n"


def environment() -> dict[str, str]:
    """This one's, without a faulthandler for children."""
    return {name: value for name, value in os.environ.items() if name != "PYTHONFAULTHANDLER"}


def run(script: str, path: Path, *options: str) -> subprocess.CompletedProcess[str]:
    """Runs a script to its end."""
    return subprocess.run(
        [sys.executable, *options, "-c", COMMON + script, str(path)],
        env=environment(),
        capture_output=True,
        text=True,
        timeout=50,
        check=False,
    )


def said(script: str, path: Path, *options: str) -> list[object]:
    """What a script that ends well has said, in one list."""
    done = run(script, path, *options)
    assert done.returncode == 0, done.stderr
    return [value for line in done.stdout.splitlines() for value in json_list(line)]


def json_list(line: str) -> list[object]:

    found: list[object] = json.loads(line)
    return found


@contextmanager
def running(script: str, path: Path) -> Iterator[subprocess.Popen[str]]:
    """A script that is running; killed in the end."""
    process = subprocess.Popen(
        [sys.executable, "-c", COMMON + script, str(path)],
        env=environment(),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    with process:
        try:
            yield process
        finally:
            process.kill()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Where the file of stacks shall be."""
    return tmp_path / "1-2.stacks"


def functions(path: Path, thread: int) -> list[str]:
    """The functions in what a thread has written, outermost first."""
    dump = SelfDumps(str(path)).of(thread)
    return [] if dump is None else [frame.function for frame in dump.stack]


# Who writes, and who does not

HOLDS = (
    READY
    + """
def stuck():
    dead.watch(ident(), native())
    dead.arm()
    say(native())
    hold(path + ".seen")

stuck() if WHERE == "main" else elsewhere(stuck)
"""
)


@pytest.mark.slow
@pytest.mark.parametrize("where", ["main", "other"])
def test_thread_in_c_writes_its_stack_while_it_is_there(path: Path, where: str) -> None:
    """The main thread or another: others can read where it is before it comes back."""
    with running(f"WHERE = {where!r}\n{HOLDS}", path) as process:
        assert process.stdout is not None
        (thread,) = json_list(process.stdout.readline())
        assert isinstance(thread, int)
        eventually(lambda: functions(path, thread), "its stack", deadline=40)
        assert process.poll() is None
        found = SelfDumps(str(path)).of(thread)
        Path(f"{path}.seen").touch()
        assert process.wait(timeout=30) == 0
    assert found is not None
    assert found.by == "thread"
    assert [frame.function for frame in found.stack][-2:] == ["stuck", "hold"]


@pytest.mark.slow
def test_thread_that_runs_python_never_writes(path: Path) -> None:
    """A hound that gets its turns stops every switch in time, however busy the threads are."""
    script = (
        READY
        + """
hound = Hound(0.05, lambda now: now + 9, (), dead.arm, dead.disarm)
hound.start()

def busy():
    dead.watch(ident(), native())
    end = time.thread_time() + 1.6 * HOLD
    while time.thread_time() < end:
        sum(range(100))
    say(wrote(dead))

threads = [threading.Thread(target=busy) for _ in range(2)]
[each.start() for each in threads]
[each.join() for each in threads]
hound.stop()
say(proofs(dead))
"""
    )
    assert said(script, path) == [None, None, {}]


@pytest.mark.slow
def test_switch_that_is_stopped_does_not_fire(path: Path) -> None:
    """While the hound is awake nobody writes; from its next sleep on, again."""
    script = (
        READY
        + """
dead.arm()
dead.disarm()
burn()
say(wrote(dead))
dead.arm()
burn()
dead.disarm()
say(wrote(dead))
"""
    )
    assert said(script, path) == [None, "burn"]


@pytest.mark.slow
def test_clear_makes_room_for_the_next(path: Path) -> None:
    """After it there is no stack, and the next one is read from its beginning."""
    script = (
        READY
        + """
dead.arm()
burn()
say(wrote(dead))
dead.clear_all()
say(wrote(dead), SelfDumps(path).of(native()), len(proofs(dead)))

def again():
    burn()

dead.arm()
again()
say([frame.function for frame in dead.read(native()).stack][-2:])
"""
    )
    assert said(script, path) == ["burn", None, None, 0, ["again", "burn"]]


@pytest.mark.slow
def test_thread_that_has_ended_frees_its_signal(path: Path) -> None:
    """Forgotten threads write nothing, are in no table, and leave their signals to others."""
    script = (
        READY
        + f"""
spare = len(dead._free)
dead.arm()
dead.forget_but(set())
burn()
say(SelfDumps(path).threads, len(dead._free) - spare, losses.dropped)
for _ in range(3 * {MOST_THREADS}):
    elsewhere(lambda: dead.watch(ident(), native()))
    dead.forget_but({{native()}})
dead.watch(ident(), native())
dead.arm()
burn()
say(len(dead._free) - spare, wrote(dead), list(SelfDumps(path).threads) == [native()])
"""
    )
    assert said(script, path) == [{}, 1, 0, 0, "burn", True]


@pytest.mark.slow
def test_thread_too_many_is_left_out(path: Path) -> None:
    """Beyond so many threads, the rest is not watched; that harms neither them nor the others."""
    script = f"""
dead.open(path)
go, ready = threading.Event(), threading.Barrier({MOST_THREADS + 4})

def watched():
    dead.watch(ident(), native())
    ready.wait()
    go.wait()

threads = [threading.Thread(target=watched) for _ in range({MOST_THREADS + 3})]
[each.start() for each in threads]
ready.wait()
dead.watch(ident(), native())
dead.arm()
burn()
say(wrote(dead), len(SelfDumps(path).threads), len(set(SelfDumps(path).threads.values())))
go.set()
[each.join() for each in threads]
dead.forget_but({{native()}})
dead.watch(ident(), native())
burn()
say(wrote(dead))
"""
    most = MOST_THREADS
    assert said(script, path) == [None, most, most, "burn"]


def test_thread_that_has_ended_already_is_let_go(path: Path) -> None:
    """The system's id of no thread gets no switch and keeps no signal."""
    script = """
dead.open(path)
ended = []
elsewhere(lambda: ended.append(native()))
while os.path.exists(f"/proc/self/task/{ended[0]}"):
    pass  # join() returns while the system still has it
spare = len(dead._free)
dead.watch(1, ended[0])
say(len(dead._free) - spare, SelfDumps(path).threads)
"""
    assert said(script, path) == [0, {}]


# Files that come and go


@pytest.mark.slow
def test_file_that_was_removed_is_begun_anew(path: Path) -> None:
    """Somebody removed the box: the switches go on in the new file, and no descriptor leaks."""
    script = (
        READY
        + """
def reopen(number):
    os.unlink(dead.path)
    dead.open(f"{path}.{number}")

reopen(0)
opened = len(os.listdir("/proc/self/fd"))
for number in range(1, 30):
    reopen(number)
say(len(os.listdir("/proc/self/fd")) - opened, os.listdir(os.path.dirname(path)))
dead.arm()
burn()
say(SelfDumps(dead.path).of(native()).stack[-1].function)
"""
    )
    assert said(script, path) == [0, ["1-2.stacks.29"], "burn"]


FAULT_AFTER_REOPENING = (
    "signal.signal(signal.SIGABRT, lambda *_: None)\n"
    + READY
    + """
os.unlink(path)
elsewhere(lambda: dead.open(path + ".anew"))  # as the hound does
ctypes.string_at(0)
"""
)


def test_fault_after_the_file_was_begun_anew(path: Path) -> None:
    """The hound opens the new file, and a segmentation fault is written into that one, too."""
    assert run(FAULT_AFTER_REOPENING, path).returncode == -signal.SIGSEGV
    assert fault_in(path.with_name(f"{path.name}.anew"))[-1:] == ["string_at"]


def fault_in(path: Path) -> list[str]:
    """The functions of the thread that died of a fault."""
    dumps = SelfDumps(str(path))
    found = [dump for thread in dumps.threads if (dump := dumps.of(thread)) and dump.by == "fault"]
    return [frame.function for dump in found for frame in dump.stack]


def test_stopped_switches_leave_no_file_and_no_death(path: Path) -> None:
    """After the end the file is gone, and a signal that was still on its way does no harm."""
    script = (
        READY
        + """
number = dead._switches[native()].signal
dead.stop(remove=True)
signal.raise_signal(number)
say(os.listdir(os.path.dirname(path)))
"""
    )
    assert said(script, path) == [[]]


# Faults, forks, and what is the application's


def test_segmentation_fault_is_in_the_file(path: Path) -> None:
    """The thread that dies of a fault writes its stack."""
    script = READY + "def broken():\n    ctypes.string_at(0)\nbroken()\n"
    assert run(script, path).returncode == -signal.SIGSEGV
    assert fault_in(path)[-2:] == ["broken", "string_at"]


FORK = (
    READY
    + """
number = dead._switches[native()].signal
say(catches(number), catches(signal.SIGSEGV))
child = os.fork()
if child == 0:
    say(catches(number), catches(signal.SIGSEGV))
    ctypes.string_at(0)
_, ended = os.waitpid(child, 0)
say(os.WTERMSIG(ended), catches(number), catches(signal.SIGSEGV))
with open(path, "rb") as file:
    file.seek(4096)
    say(any(file.read()))
dead.arm()
burn()
say(wrote(dead))
"""
)


@pytest.mark.slow
def test_forked_child_has_no_switch_and_no_handler(path: Path) -> None:
    """It dies of a fault without a word in its parent's file; the parent goes on as before."""
    parent, child = [True, True], [False, False]
    assert said(FORK, path) == [*parent, *child, signal.SIGSEGV, *parent, False, "burn"]


def test_forked_child_has_switches_of_its_own(path: Path) -> None:
    """Once it opens a file it writes there, and not into its parent's."""
    script = (
        READY
        + """
child = os.fork()
if child == 0:
    dead = DeadMan()
    dead.open(path + ".child")
    dead.watch(ident(), native())
    dead.arm()
    burn()
    say(wrote(dead))
    os._exit(0)
os.waitpid(child, 0)
say(wrote(dead), any(proofs(dead)))
"""
    )
    assert said(script, path) == ["burn", None, False]


HANDLER = "signal.signal(signal.SIGABRT, lambda *_: say('handled'))\n"
ABORT = "signal.raise_signal(signal.SIGABRT)\nsay('alive')\n"


@pytest.mark.parametrize("before", [True, False], ids=["before", "after"])
def test_handler_of_abort_is_the_applications(path: Path, before: bool) -> None:
    """A handler of SIGABRT in Python (Gunicorn's timeout) is called, whoever came first."""
    script = HANDLER + READY + ABORT if before else READY + HANDLER + ABORT
    assert said(script, path) == ["handled", "alive"]
    assert fault_in(path) == []


def test_abort_that_is_ignored_stays_ignored(path: Path) -> None:
    """SIG_IGN is the application's will as well."""
    script = "signal.signal(signal.SIGABRT, signal.SIG_IGN)\n" + READY + ABORT
    assert said(script, path) == ["alive"]


def test_abort_that_nobody_handles_is_in_the_file(path: Path) -> None:
    """It ends the process as ever, and leaves the stack."""
    script = READY + "def gives_up():\n    os.abort()\ngives_up()\n"
    assert run(script, path).returncode == -signal.SIGABRT
    assert fault_in(path)[-1:] == ["gives_up"]


@pytest.mark.parametrize("before", [True, False], ids=["before", "after"])
def test_handler_of_abort_lives_on_in_a_fork(path: Path, before: bool) -> None:
    """A child of the application's still has the application's handler."""
    first = HANDLER + READY if before else READY + HANDLER
    script = (
        first
        + """
child = os.fork()
if child == 0:
    signal.raise_signal(signal.SIGABRT)
    os._exit(0)
say(os.waitpid(child, 0)[1])
"""
    )
    assert said(script, path) == ["handled", 0]


@pytest.mark.slow
def test_faulthandler_of_the_user_is_left_alone(path: Path) -> None:
    """With -X faulthandler a fault is on stderr, as the user asked; the switches work as well."""
    script = READY + "dead.arm()\nburn()\nsay(wrote(dead))\nctypes.string_at(0)\n"
    done = run(script, path, "-X", "faulthandler")
    assert done.returncode == -signal.SIGSEGV
    assert done.stdout == '["burn"]\n'
    assert done.stderr.startswith("Fatal Python error: Segmentation fault")
    assert fault_in(path) == []


def test_faulthandler_of_the_user_lives_on_in_a_fork(path: Path) -> None:
    """Neither is it taken from a child."""
    script = READY + "child = os.fork()\nchild or ctypes.string_at(0)\nos.waitpid(child, 0)\n"
    assert "Segmentation fault" in run(script, path, "-X", "faulthandler").stderr


def test_signal_that_the_application_handles_is_not_taken(path: Path) -> None:
    """A real-time signal with a handler is none of those to spare."""
    script = """
mine = signal.SIGRTMAX - 1
signal.signal(mine, lambda *_: say("mine"))
dead = DeadMan()
dead.open(path)
dead.watch(ident(), native())
say(mine in dead._free, SelfDumps(path).threads[native()] == mine)
signal.raise_signal(mine)
"""
    assert said(script, path) == [False, False, "mine"]
