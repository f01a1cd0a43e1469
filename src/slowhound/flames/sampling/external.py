"""Starts a process that samples a request's thread from outside, where the GIL does not matter.

For Python 3.14 and newer, Linux, and requests that have a thread to themselves. Sampling in the
process continues beside it: where the external process cannot start, must not read, or dies, the
profile has those samples.

It is no child of the worker, or code that waits for *any* child would notice it: a view that called
``os.wait()`` until there was no child left hung as long as the profile ran. A handler of SIGCHLD
would be called for it, and a sleep in C would end early. So the process that is started forks, and
ends at once. It is a child for some 20 ms until then: so it is started only where there is no other
child and no such handler, and where the grandchild does not become a child of the worker again.
"""

from __future__ import annotations

import contextlib
import ctypes
import importlib.util
import os
import select
import signal
import sys
from typing import Any, NamedTuple

from slowhound.core.record import Record
from slowhound.flames.sampling import external_process
from slowhound.frames.frames import Frame, Stack
from slowhound.runtime.own_log import log
from slowhound.runtime.signal_handlers import caught_signals
from slowhound.runtime.unpatched import is_patched

# Seconds to end by itself, and for the intermediate process to die after it was killed; no
# request's thread waits for that.
EXTERNAL_ENDS_WITHIN, INTERMEDIATE_DIES_WITHIN = 0.3, 5.0
_YAMA = "/proc/sys/kernel/yama/ptrace_scope"
_PR_SET_PTRACER, _PR_GET_CHILD_SUBREAPER = 0x59616D61, 37


class ExternalSample(NamedTuple):
    """A sample from outside: when (monotonic), the thread's CPU seconds by then, and its stack."""

    at: float
    cpu: float
    stack: Stack


def possible(record: Record) -> bool:
    """True when another process can read this request's stacks, if the kernel allows it."""
    return (
        sys.platform == "linux"
        and sys.version_info >= (3, 14)
        and record.task is None
        and record.greenlet is None
        and not is_patched()
        # Under uWSGI it is the path of uWSGI.
        and os.path.basename(sys.executable or "").startswith("python")
        and importlib.util.find_spec("_remote_debugging") is not None
        and not _is_caught(signal.SIGCHLD)
        and not _adopts_orphans()
    )


def _is_caught(number: int) -> bool:
    """True when this process has a handler of this signal, or may have one."""
    caught = caught_signals()
    return caught is None or number in caught


def _has_children() -> bool:
    try:
        # Reaps none, so a wait of the application still gets it.
        os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
    except ChildProcessError:
        return False
    except OSError:  # a filter of system calls
        pass
    return True


def _adopts_orphans() -> bool:
    """True when an orphaned grandchild becomes a child: a worker may be the init of a container."""
    found = ctypes.c_int(1)
    ctypes.CDLL(None).prctl(_PR_GET_CHILD_SUBREAPER, ctypes.byref(found), 0, 0, 0)
    return os.getpid() == 1 or found.value != 0


def _pidfd_of_child(pid: int) -> int:
    """A descriptor of this child, which stays that of the child when its id is used again."""
    fd = -1
    try:
        fd = os.pidfd_open(pid)
        os.waitid(os.P_PIDFD, fd, os.WEXITED | os.WNOHANG | os.WNOWAIT)
    except OSError:  # Linux before 5.4
        _closed(fd)
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
        raise
    return fd


def _reaped(child: int) -> bool:
    """True when it has ended and is no zombie."""
    try:
        return os.waitid(os.P_PIDFD, child, os.WEXITED | os.WNOHANG) is not None
    except ChildProcessError:  # the application has waited for all children, or ignores SIGCHLD
        return True


def _wait_for(fd: int, events: int, seconds: float) -> None:
    """Waits for these events, or until the process at the other end has ended."""
    poll = select.poll()
    poll.register(fd, events)
    poll.poll(seconds * 1000)


class ExternalSampler:
    """The external process, from its start to its end; no method raises."""

    def __init__(self) -> None:
        self.pid = 0  # 0: not known yet
        self._child = -1  # pidfd of the intermediate process
        self._restricted = self._allowed = False
        self._output = -1
        # Pipes: one tells it to stop, with the other it sends its id; that one is closed when it
        # has ended.
        self._stop_read = self._stop_write = self._pid_read = self._pid_write = -1

    def prepare(self) -> None:
        """Does what releases the GIL, while no request's thread is sampled that may keep it."""
        with contextlib.suppress(OSError):
            # In memory, and not a pipe: it need not be read meanwhile, and stays when the external
            # process is killed.
            self._output = os.memfd_create("slowhound")
            self._stop_read, self._stop_write = os.pipe()
            self._pid_read, self._pid_write = os.pipe()
            os.set_blocking(self._pid_read, False)
        with contextlib.suppress(OSError), open(_YAMA, "rb") as scope:
            self._restricted = scope.read().strip() == b"1"

    def start(self, thread: int, seconds: float) -> None:
        """Starts it for a thread of this process, by the system's id; does not wait."""
        if self._pid_write < 0 or _has_children():
            return
        pid = os.getpid()
        script = os.path.abspath(external_process.__file__)
        argv = [sys.executable, "-I", "-S", script, str(pid), str(thread), f"{seconds:g}"]
        # The whole environment would have the application's secrets in one more process.
        environ = {name: os.environ[name] for name in ("LD_LIBRARY_PATH",) if name in os.environ}
        actions: list[tuple[Any, ...]] = [
            (os.POSIX_SPAWN_DUP2, self._stop_read, 0),
            (os.POSIX_SPAWN_DUP2, self._output, 1),
            (os.POSIX_SPAWN_DUP2, self._pid_write, 2),
        ]
        if hasattr(os, "POSIX_SPAWN_CLOSEFROM"):  # listening sockets are inheritable
            actions.append((os.POSIX_SPAWN_CLOSEFROM, 3))
        try:
            # Not subprocess, which releases the GIL ten times. Signals are blocked in the thread
            # that calls this.
            pid = os.posix_spawn(sys.executable, argv, environ, file_actions=actions, setsigmask=())
            self._child = _pidfd_of_child(pid)
        except Exception as exc:  # noqa: BLE001  no process, no memory, an audit hook, ...
            log.debug("slowhound: no external sampler for the profile: %r", exc)
        # Else its end would not be noticed.
        self._pid_write = _closed(self._pid_write)

    def tend(self) -> None:
        """Call it repeatedly after the start; does not wait."""
        if self._child >= 0 and _reaped(self._child):
            self._child = _closed(self._child)
        if not self.pid and self._pid_read >= 0:
            self._read_pid()

    def _read_pid(self) -> None:
        try:
            self.pid = int(os.read(self._pid_read, 32))
        except BlockingIOError:
            return
        except (OSError, ValueError):  # the external process has ended
            self._pid_read = _closed(self._pid_read)
            return
        if self._restricted:
            self._allow(self.pid)

    def _allow(self, pid: int) -> None:
        """Allows ``pid`` to read this process, where only ancestors may; 0: none, as before."""
        self._allowed = pid != 0
        ctypes.CDLL(None).prctl(_PR_SET_PTRACER, ctypes.c_ulong(pid), 0, 0, 0)

    def end(self) -> None:
        """Ends it, and waits some milliseconds for that."""
        if self._child >= 0:
            with contextlib.suppress(OSError):
                signal.pidfd_send_signal(self._child, signal.SIGKILL)
            _wait_for(self._child, select.POLLIN, INTERMEDIATE_DIES_WITHIN)
            _reaped(self._child)
        with contextlib.suppress(OSError):
            # Closing it would not be enough: a child forked meanwhile has it open as well.
            os.write(self._stop_write, b".")
        self._pid_write = _closed(self._pid_write)
        if self._pid_read >= 0:
            _wait_for(self._pid_read, 0, EXTERNAL_ENDS_WITHIN)
        if self._allowed:
            self._allow(0)
        self._child, self._pid_read = _closed(self._child), _closed(self._pid_read)
        self._stop_read, self._stop_write = _closed(self._stop_read), _closed(self._stop_write)

    def take(self) -> list[ExternalSample]:
        """All its samples, in order; empty the second time."""
        output, self._output = self._output, -1
        if output < 0:
            return []
        try:
            return decoded(os.pread(output, 2 * external_process.MOST_BYTES, 0))
        except OSError:
            return []
        finally:
            _closed(output)

    def __del__(self) -> None:
        # In a forked child, and when the session was not stopped.
        pipes = (self._stop_read, self._stop_write, self._pid_read, self._pid_write)
        for each in (*pipes, self._output, self._child):
            _closed(each)


def _closed(fd: int) -> int:
    if fd >= 0:
        with contextlib.suppress(OSError):
            os.close(fd)
    return -1


def decoded(data: bytes) -> list[ExternalSample]:
    """The samples in the output of an external process, which may end anywhere."""
    found: list[ExternalSample] = []
    stacks: list[Stack] = []
    with contextlib.suppress(ValueError, IndexError):  # the lines after it may refer to it
        for line in data.split(b"\n")[:-1]:  # the last one is empty, or torn
            first, *fields = line.split(b"\t")
            if first == external_process.STACK:
                stacks.append(_frames(fields))
            else:
                cpu, number = fields
                found.append(ExternalSample(float(first), float(cpu), stacks[int(number)]))
    return found


def _frames(fields: list[bytes]) -> Stack:
    each = iter(fields)
    return tuple(
        Frame(file.decode("unicode_escape"), int(line), name.decode("unicode_escape"))
        for file, line, name in zip(each, each, each, strict=True)
    )
