"""How soon a thread that runs bytecode hands over the GIL: lowered while somebody samples.

A sampler that waits 5 ms, Python's default, for a thread that runs bytecode sees what that does 5
ms later: of a request that asks its database every 3 ms it sees nothing but the database. The
interval is the whole process's. So it is never lowered for longer than needed, and what the
application sets itself meanwhile stays.
"""

from __future__ import annotations

import os
import sys

from slowhound.osthread import original

# Seconds. A switch takes some 10 µs, so threads that fight for the GIL lose 2 % by it.
SHORT = 0.0005

_lock = original("_thread", "allocate_lock")()
_wanted_by: set[str] = set()
_before = 0.0


def shorten(who: str) -> None:
    """Lowers it until ``restore`` was called by all that wanted it."""
    global _before
    with _lock:
        if not _wanted_by:
            _before = sys.getswitchinterval()
            if _before > SHORT:
                sys.setswitchinterval(SHORT)
        _wanted_by.add(who)


def restore(who: str) -> None:
    """``who`` needs it no more; nothing happens when it did not want it."""
    with _lock:
        if who in _wanted_by:
            _wanted_by.discard(who)
            if not _wanted_by:
                _give_back()


def _give_back() -> None:
    if _before > SHORT and abs(sys.getswitchinterval() - SHORT) < SHORT / 10:
        sys.setswitchinterval(_before)


def _forget_after_fork() -> None:
    """A forked child has none of the threads that sample."""
    global _lock
    _lock = original("_thread", "allocate_lock")()
    if _wanted_by:
        _wanted_by.clear()
        _give_back()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget_after_fork)
