"""The machine's clocks, out of reach of freezegun.

freezegun puts its own into every module that has one of ``time``'s, and moves frozen time at each
call of them; after that a due time is decades away. It does not patch attributes of classes.
"""

from __future__ import annotations

import time


class clock:  # noqa: N801  read as a module
    """Seconds, or nanoseconds, as those of ``time``."""

    monotonic = time.monotonic
    monotonic_ns = time.monotonic_ns
    perf_counter = time.perf_counter
    thread_time = time.thread_time
    process_time = time.process_time
    gmtime = time.gmtime
    strftime = time.strftime
    time_ns = time.time_ns
    time = time.time


def utc_stamp() -> str:
    """The time now as it is in names of files: 20260131T235959Z."""
    return clock.strftime("%Y%m%dT%H%M%SZ", clock.gmtime(clock.time()))
