"""Shortens Python's switch interval, after which a thread gives up the GIL, while it is sampled.

A sampler that waits 5 ms, Python's default, for a thread that runs bytecode finds what that does 5
ms later: of a request that queries its database every 3 ms it finds nothing but the database. The
interval is the whole process's. So it is shortened only from Python's default, for no longer than
needed, and given back only while it is still ours: an interval that the application sets stays.
"""

from __future__ import annotations

import contextlib
import os
import sys

from slowhound.runtime.unpatched import original

# Microseconds, as Python keeps it. A switch takes some 10 of them, so threads that compete for the
# GIL lose 2 %. The value is unusual, so that it is not one that an application sets, such as 500;
# and one that Python's conversion to a float and back keeps, for the application may save and set
# it.
DEFAULT, OUR_INTERVAL = 5000, 491

# From a result of sys.getswitchinterval() to an argument of sys.setswitchinterval(): half a
# microsecond more, because that truncates.
_SHORTER = {1e-6 * DEFAULT: 1e-6 * (OUR_INTERVAL + 0.5)}
_LONGER = {1e-6 * OUR_INTERVAL: 1e-6 * (DEFAULT + 0.5)}

# Reentrant: a signal's handler may end a request, and its sampling, in the middle of this.
_lock = original("_thread", "RLock")()
_shortened_by: set[str] = set()


def shorten(who: str) -> None:
    """Shortens it until all that shortened it have called ``restore``."""
    with _lock:
        if not _shortened_by:
            _replace(_SHORTER)
        _shortened_by.add(who)


def restore(who: str) -> None:
    """``who`` needs it no longer; gives it back when nothing else does.

    Also when ``who`` did not shorten it: an application that saves the interval and sets it again
    may have saved ours.
    """
    with _lock:
        _shortened_by.discard(who)
        if not _shortened_by:
            _replace(_LONGER)


def _replace(by: dict[float, float]) -> None:
    """Sets another interval if the present one is a key of ``by``, without a gap in between.

    Everything within ``next`` is C, outside of Python's evaluation loop, the only place where
    another thread could get the GIL: so no thread can set the interval between the test and the
    change.
    """
    with contextlib.suppress(KeyError):
        next(map(sys.setswitchinterval, map(by.__getitem__, iter(sys.getswitchinterval, None))))


def _forget_after_fork() -> None:
    """A forked child has none of the threads that sample."""
    global _lock
    _lock = original("_thread", "RLock")()
    _shortened_by.clear()
    _replace(_LONGER)


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget_after_fork)
