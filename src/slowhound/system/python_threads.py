"""Lists Python's threads in this process, with the kernel's id of each."""

from __future__ import annotations

import os
import threading


def python_threads() -> dict[int, threading.Thread]:
    """The threads by their idents.

    Unlike ``threading.enumerate()`` without a lock: a thread that is stuck may hold that.
    """
    found: dict[int, threading.Thread] = threading._active.copy()  # type: ignore[attr-defined]
    return found


def native_id_of(thread: threading.Thread | None) -> int | None:
    """The kernel's id of a thread; None without one, and before the thread has started.

    In a forked child Python still has the parent's id of the main thread. That thread's is the
    process's.
    """
    if thread is threading.main_thread():
        return os.getpid()
    return None if thread is None else thread.native_id
