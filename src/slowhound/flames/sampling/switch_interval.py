"""How soon a thread that runs bytecode hands over the GIL: lowered while somebody samples.

A sampler that waits 5 ms, Python's default, for a thread that runs bytecode sees what that does 5
ms later: of a request that asks its database every 3 ms it sees nothing but the database. The
interval is the whole process's. So it is lowered only from Python's default, never for longer than
needed, and given back only while it is ours: what the application sets stays, whenever it does.
"""

from __future__ import annotations

import contextlib
import os
import sys

from slowhound.runtime.unpatched import original

# Microseconds, as Python keeps it. A switch takes some 10 of them, so threads that fight for the
# GIL lose 2 %. Odd, so that it is not taken for what an application sets, such as 500; and one that
# Python's conversion to a float and back leaves alone, for the application may save and set it.
DEFAULT, OURS = 5000, 491

# From what sys.getswitchinterval() returns to what sys.setswitchinterval() is given: that cuts off
# fractions, so it gets half of one more.
_LOWER = {1e-6 * DEFAULT: 1e-6 * (OURS + 0.5)}
_RAISE = {1e-6 * OURS: 1e-6 * (DEFAULT + 0.5)}

# Reentrant: a signal's handler may end a request, and its sampling, in the middle of this.
_lock = original("_thread", "RLock")()
_wanted_by: set[str] = set()


def shorten(who: str) -> None:
    """Lowers it until ``restore`` was called by all that wanted it."""
    with _lock:
        if not _wanted_by:
            _replace(_LOWER)
        _wanted_by.add(who)


def restore(who: str) -> None:
    """``who`` needs it no more; gives it back when nobody else does.

    Also when ``who`` did not want it: an application that saves the interval and sets it again
    may have saved ours.
    """
    with _lock:
        _wanted_by.discard(who)
        if not _wanted_by:
            _replace(_RAISE)


def _replace(by: dict[float, float]) -> None:
    """Sets another interval if the present one is a key of ``by``, and nothing in between.

    Everything within ``next`` is C without Python's evaluation loop, where alone another thread
    could get the GIL: so none can set its own between the look at the value and the change.
    """
    with contextlib.suppress(KeyError):
        next(map(sys.setswitchinterval, map(by.__getitem__, iter(sys.getswitchinterval, None))))


def _forget_after_fork() -> None:
    """A forked child has none of the threads that sample."""
    global _lock
    _lock = original("_thread", "RLock")()
    _wanted_by.clear()
    _replace(_RAISE)


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget_after_fork)
