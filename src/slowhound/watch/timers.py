"""Timers of the kernel on the CPU clock of one thread; they send it a signal.

Python offers none, so this calls timer_create(2) by ctypes. Linux only.
"""

from __future__ import annotations

import ctypes
import os
import struct
import sys
from typing import Any

from slowhound.waiting import cpu_clock

# Seconds of CPU. Every tick of the hound starts it anew, so a worker whose threads take turns
# never gets here: the hound waits for the GIL for some 5 ms per busy thread.
HOLD = 1.0
_SIGEV_THREAD_ID = 4
_ARMED = struct.pack("@llll", 0, 0, int(HOLD), int(HOLD % 1 * 1e9))
_STOPPED = struct.pack("@llll", 0, 0, 0, 0)


def _libc() -> Any:
    """The C library, called without letting go of the GIL: a call takes less than that would."""
    if not sys.platform.startswith("linux"):
        return None
    libc = ctypes.PyDLL(None, use_errno=True)
    try:
        libc.timer_create.argtypes = (ctypes.c_int, ctypes.c_char_p, ctypes.c_void_p)
        libc.timer_settime.argtypes = (
            ctypes.c_void_p,
            ctypes.c_int,
            ctypes.c_char_p,
            ctypes.c_void_p,
        )
        libc.timer_gettime.argtypes = (ctypes.c_void_p, ctypes.c_char_p)
        libc.timer_delete.argtypes = (ctypes.c_void_p,)
    except AttributeError:
        return None  # a C library before 2.34 that has timers elsewhere
    return libc


_c = _libc()
works = _c is not None and sys.implementation.name == "cpython"


class CpuTimer:
    """Sends the signal ``number`` to a thread that burns ``HOLD`` seconds of CPU once armed.

    Raises:
        OSError: the thread has ended (EINVAL), or the system gives no timer.
    """

    def __init__(self, thread: int, number: int) -> None:
        event = struct.pack("@Piii", 0, number, _SIGEV_THREAD_ID, thread).ljust(64, b"\0")
        timer = ctypes.c_void_p()
        if _c.timer_create(cpu_clock(thread), event, ctypes.byref(timer)):
            number = ctypes.get_errno()
            raise OSError(number, os.strerror(number))
        self._timer = timer

    def arm(self) -> None:
        """Starts it, from now."""
        _c.timer_settime(self._timer, 0, _ARMED, None)

    def stop(self) -> None:
        """Stops it."""
        _c.timer_settime(self._timer, 0, _STOPPED, None)

    def has_fired(self) -> bool:
        """True when it has run out since it was armed; asked before ``stop``."""
        left = ctypes.create_string_buffer(32)
        _c.timer_gettime(self._timer, left)
        return left.raw == _STOPPED

    def delete(self) -> None:
        """Gives it back."""
        _c.timer_delete(self._timer)
