"""Finds how a process ended, from what its parent and the kernel know."""

from __future__ import annotations

import os
import signal
from typing import NamedTuple

from slowhound.runtime.clocks import clock


class Death(NamedTuple):
    """How a process ended, as far as it is known."""

    cause: str  # "timeout", "oom", "shutdown", "signal", "segfault", "exit", "unknown"
    signal: str | None = None
    at: float | None = None  # monotonic seconds; None: unknown
    code: int | None = None  # if it exited

    @classmethod
    def of_status(
        cls,
        status: int | None,
        *,
        timed_out: bool = False,
        stopped: bool = False,
        oom: bool = False,
    ) -> Death:
        """From what ``waitpid`` returned, and what else its parent knows.

        ``timed_out``: its server aborted it after a timeout; ``stopped``: its server told it to
        end, or killed it when it did not end in time; ``oom``: the kernel has killed a process of
        this cgroup because memory ran out.
        """
        now = clock.monotonic()
        if status is None:
            return cls("timeout" if timed_out else "unknown", None, now)
        if not os.WIFSIGNALED(status):
            cause = "timeout" if timed_out else "shutdown" if stopped else "exit"
            return cls(cause, None, now, os.WEXITSTATUS(status))
        number = os.WTERMSIG(status)
        known = number in set(signal.Signals)
        name = signal.Signals(number).name if known else f"signal {number}"
        killed = name == "SIGKILL"
        if name in ("SIGSEGV", "SIGBUS", "SIGILL", "SIGFPE"):
            cause = "segfault"
        elif timed_out:
            cause = "timeout"
        elif stopped and killed:
            cause = "shutdown"
        else:
            cause = "oom" if oom and killed else "signal"
        return cls(cause, name, now)
