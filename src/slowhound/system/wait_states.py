"""Lists the states of a thread, with their texts and the system calls that mean them."""

from __future__ import annotations

import functools
import os
import sys
from enum import Enum, unique
from typing import NamedTuple


class Call(NamedTuple):
    """System calls in which a thread is in one state.

    ``names`` says what their arguments name: ``fd`` a descriptor, ``0`` or ``1`` a path in that
    argument; empty: nothing, or what needs code of its own. ``x86_64`` and ``aarch64`` are the
    calls' numbers.
    """

    names: str
    x86_64: tuple[int, ...]
    aarch64: tuple[int, ...]


@unique
class StateKind(Enum):
    """What a thread does or waits for: the text that is shown, and the system calls that mean it.

    A new state is a new row.
    """

    RUNNING = "running"
    # A thread that runs Python gives up the GIL so that the hound can sample it.
    GIL = "running, or waiting for the GIL"
    READ = "read from", Call("fd", (0, 17, 19, 295, 327), (63, 67, 65, 69, 286))
    READ_FILE = "read of"
    WRITE = "write to", Call("fd", (1, 18, 20, 296, 328, 40), (64, 68, 66, 70, 287, 71))
    RECV = "recv from", Call("fd", (45, 47, 299), (207, 212, 243))
    SEND = "send to", Call("fd", (44, 46, 307), (206, 211, 269))
    ACCEPT = "accept on", Call("fd", (43, 288), (202, 242))
    CONNECT = "connect to", Call("", (42,), (203,))
    SYNC = "sync of", Call("fd", (74, 75), (82, 83))
    FLOCK = "flock on", Call("fd", (73,), (32,))
    FCNTL_LOCK = "fcntl lock on", Call("fd", (72,), (25,))
    OPEN = "open of", Call("0", (2,), ()), Call("1", (257, 437), (56, 437))
    STAT = "stat of", Call("1", (262, 332), (79, 291))
    POLL = "poll on", Call("", (7, 271), (73,))
    SELECT = "select on", Call("", (23, 270), (72,))
    EPOLL = "epoll", Call("", (232, 281, 441), (22, 441))
    LOCK = "a lock", Call("", (202, 449, 455), (98, 449, 455))
    SLEEP = "sleep", Call("", (35, 230), (101, 115))
    CHILD = "a child process", Call("", (61, 247), (260, 95))
    PAGE_FAULT = "memory from the disk"
    STOPPED = "stopped"
    OTHER_CALL = "system call"
    # Where only the kernel's function is known, see KERNEL_FUNCTIONS.
    LOCK_OR_GIL = "a lock, or the GIL"
    POLL_OR_SELECT = "poll or select"
    KERNEL_FUNCTION = "kernel function"

    def __init__(self, text: str, *calls: Call) -> None:
        self.text = text
        self.calls = calls


class ThreadState(NamedTuple):
    """What a thread does now; ``on`` is what it waits on, where that has a name."""

    kind: StateKind
    on: str = ""

    def __str__(self) -> str:
        return f"{self.kind.text} {self.on}" if self.on else self.kind.text

    @property
    def runs(self) -> bool:
        """True for a thread that is not waiting, unless for its turn."""
        return self.kind in (StateKind.RUNNING, StateKind.GIL)

    @property
    def waits_for_lock(self) -> bool:
        """True also where it may be the GIL."""
        return self.kind in (StateKind.LOCK, StateKind.LOCK_OR_GIL)


# Parts of the names of kernel functions, for a process that may not read its own system calls: a
# worker that was root when it was forked. A wait for the GIL is like any other lock there.
KERNEL_FUNCTIONS = (
    ("futex", StateKind.LOCK_OR_GIL),
    ("epoll", StateKind.EPOLL),
    ("poll_schedule", StateKind.POLL_OR_SELECT),
    ("nanosleep", StateKind.SLEEP),
    ("do_wait", StateKind.CHILD),
)


@functools.cache
def numbers() -> dict[int, tuple[StateKind, str]]:
    """System call number to state and what it names; empty for machines that are not known."""
    machine = os.uname().machine if sys.platform == "linux" and sys.maxsize > 2**32 else ""
    return {
        number: (kind, call.names)
        for kind in StateKind
        for call in kind.calls
        for number in {"x86_64": call.x86_64, "aarch64": call.aarch64}.get(machine, ())
    }
