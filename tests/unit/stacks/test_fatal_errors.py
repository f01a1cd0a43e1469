"""The stacks of a fatal error: when they are written, and what is read from any file."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from slowhound.frames.frames import from_faulthandler
from slowhound.stacks.fatal_errors import FatalStacks, of_box
from tests.unit.frames.test_from_faulthandler import FATAL_3_14, INNER, OUTER

ANY_FILE = settings(
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
    max_examples=50,
)


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


# When it is written. Each case is a process of its own, for it is about its signals.
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
