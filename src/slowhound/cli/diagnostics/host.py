"""Checks what this host's kernel and container let slowhound read about sockets and processes."""

from __future__ import annotations

import faulthandler
import os
import socket
import sys
import threading
from collections.abc import Callable, Iterator

from slowhound.cli.diagnostics import Diagnostic
from slowhound.cli.diagnostics.trial import Trial, read_a_child
from slowhound.gil import py_spy, remote_unwinder
from slowhound.instrument.saturation import backlog
from slowhound.system import oom_kills
from slowhound.system.thread_state import waiting_for

# Readers as people know them, by ``Reading.by``.
READER_NAMES = {"remote": "Python's own reader"}
HELD_GIL_STACKS = "stacks while the GIL is held"
SYSTEM_CALLS = "system calls of threads"
OOM_KILLS = "out-of-memory kills"
PTRACE_SCOPE = "/proc/sys/kernel/yama/ptrace_scope"


def kernel() -> Iterator[Diagnostic]:
    """The sources of saturation and memory fields."""
    if not sys.platform.startswith("linux"):
        yield Diagnostic("note", "kernel", f"{sys.platform}: no backlog and no w_rss in the events")
        return
    for name, listener in _listeners():
        with listener:
            known = backlog([listener]) is not None
        state, text = ("ok", "can be read") if known else ("note", "cannot be read here")
        yield Diagnostic(state, f"backlog of {name} sockets", text)
    if not os.path.exists("/proc/self/statm"):
        yield Diagnostic("note", "/proc", "is not mounted: no w_rss in the events")


def _listeners() -> Iterator[tuple[str, socket.socket]]:
    tcp = socket.socket()
    tcp.bind(("127.0.0.1", 0))
    tcp.listen(1)
    yield "TCP", tcp
    unix = socket.socket(socket.AF_UNIX)
    unix.bind("")  # an abstract address from the kernel: a folder's path may be too long
    unix.listen(1)
    yield "unix", unix


def stacks() -> Iterator[Diagnostic]:
    """Whether stacks can be read while the GIL is held, and what a thread waits for."""
    yield held_gil_stacks(_ptrace_scope(), py_spy.command(), read_a_child)
    if waiting_for(threading.get_native_id()) is not None and _own_system_call():
        yield Diagnostic("ok", SYSTEM_CALLS, "can be read: reports show what a thread waits for")
    else:
        text = "cannot be read: reports show little or nothing about what a thread waits for"
        yield Diagnostic("note", SYSTEM_CALLS, text)


def _own_system_call() -> bool:
    try:
        with open(f"/proc/self/task/{threading.get_native_id()}/syscall", "rb") as call:
            return bool(call.read())
    except OSError:
        return False


def held_gil_stacks(scope: int, program: str | None, attempt: Callable[[], Trial]) -> Diagnostic:
    """Who can read a worker's stacks then, with this ``ptrace_scope`` and this py-spy.

    ``attempt`` shows that a reader works at all. It covers only this user's own children; for
    other users and other processes the kernel's rules are reported.
    """
    if not remote_unwinder.available and program is None:
        text = (
            "cannot be read on this Python without py-spy: a report has the last stack before that"
            " or the first one after it"
        )
        return Diagnostic("note", HELD_GIL_STACKS, text, "pip install 'slowhound[pyspy]'")
    trial = attempt()
    if trial.by is None:
        text = f"could not be read for a child of this command. {trial.why}"
        return Diagnostic("note", HELD_GIL_STACKS, text, _reading_rule(scope))
    way = "" if trial.by == "remote" else f" with {program}"
    tried = f"; tried with a child of this command: by {READER_NAMES.get(trial.by, trial.by)}"
    advice = "Only root can read workers that a root arbiter runs as another user."
    if scope == 0:
        text = f"can be read{way} by the same user and by root{tried}"
        return Diagnostic("ok", HELD_GIL_STACKS, text, advice)
    if scope == 1 and trial.by == "remote":
        text = "can be read by Gunicorn's arbiter and by root, not by peers (ptrace_scope is 1)"
        return Diagnostic("ok", HELD_GIL_STACKS, text + tried, advice)
    readable = f"can be read{way} only by root" if scope <= 2 else f"cannot be read{way}"
    return Diagnostic("note", HELD_GIL_STACKS, f"{readable} (ptrace_scope is {scope}){tried}")


def _reading_rule(scope: int) -> str:
    """Why a trial may have failed: what the kernel and the container forbid."""
    if scope > 2:
        return f"ptrace_scope is {scope}: no process may read another one."
    rule = f"ptrace_scope is {scope}: the kernel lets root do it. " if scope else ""
    return rule + "A container may lack SYS_PTRACE or forbid process_vm_readv (docs/gil.md)."


def _ptrace_scope() -> int:
    """Yama's limit; 0 where the kernel has no Yama."""
    try:
        with open(PTRACE_SCOPE, encoding="ascii") as scope:
            return int(scope.read())
    except (OSError, ValueError):
        return 0


def deaths() -> Iterator[Diagnostic]:
    """The sources of a crash event: the counter of OOM kills, and faulthandler."""
    counter = oom_kills.counter_file()
    if counter is not None:
        yield Diagnostic("ok", OOM_KILLS, f"are counted in {counter}")
    else:
        text = "are not counted here: such a death has the cause signal"
        yield Diagnostic("note", OOM_KILLS, text)
    if faulthandler.is_enabled():
        yield Diagnostic(
            "note",
            "faulthandler",
            "is already enabled: the stack of a segmentation fault goes to its file",
            "For stacks in crash events do not set PYTHONFAULTHANDLER or call enable().",
        )
    else:
        text = "is free: the stack of a segmentation fault will be in the crash event"
        yield Diagnostic("ok", "faulthandler", text)
