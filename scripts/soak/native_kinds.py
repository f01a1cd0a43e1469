"""C calls that wait, with the GIL (PyDLL) and without (CDLL), and count how often they get EINTR.

None may get any: poll and nanosleep continue by themselves after SIGSTOP and SIGCONT, and no other
signals are sent.
"""

from __future__ import annotations

import ctypes
import errno
import time
from collections.abc import Callable
from typing import Any

from kinds import Kind

_with_gil = ctypes.PyDLL(None, use_errno=True)
_without_gil = ctypes.CDLL(None, use_errno=True)


class Timespec(ctypes.Structure):
    """Seconds and nanoseconds."""

    _fields_ = (("seconds", ctypes.c_long), ("nanoseconds", ctypes.c_long))


def poll(library: Any, milliseconds: int) -> int:
    """Waits with the system call ``poll``, without descriptors; how often it was interrupted."""
    return _until(milliseconds, lambda left: library.poll(None, 0, left))


def nanosleep(library: Any, milliseconds: int) -> int:
    """The same with the system call ``nanosleep``."""

    def sleep(left: int) -> int:
        wanted = Timespec(left // 1000, left % 1000 * 1_000_000)
        return int(library.nanosleep(ctypes.byref(wanted), None))

    return _until(milliseconds, sleep)


def _until(milliseconds: int, call: Callable[[int], int]) -> int:
    interrupted = 0
    end = time.monotonic() + milliseconds / 1000
    while (left := end - time.monotonic()) > 0.001:
        if call(int(left * 1000)) == -1:
            number = ctypes.get_errno()
            if number != errno.EINTR:
                raise OSError(number, "poll or nanosleep")
            interrupted += 1
    return interrupted


def _kind(name: str, work: Callable[[int], object], weight: int) -> Kind:
    return Kind(name, work, lambda n: 0, (1500, 2500), weight=weight, native=True)


KINDS = (
    _kind("poll-gil", lambda n: poll(_with_gil, n), 1),
    _kind("nanosleep-gil", lambda n: nanosleep(_with_gil, n), 1),
    _kind("poll", lambda n: poll(_without_gil, n), 2),
    _kind("nanosleep", lambda n: nanosleep(_without_gil, n), 2),
)
