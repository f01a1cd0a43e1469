"""The stacks of a fatal error: when they are written, and what is read from any file."""

from __future__ import annotations

import faulthandler
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from slowhound.frames.frames import Dumped, Frame, from_faulthandler
from slowhound.stacks.fatal_errors import FatalStacks, of_box

ANY_FILE = settings(
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
    max_examples=50,
)
INNER, OUTER = Frame("/app/views.py", 12, "total"), Frame("/app/wsgi.py", 3, "call")
STACK = '  File "/app/views.py", line 12 in total\n  File "/app/wsgi.py", line 3 in call\n'

# What Python 3.14 writes of a segmentation fault.
FATAL_3_14 = f"""\
Fatal Python error: Segmentation fault

Thread 0x00007f5b0c7fe6c0 [nightly import] (most recent call first):
  File "/usr/lib/python3.14/threading.py", line 1024 in run
  File "/usr/lib/python3.14/threading.py", line 1082 in _bootstrap_inner

Current thread 0x00007f5b0d2f8740 [python3.14] (most recent call first):
{STACK}
Current thread's C stack trace (most recent call first):
  Binary file "/usr/bin/python3.14", at _Py_DumpStack+0x3a [0x6a3b4a]
  Binary file "/lib/x86_64-linux-gnu/libc.so.6", at +0x3c050 [0x7f5b0d11a050]
  <truncated rest of calls>

Extension modules: msgspec._core, _cffi_backend (total: 2)
"""


def test_fatal_error_of_3_14() -> None:
    """Names of threads, the stack of C and the list of extensions are no frames."""
    other, current = from_faulthandler(FATAL_3_14)
    assert (other.ident, other.current) == (0x7F5B0C7FE6C0, False)
    assert [frame.function for frame in other.stack] == ["_bootstrap_inner", "run"]
    assert current == Dumped(0x7F5B0D2F8740, True, (OUTER, INNER))


def test_stack_of_one_thread() -> None:
    """What a handler writes for its own thread names no thread; outermost frame first."""
    (found,) = from_faulthandler(f"Stack (most recent call first):\n{STACK}")
    assert found == Dumped(0, True, (OUTER, INNER))


def test_frame_of_which_little_is_known() -> None:
    """`???` in the place of a line is 0; of a file, without its quotes, or a function it stays."""
    text = """\
Stack (most recent call first):
  File "a.py", line ??? in f
  File ???, line 3 in call
  File ???, line ??? in ???
"""
    (found,) = from_faulthandler(text)
    assert found.stack == (Frame("???", 0, "???"), Frame("???", 3, "call"), Frame("a.py", 0, "f"))


def test_stack_that_is_cut_off() -> None:
    """The frames that are whole count, and `...` for a deeper stack is none."""
    text = f"Stack (most recent call first):\n{STACK}  ...\n"
    assert from_faulthandler(text)[0].stack == (OUTER, INNER)
    for end in range(len(text)):
        stacks = [each.stack for each in from_faulthandler(text[:end])]
        assert all(frame[:2] in {OUTER[:2], INNER[:2]} for stack in stacks for frame in stack)


def test_names_that_are_cut_off() -> None:
    """faulthandler cuts names at 500 characters and adds dots; they stay as they are."""
    name = "n" * 500 + "..."
    text = f'Stack (most recent call first):\n  File "/{name}", line 7 in {name}\n'
    assert from_faulthandler(text)[0].stack == (Frame(f"/{name}", 7, name),)


def test_name_with_quotes_in_it() -> None:
    """A file's name may hold what else ends it."""
    text = 'Stack (most recent call first):\n  File "/a", line 1 in b", line 7 in c\n'
    assert from_faulthandler(text)[0].stack[0].line in (1, 7)


@pytest.mark.parametrize("text", ["Thread 0x12 (most recent call first):\n", f"noise\n{STACK}"])
def test_thread_without_frames_and_frames_without_a_thread(text: str) -> None:
    """Neither is a stack."""
    assert from_faulthandler(text) == []


PIECES = st.sampled_from(
    [
        *FATAL_3_14.splitlines(keepends=True),
        "Stack (most recent call first):\n",
        '  File "',
        '", line ',
        "???",
        " in ",
        "  ...\n",
        "<no Python frame>\n",
        "Thread 0x",
        "9" * 40,
        "\0",
        "\ud800",
    ]
)


@pytest.mark.slow
@given(st.one_of(st.text(), st.lists(PIECES | st.text(max_size=5)).map("".join)))
@example("Thread 0x" + "f" * 400 + " (most recent call first):\n" + STACK)
@example('Stack (most recent call first):\n  File "a", line ' + "9" * 5000 + " in b\n")
def test_any_text_gives_a_result(text: str) -> None:
    """Reading never raises, and what it gives are frames."""
    for found in from_faulthandler(text):
        assert found.stack
        assert all(isinstance(each.line, int) and str(each) for each in found.stack)


def test_what_this_python_writes(tmp_path: Path) -> None:
    """The text of the running version is read back: this thread's and another's frames."""
    hold = threading.Event()
    ready = threading.Event()

    def waits() -> None:
        ready.set()
        hold.wait()

    other = threading.Thread(target=waits, name="nightly (import)")
    other.start()
    ready.wait()
    with (tmp_path / "dump").open("w+") as file:
        faulthandler.dump_traceback(file, all_threads=True)
        file.seek(0)
        found = {each.ident: each for each in from_faulthandler(file.read())}
    hold.set()
    other.join()
    assert other.ident is not None
    own = found[threading.get_ident()]
    assert own.current
    assert own.stack[-1].function == "test_what_this_python_writes"
    assert not found[other.ident].current
    assert "waits" in [frame.function for frame in found[other.ident].stack]


# The file


def test_fatal_error_has_the_stack_of_each_thread(tmp_path: Path) -> None:
    """The one that faulted, and those beside, which are known by their idents."""
    (tmp_path / "f").write_text(FATAL_3_14)
    found = FatalStacks(str(tmp_path / "f"))
    fault, bystander = found.of(0x7F5B0D2F8740), found.of(0x7F5B0C7FE6C0)
    assert fault is not None
    assert bystander is not None
    assert (fault.by, bystander.by) == ("fault", "bystander")
    assert fault.stack == (OUTER, INNER)
    assert fault.taken == (tmp_path / "f").stat().st_mtime
    assert bystander.stack[-1].function == "run"
    assert found.of(4711) is None


@ANY_FILE
@given(st.binary(max_size=2000))
def test_any_bytes_give_a_result(tmp_path: Path, data: bytes) -> None:
    """Another process writes the file, and it may be half written."""
    path = tmp_path / "f"
    path.write_bytes(data)
    FatalStacks(str(path)).of(1)


def test_no_file_no_stacks(tmp_path: Path) -> None:
    """Nothing beside the box, a link, a folder: there are no stacks."""
    box = str(tmp_path / "1-2.box")
    assert of_box(box) is None
    (tmp_path / "elsewhere").write_text(FATAL_3_14)
    stacks = tmp_path / "1-2.stacks"
    stacks.symlink_to(tmp_path / "elsewhere")
    assert of_box(box) is None
    stacks.unlink()
    stacks.mkdir()
    assert of_box(box) is None


def test_pipe_in_the_place_of_the_file_is_not_waited_for(tmp_path: Path) -> None:
    """A named pipe is no regular file, and nothing waits for it."""
    os.mkfifo(tmp_path / "1-2.stacks")
    assert of_box(str(tmp_path / "1-2.box")) is None


# Who writes it. Each case is a process of its own, for it is about its signals.

BEGIN = """
import ctypes, faulthandler, os, signal, subprocess, sys, threading
from slowhound.stacks import fatal_errors
path = sys.argv[1] + "/1-2.stacks"
"""
DIE = "\nctypes.string_at(0)\n"
C_HANDLER = r"""
#include <signal.h>
#include <unistd.h>
static void mine(int number) { write(1, "mine", 4); _exit(9); }
void take(int number) { signal(number, mine); }
"""


def run(folder: Path, script: str) -> subprocess.CompletedProcess[str]:
    """The end of a process that did this."""
    argv = [sys.executable, "-X", "utf8", "-c", BEGIN + script, str(folder)]
    return subprocess.run(argv, capture_output=True, text=True, timeout=30, check=False)


def written(folder: Path) -> list[str]:
    """The functions of the thread that died, outermost first."""
    found = from_faulthandler((folder / "1-2.stacks").read_text())
    return [frame.function for each in found if each.current for frame in each.stack]


def test_segmentation_fault_writes_the_stack(tmp_path: Path) -> None:
    """Into the file, and the process dies of the signal as it would have."""
    script = "fatal_errors.write_to(path)\ndef view():\n    ctypes.string_at(0)\nview()\n"
    done = run(tmp_path, script)
    assert done.returncode == -signal.SIGSEGV
    assert written(tmp_path)[:2] == ["<module>", "view"]
    assert done.stderr == ""


def test_handler_of_abort_is_given_back(tmp_path: Path) -> None:
    """Gunicorn ends a worker that timed out by SIGABRT, which is no fatal error then."""
    script = """
signal.signal(signal.SIGABRT, lambda *_: sys.exit(7))
fatal_errors.write_to(path)
signal.raise_signal(signal.SIGABRT)
"""
    assert run(tmp_path, script).returncode == 7
    assert written(tmp_path) == []


def test_faulthandler_that_the_application_switches_off_stays_off(tmp_path: Path) -> None:
    """Also when the box is made again, and in a forked child that has its own."""
    script = """
fatal_errors.write_to(path)
faulthandler.disable()
fatal_errors.write_to(path + "2")
pid = os.fork()
if pid: sys.exit(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
fatal_errors.write_to(path + "3")
sys.exit(5 if faulthandler.is_enabled() else 0)
"""
    assert run(tmp_path, script).returncode == 0


@pytest.mark.parametrize("when", ["before", "after"])
def test_faulthandler_of_the_application_stays(tmp_path: Path, when: str) -> None:
    """Whether it was enabled before or later, also in a forked child."""
    both = ["faulthandler.enable()", "fatal_errors.write_to(path)"]
    script = "\n".join(both if when == "before" else both[::-1])
    done = run(tmp_path, f"{script}\npid = os.fork()\nif pid: os.waitpid(pid, 0){DIE}")
    assert done.returncode == -signal.SIGSEGV
    assert done.stderr.count("Fatal Python error: Segmentation fault") == 2
    assert written(tmp_path) == []


@pytest.mark.parametrize("name", ["SIGSEGV", "SIGBUS", "SIGFPE", "SIGILL"])
def test_handler_of_a_library_stays(tmp_path: Path, name: str) -> None:
    """A Java machine, for one, lives on SIGSEGV; Python does not know of its handler."""
    (tmp_path / "lib.c").write_text(C_HANDLER)
    command = ["gcc", "-shared", "-fPIC", "-o", f"{tmp_path}/lib.so", f"{tmp_path}/lib.c"]
    subprocess.run(command, check=True)
    script = f"""
ctypes.CDLL(sys.argv[1] + "/lib.so").take(signal.{name})
fatal_errors.write_to(path)
os.kill(os.getpid(), signal.{name})
"""
    done = run(tmp_path, script)
    assert (done.returncode, done.stdout) == (9, "mine")
    assert written(tmp_path) == []


def test_forked_child_does_not_write_into_the_file_of_its_parent(tmp_path: Path) -> None:
    """Its fault is not its parent's; and it says nothing on standard error either."""
    script = """
fatal_errors.write_to(path)
pid = os.fork()
if pid == 0:
    ctypes.string_at(0)
assert os.waitpid(pid, 0)[1] == signal.SIGSEGV
"""
    done = run(tmp_path, script)
    assert (done.returncode, done.stderr) == (0, "")
    assert (tmp_path / "1-2.stacks").read_text() == ""


def test_new_file_takes_the_place_of_the_old_one(tmp_path: Path) -> None:
    """When the box was made again; no descriptor is left behind."""
    script = """
before = len(os.listdir("/proc/self/fd"))
fatal_errors.write_to(sys.argv[1] + "/0-0.stacks")
fatal_errors.write_to(path)
assert len(os.listdir("/proc/self/fd")) == before + 1
assert os.listdir(sys.argv[1]) == ["1-2.stacks"]
"""
    done = run(tmp_path, script + DIE)
    assert done.returncode == -signal.SIGSEGV, done.stderr
    assert written(tmp_path) == ["<module>", "string_at"]


def test_no_other_signal_is_handled(tmp_path: Path) -> None:
    """Only those of fatal errors have a handler afterwards that had none before."""
    script = """
def caught():
    lines = open("/proc/self/status").read().splitlines()
    mask = next(int(line.split()[1], 16) for line in lines if line.startswith("SigCgt:"))
    return {number for number in range(1, 65) if mask >> (number - 1) & 1}
before = caught()
fatal_errors.write_to(path)
fatal = {signal.SIGSEGV, signal.SIGBUS, signal.SIGFPE, signal.SIGILL, signal.SIGABRT}
assert caught() - before == fatal, caught() - before
"""
    assert run(tmp_path, script).returncode == 0
