"""Finds the signals that this process handles, in Python or in C."""

from __future__ import annotations

import contextlib


def caught_signals() -> frozenset[int] | None:
    """The numbers of the signals that have a handler; None where the kernel does not tell.

    Python knows only of the handlers that were there when it started, and of its own: a library's
    is in ``SigCgt`` of ``/proc/self/status``, see proc_pid_status(5).
    """
    unknown = contextlib.suppress(OSError, ValueError, IndexError)
    with unknown, open("/proc/self/status", "rb") as status:
        for line in status:
            if line.startswith(b"SigCgt:"):
                mask = int(line.split()[1], 16)
                return frozenset(n for n in range(1, 65) if mask >> n - 1 & 1)
    return None
