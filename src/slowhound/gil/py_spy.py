"""Reads stacks of another Python process with py-spy, where that is installed.

py-spy (https://github.com/benfred/py-spy) reads the memory of the process. With ``--nonblocking``
it does not stop it. It is a separate process, started by Gunicorn's arbiter or a command
(``sidecar``, ``dump``, ``doctor``), never by a worker. It needs the kernel's permission (ptrace),
as a debugger does. ``slowhound[pyspy]`` installs it.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys

import msgspec

from slowhound.event.formats import one_line
from slowhound.frames.frames import Frame, Stack
from slowhound.gil.reading import NotRead, Reading, stable
from slowhound.runtime.library_names import NOT_JSON, Errors
from slowhound.runtime.own_log import log

# Seconds for one of the two readings. One takes 0.1 on an idle machine.
READ_TIME_LIMIT = 2.0
# What is raised where py-spy is missing, or its output is not what it should be.
PY_SPY_ERRORS: Errors = (OSError, subprocess.SubprocessError, *NOT_JSON)
# Characters of its error message.
LONGEST_REASON = 200


class _Frame(msgspec.Struct):
    name: str
    filename: str
    line: int = 0


class _Thread(msgspec.Struct):
    frames: list[_Frame]
    os_thread_id: int | None = None
    owns_gil: bool = False


_decode = msgspec.json.Decoder(list[_Thread]).decode


def command() -> str | None:
    """The path of py-spy: of this interpreter's environment, else on the PATH; None: there is none.

    Raises nothing.
    """
    beside = os.path.join(os.path.dirname(sys.executable or ""), "py-spy")
    return beside if os.access(beside, os.X_OK) else shutil.which("py-spy")


def read(pid: int, python: str = "") -> Reading | None:
    """As ``read_or_raise``; None when py-spy cannot read the process."""
    try:
        return read_or_raise(pid, python)
    except NotRead as why:
        log.debug("slowhound: py-spy cannot read pid %d: %s", pid, why)
        return None


def read_or_raise(pid: int, _python: str = "") -> Reading:
    """The stack of each thread by the kernel's id; takes at most 4 s.

    Raises:
        NotRead: there is no py-spy, or it cannot read the process.
    """
    program = command()
    if program is None:
        raise NotRead("not installed (pip install 'slowhound[pyspy]')")
    try:
        first, second = _dump(program, pid), _dump(program, pid)
    except PY_SPY_ERRORS as exc:
        raise NotRead(_why(exc)) from exc
    stacks = stable(_stacks(first), _stacks(second))
    # Each is of one moment: only a thread that held the GIL both times is reported as its holder.
    both = {each.os_thread_id for each in first if each.owns_gil} & {
        each.os_thread_id for each in second if each.owns_gil
    }
    holder = both.pop() if len(both) == 1 else None
    if not stacks:
        raise NotRead("two readings have no stack in common")
    return Reading(stacks, "py-spy", holder)


def _why(exc: BaseException) -> str:
    """What went wrong, on a line; py-spy's message may quote the process that it reads."""
    if isinstance(exc, subprocess.TimeoutExpired):
        return f"not done after {exc.timeout:g} s"
    if isinstance(exc, OSError):
        return one_line(str(exc))
    if not isinstance(exc, subprocess.CalledProcessError):
        return "what it wrote are no stacks"
    code = exc.returncode
    ended = f"exit code {code}" if code >= 0 else f"ended by signal {-code}"
    # Its first line is the error; a trace of its own stack may follow.
    message = exc.stderr.decode("utf-8", "replace").strip().partition("\n")[0]
    return f"{ended}: {one_line(message[:LONGEST_REASON])}" if message else ended


def _dump(program: str, pid: int) -> list[_Thread]:
    argv = [program, "dump", "--nonblocking", "--json", "--pid", str(pid)]
    done = subprocess.run(  # noqa: S603  our own words and a number
        argv,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        timeout=READ_TIME_LIMIT,
        check=True,
    )
    return _decode(done.stdout)


def _stacks(threads: list[_Thread]) -> dict[int, Stack]:
    return {
        each.os_thread_id: tuple(_plain(frame) for frame in reversed(each.frames))
        for each in threads
        if each.os_thread_id is not None
    }


def _plain(frame: _Frame) -> Frame:
    # py-spy has the qualified name, all other ways the bare one.
    return Frame(frame.filename, frame.line, frame.name.rpartition(".")[2])
