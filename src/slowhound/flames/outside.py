"""A request's thread is read by a process of its own, which no GIL can keep waiting.

Python 3.14 and newer, Linux, and requests that have a thread to themselves. Sampling in the process
goes on beside it: where the reader cannot start, may not read, or dies, that is what the profile
has.

It is a child of the worker, and what waits for *any* child would notice it: a view that called
``os.wait()`` until there was no child left hung as long as the profile ran. A handler of SIGCHLD
would be called for it, and a sleep in C end early. So it is started only where there is no other
child and no such handler, and it is gone before the application forks.
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

from slowhound.caught_signals import caught_signals
from slowhound.flames import reader
from slowhound.frames import Frame, Stack
from slowhound.guard import log
from slowhound.osthread import is_patched
from slowhound.record import Record

# Seconds that it has to end by itself, and then after it was killed: on no request's thread.
ENDS_WITHIN, DIES_WITHIN = 0.3, 5.0
# After it was killed because the application forks, which waits for that: 1 ms.
FORK_WAITS = 0.1
_YAMA = "/proc/sys/kernel/yama/ptrace_scope"
_PR_SET_PTRACER = 0x59616D61


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


class Child(NamedTuple):
    """The process: its id, and a descriptor that is it for sure, also when the id is reused."""

    pid: int
    fd: int

    def ended(self, seconds: float) -> bool:
        """Waits for its end, for so long at most; True when it is gone, and no zombie."""
        poll = select.poll()
        poll.register(self.fd, select.POLLIN)
        if not poll.poll(seconds * 1000):
            return False
        with contextlib.suppress(ChildProcessError):  # the application has waited for all children
            os.waitpid(self.pid, os.WNOHANG)
        return True

    def kill(self, seconds: float) -> None:
        """Ends it at once, and waits for that."""
        with contextlib.suppress(OSError):
            signal.pidfd_send_signal(self.fd, signal.SIGKILL)
        self.ended(seconds)


def _child(pid: int) -> Child:
    try:
        return Child(pid, os.pidfd_open(pid))
    except OSError:  # Linux before 5.3
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
        raise


class Reader:
    """The process, from its start to its end; nothing here raises."""

    def __init__(self) -> None:
        # None or one; whoever takes it out ends it.
        self._children: list[Child] = []
        self._allowed = False
        self._said = self._output = self._word = -1

    def prepare(self) -> None:
        """What lets go of the GIL, before there is somebody who would not give it back."""
        with contextlib.suppress(OSError):
            # In memory, and not a pipe: nobody has to read it meanwhile, and it outlives a reader
            # that is killed.
            self._output = os.memfd_create("slowhound")
            self._said, self._word = os.pipe()

    def start(self, thread: int, seconds: float) -> None:
        """Starts it for a thread of this process, by the system's id; never waits for it."""
        if self._word < 0 or _has_children():
            return
        pid = os.getpid()
        script = os.path.abspath(reader.__file__)
        argv = [sys.executable, "-I", "-S", script, str(pid), str(thread), f"{seconds:g}"]
        # The whole environment would show the application's secrets in one more place.
        environ = {name: os.environ[name] for name in ("LD_LIBRARY_PATH",) if name in os.environ}
        actions: list[tuple[Any, ...]] = [
            (os.POSIX_SPAWN_DUP2, self._said, 0),
            (os.POSIX_SPAWN_DUP2, self._output, 1),
            (os.POSIX_SPAWN_OPEN, 2, os.devnull, os.O_WRONLY, 0),
        ]
        if hasattr(os, "POSIX_SPAWN_CLOSEFROM"):  # a listening socket is meant to be inherited
            actions.append((os.POSIX_SPAWN_CLOSEFROM, 3))
        try:
            # Not subprocess, which loses the GIL ten times on the way. Signals are blocked in
            # the thread that calls this.
            pid = os.posix_spawn(sys.executable, argv, environ, file_actions=actions, setsigmask=())
            self._children.append(_child(pid))
            _running.add(self)
            self._allow(pid)
        except Exception as exc:  # noqa: BLE001  no process, no memory, an audit hook's veto, ...
            log.debug("slowhound: no reader for the profile: %r", exc)

    def _allow(self, pid: int) -> None:
        """Where only ancestors may read, says that this process may; 0: none, as before."""
        with contextlib.suppress(OSError), open(_YAMA, "rb") as scope:
            if scope.read().strip() == b"1":
                ctypes.CDLL(None).prctl(_PR_SET_PTRACER, ctypes.c_ulong(pid), 0, 0, 0)
                self._allowed = pid != 0

    def end(self) -> None:
        """Ends it, and waits for that: some milliseconds."""
        while self._children:
            child = self._children.pop()
            with contextlib.suppress(OSError):
                # To close it would not do: a child that was forked meanwhile has it open as well.
                os.write(self._word, b".")
            if not child.ended(ENDS_WITHIN):
                child.kill(DIES_WITHIN)
            _closed(child.fd)
        _running.discard(self)
        if self._allowed:
            self._allow(0)
        self._said, self._word = _closed(self._said), _closed(self._word)

    def end_now(self) -> None:
        """Kills it; what it has written stays."""
        with contextlib.suppress(IndexError):  # another thread ends it
            child = self._children.pop()
            child.kill(FORK_WAITS)
            _closed(child.fd)

    def take(self) -> list[Read]:
        """All that it has seen, in order; empty the second time."""
        output, self._output = self._output, -1
        if output < 0:
            return []
        try:
            return decoded(os.pread(output, 2 * reader.MOST_BYTES, 0))
        except OSError:
            return []
        finally:
            _closed(output)

    def __del__(self) -> None:
        # In a forked child, and when nobody asked for the profile.
        for each in (self._said, self._word, self._output, *(each.fd for each in self._children)):
            _closed(each)


# Those that have a child.
_running: set[Reader] = set()


def _end_before_fork() -> None:
    for each in list(_running):
        each.end_now()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=_end_before_fork, after_in_child=_running.clear)


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
            if first == reader.STACK:
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
