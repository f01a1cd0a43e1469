"""Threads that wait for locks, in functions whose source has not been read before.

Each call writes a new module, so that slowhound has to read its source to name the lock, and
another source the next time.
"""

from __future__ import annotations

import os
import queue
import threading
import time
from collections.abc import Callable
from typing import Any

HOW = (
    "    with thing:\n        return number\n",
    "    thing.acquire()\n    thing.release()\n    return number\n",
    "    return thing.get()\n",
)
LINES = "".join(f"    a{number} = [{number}, {number} + 1]\n" for number in range(300))
FILES = 20  # linecache keeps what it has read


# Before CPython 3.11.8 and 3.12.2 the application's threads must not compile at the same time: two
# parsers break each other, with SystemError or SIGSEGV.
_compiling = threading.Lock()


def compiling() -> threading.Lock:
    """A lock that keeps the application's other threads from compiling meanwhile."""
    return _compiling


def _forget_after_fork() -> None:
    global _compiling
    _compiling = threading.Lock()


os.register_at_fork(after_in_child=_forget_after_fork)


def wait(milliseconds: int, number: int) -> int:
    """Waits until another thread releases a lock or fills a queue; returns ``milliseconds``."""
    how = number % len(HOW)
    lock = (threading.RLock if number % 2 else threading.Lock)()
    thing: Any = queue.Queue() if how == 2 else lock
    held = threading.Event()

    def hold() -> None:
        with lock:
            held.set()
            time.sleep(milliseconds / 1000)
        if how == 2:
            thing.put(number)

    holder = threading.Thread(target=hold)
    holder.start()
    held.wait()
    given = _waits_in_new_code(how, number)(thing)
    holder.join()
    return milliseconds if given == number else -1


def _waits_in_new_code(how: int, number: int) -> Callable[[object], int]:
    """A function that waits for its argument and returns ``number``."""
    path = os.path.abspath(f"waits{os.getpid()}_{number % FILES}.py")
    text = f"def waits(thing):\n    number = {number}\n{LINES}{HOW[how]}"
    with open(path, "w") as file:
        file.write(text)
    space: dict[str, Any] = {}
    with compiling():
        exec(compile(text, path, "exec"), space)
    made: Callable[[object], int] = space["waits"]
    return made
