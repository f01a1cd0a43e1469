"""The machine's clocks, as they were when this was imported.

freezegun puts its own into every module that has one of ``time``'s, and moves frozen time at each
call of them; after that a due time lies decades away. It does not look into classes.
"""

from __future__ import annotations

import time


class clock:  # noqa: N801  read as a module
    """Seconds, or nanoseconds, as those of ``time``."""

    monotonic = time.monotonic
    monotonic_ns = time.monotonic_ns
    perf_counter = time.perf_counter
    thread_time = time.thread_time
    time_ns = time.time_ns
    time = time.time
