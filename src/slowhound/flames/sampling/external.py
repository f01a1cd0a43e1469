"""A request's thread is read by a process of its own, which no GIL can keep waiting.

Python 3.14 and newer, Linux, and requests that have a thread to themselves. Sampling in the process
goes on beside it: where the reader cannot start, may not read, or dies, that is what the profile
has.

It is no child of the worker, or what waits for *any* child would notice it: a view that called
``os.wait()`` until there was no child left hung as long as the profile ran. A handler of SIGCHLD
would be called for it, and a sleep in C end early. So the process that is started forks, and ends
at once. For the some 20 ms until then there is a child: it is started only where there is no other
one and no such handler, and where the grandchild is not given back to the worker.
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

# Seconds that it has to end by itself, and that the process in between has after it was killed: on
# no request's thread.
ENDS_WITHIN, DIES_WITHIN = 0.3, 5.0
_YAMA = "/proc/sys/kernel/yama/ptrace_scope"
_PR_SET_PTRACER, _PR_GET_CHILD_SUBREAPER = 0x59616D61, 37


class Read(NamedTuple):
    """A look from outside: when (monotonic), the thread's CPU seconds by then, and its stack."""

    at: float
    cpu: float
    stack: Stack


def possible(record: Record) -> bool:
    """True when another process could read this request's stacks, if the kernel allows it."""
    return (
        sys.platform == "linux"
        and sys.version_info >= (3, 14)
        and record.task is None
        and record.greenlet is None
        and not is_patched()
        # Inside of uWSGI it names uWSGI.
        and os.path.basename(sys.executable or "").startswith("python")
        and importlib.util.find_spec("_remote_debugging") is not None
        and not _is_caught(signal.SIGCHLD)
        and not _takes_orphans()
    )


def _is_caught(number: int) -> bool:
    """True when this process has a handler of this signal, or may have one."""
    caught = caught_signals()
    return caught is None or number in caught


def _has_children() -> bool:
    try:
        # Takes nothing away from whoever waits for one.
        os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
    except ChildProcessError:
        return False
    except OSError:  # a filter of system calls
        pass
    return True


def _takes_orphans() -> bool:
    """True when a grandchild becomes a child again: in a container a worker may be its init."""
    found = ctypes.c_int(1)
    ctypes.CDLL(None).prctl(_PR_GET_CHILD_SUBREAPER, ctypes.byref(found), 0, 0, 0)
    return os.getpid() == 1 or found.value != 0


def _sure(pid: int) -> int:
    """A descriptor that is this child, also when its id is used again."""
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
    """True when it has ended, and is no zombie any more."""
    try:
        return os.waitid(os.P_PIDFD, child, os.WEXITED | os.WNOHANG) is not None
    except ChildProcessError:  # the application has waited for all children, or wants no zombies
        return True


def _wait_for(fd: int, events: int, seconds: float) -> None:
    """Waits for these events, and for the end of whoever is at the other end."""
    poll = select.poll()
    poll.register(fd, events)
    poll.poll(seconds * 1000)


class Reader:
    """The process, from its start to its end; nothing here raises."""

    def __init__(self) -> None:
        self.pid = 0  # once it has said so
        self._child = -1  # the process in between: its pidfd
        self._restricted = self._allowed = False
        self._output = -1
        # It is told to end by a word, and tells its id; the other end is gone when it is.
        self._said = self._word = self._told = self._tells = -1

    def prepare(self) -> None:
        """What lets go of the GIL, before there is somebody who would not give it back."""
        with contextlib.suppress(OSError):
            # In memory, and not a pipe: nobody has to read it meanwhile, and it outlives a reader
            # that is killed.
            self._output = os.memfd_create("slowhound")
            self._said, self._word = os.pipe()
            self._told, self._tells = os.pipe()
            os.set_blocking(self._told, False)
        with contextlib.suppress(OSError), open(_YAMA, "rb") as scope:
            self._restricted = scope.read().strip() == b"1"

    def start(self, thread: int, seconds: float) -> None:
        """Starts it for a thread of this process, by the system's id; never waits for it."""
        if self._tells < 0 or _has_children():
            return
        pid = os.getpid()
        script = os.path.abspath(external_process.__file__)
        argv = [sys.executable, "-I", "-S", script, str(pid), str(thread), f"{seconds:g}"]
        # The whole environment would show the application's secrets in one more place.
        environ = {name: os.environ[name] for name in ("LD_LIBRARY_PATH",) if name in os.environ}
        actions: list[tuple[Any, ...]] = [
            (os.POSIX_SPAWN_DUP2, self._said, 0),
            (os.POSIX_SPAWN_DUP2, self._output, 1),
            (os.POSIX_SPAWN_DUP2, self._tells, 2),
        ]
        if hasattr(os, "POSIX_SPAWN_CLOSEFROM"):  # a listening socket is meant to be inherited
            actions.append((os.POSIX_SPAWN_CLOSEFROM, 3))
        try:
            # Not subprocess, which loses the GIL ten times on the way. Signals are blocked in
            # the thread that calls this.
            pid = os.posix_spawn(sys.executable, argv, environ, file_actions=actions, setsigmask=())
            self._child = _sure(pid)
        except Exception as exc:  # noqa: BLE001  no process, no memory, an audit hook's veto, ...
            log.debug("slowhound: no reader for the profile: %r", exc)
        # Or its end would not be seen.
        self._tells = _closed(self._tells)

    def tend(self) -> None:
        """To be called again and again after the start; never waits."""
        if self._child >= 0 and _reaped(self._child):
            self._child = _closed(self._child)
        if not self.pid and self._told >= 0:
            self._hear()

    def _hear(self) -> None:
        try:
            self.pid = int(os.read(self._told, 32))
        except BlockingIOError:
            return
        except (OSError, ValueError):  # it has ended
            self._told = _closed(self._told)
            return
        if self._restricted:
            self._allow(self.pid)

    def _allow(self, pid: int) -> None:
        """Where only ancestors may read, says that this process may; 0: none, as before."""
        self._allowed = pid != 0
        ctypes.CDLL(None).prctl(_PR_SET_PTRACER, ctypes.c_ulong(pid), 0, 0, 0)

    def end(self) -> None:
        """Ends it, and waits for that: some milliseconds."""
        if self._child >= 0:
            with contextlib.suppress(OSError):
                signal.pidfd_send_signal(self._child, signal.SIGKILL)
            _wait_for(self._child, select.POLLIN, DIES_WITHIN)
            _reaped(self._child)
        with contextlib.suppress(OSError):
            # To close it would not do: a child that was forked meanwhile has it open as well.
            os.write(self._word, b".")
        self._tells = _closed(self._tells)
        if self._told >= 0:
            _wait_for(self._told, 0, ENDS_WITHIN)
        if self._allowed:
            self._allow(0)
        self._child, self._told = _closed(self._child), _closed(self._told)
        self._said, self._word = _closed(self._said), _closed(self._word)

    def take(self) -> list[Read]:
        """All that it has seen, in order; empty the second time."""
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
        # In a forked child, and when nobody asked for the profile.
        pipes = (self._said, self._word, self._told, self._tells)
        for each in (*pipes, self._output, self._child):
            _closed(each)


def _closed(fd: int) -> int:
    if fd >= 0:
        with contextlib.suppress(OSError):
            os.close(fd)
    return -1


def decoded(data: bytes) -> list[Read]:
    """The looks in what a reader has written; it may end anywhere."""
    found: list[Read] = []
    stacks: list[Stack] = []
    with contextlib.suppress(ValueError, IndexError):  # what follows may count on it
        for line in data.split(b"\n")[:-1]:  # the last one is empty, or torn
            first, *fields = line.split(b"\t")
            if first == external_process.STACK:
                stacks.append(_frames(fields))
            else:
                cpu, number = fields
                found.append(Read(float(first), float(cpu), stacks[int(number)]))
    return found


def _frames(fields: list[bytes]) -> Stack:
    each = iter(fields)
    return tuple(
        Frame(file.decode("unicode_escape"), int(line), name.decode("unicode_escape"))
        for file, line, name in zip(each, each, each, strict=True)
    )
