"""Reads the stacks of one thread from a worker's memory, as a process of its own, for one profile.

``external`` starts it as a script with ``-I -S``. It forks, to be no child of the worker, and
writes its id to standard error, and nothing else. It imports as little as possible (``typing`` and
``json`` alone would double its start of 15 ms): until it samples, operators are unsampled.

It writes lines of fields with tabs between them: either ``stack`` and then file, line and name of
each frame, outermost first, escaped; or a sample: the time on the monotonic clock, CPU seconds of
the thread, and the number of its stack in the order of their lines. It ends when it can read from
standard input, with the worker, or after its time.
"""

from __future__ import annotations

import os
import select
import sys
import time
from importlib import import_module

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

# Seconds from one sample to the next: random, to be independent of a rhythm of the thread. But with
# less variation than ``schedule.pause``, as no thread can delay this process.
SHORTEST_PAUSE, LONGEST_PAUSE = 0.0005, 0.0015
# With many threads a sample takes longer; samples take a tenth of the time.
PAUSE_PER_SAMPLE = 9
WRITE_AFTER = 0.05
MOST_BYTES = 16 * 1024**2
# The worker allows this process to read after its start, within milliseconds.
ATTACH_TRIES, ATTACH_PAUSE = 125, 0.004
# The CPU that it may use, in seconds and as a share of its time: more than twice what it does. It
# reads memory that changes, and nothing else would end it in an endless loop.
CPU_AT_LEAST, CPU_SHARE = 2.0, 0.25
# A sample fails when the stack changes while it is read, which happens now and then.
FAILURES_IN_A_ROW = 200
STACK = b"stack"

RawStack = tuple[tuple[str, int, str], ...]


def detach(pid: int) -> None:
    """Continues in a grandchild of the worker ``pid``, and writes its id; ends with the worker."""
    if os.getppid() != pid or os.fork():
        os._exit(0)
    os.write(2, b"%d\n" % os.getpid())


def sample_thread(pid: int, thread: int, seconds: float) -> None:
    """Samples ``thread`` of ``pid``, for ``seconds`` at most, and writes the samples."""
    until = time.monotonic() + seconds
    _limit_cpu(seconds)
    unwinder = _attach(pid, thread)
    clock = os.open(f"/proc/{pid}/task/{thread}/schedstat", os.O_RDONLY)
    known: dict[RawStack, int] = {}
    lines: list[bytes] = []
    failed = written = 0
    wrote = time.monotonic()
    while failed < FAILURES_IN_A_ROW and written < MOST_BYTES:
        began = time.monotonic()
        try:
            stack = _stack(unwinder.get_stack_trace(), thread)
            failed = 0
        except (OSError, RuntimeError, ValueError, MemoryError):  # UnicodeDecodeError is one
            stack = ()
            failed += 1
        now = time.monotonic()
        if stack:
            if stack not in known:
                known[stack] = len(known)
                lines.append(_line(stack))
            lines.append(b"%.6f\t%.6f\t%d" % ((began + now) / 2, _cpu(clock), known[stack]))
        pause = max(_pause(), PAUSE_PER_SAMPLE * (now - began))
        ending = _should_end(pause) or now > until
        if lines and (ending or now > wrote + WRITE_AFTER):
            written += os.write(1, b"\n".join(lines) + b"\n")
            lines.clear()
            wrote = now
        if ending:
            return


def _limit_cpu(seconds: float) -> None:
    """Has the kernel kill this process when it uses more CPU than that."""
    resource = import_module("resource")
    most = int(CPU_AT_LEAST + CPU_SHARE * seconds)
    hard = resource.getrlimit(resource.RLIMIT_CPU)[1]
    if hard == resource.RLIM_INFINITY or most < hard:
        resource.setrlimit(resource.RLIMIT_CPU, (most, most))


def _attach(pid: int, thread: int) -> Any:
    unwinder = import_module("_remote_debugging").RemoteUnwinder
    for _ in range(ATTACH_TRIES):
        try:
            # Without `all_threads` it reads the main thread.
            return unwinder(pid, all_threads=thread != pid)
        except (OSError, RuntimeError):
            if _should_end(ATTACH_PAUSE):
                break
    raise SystemExit(1)


def _stack(trace: Any, wanted: int) -> RawStack:
    """The stack of one thread, as ``gil/remote_unwinder.py`` reads those of all."""
    for item in trace:
        # 3.14 lists threads, 3.15 interpreters with their threads.
        for thread in getattr(item, "threads", (item,)):
            if thread.thread_id == wanted:
                return tuple([_frame(frame) for frame in reversed(thread.frame_info)])
    return ()


def _frame(frame: Any) -> tuple[str, int, str]:
    line = getattr(frame, "lineno", None)
    if line is None:
        location = getattr(frame, "location", None)
        line = location[0] if location else 0
    return str(frame.filename), int(line), str(frame.funcname)


def _line(stack: RawStack) -> bytes:
    fields = [STACK]
    for file, line, name in stack:
        fields += [file.encode("unicode_escape"), b"%d" % line, name.encode("unicode_escape")]
    return b"\t".join(fields)


def _cpu(clock: int) -> float:
    return int(os.pread(clock, 64, 0).split()[0]) / 1e9


def _pause() -> float:
    # Not the module `random`, which takes 5 ms to import.
    return SHORTEST_PAUSE + (LONGEST_PAUSE - SHORTEST_PAUSE) * int.from_bytes(os.urandom(4)) / 2**32


def _should_end(seconds: float) -> bool:
    """Waits for so long, or until the worker writes, or has ended; True for the last two.

    Where a child of the worker keeps its descriptors open after its end, samples fail instead.
    """
    return bool(select.select([0], [], [], seconds)[0])


if __name__ == "__main__":
    os.chdir("/")
    try:
        detach(int(sys.argv[1]))
        sample_thread(int(sys.argv[1]), int(sys.argv[2]), float(sys.argv[3]))
    finally:
        os._exit(0)  # nothing to clean up, and the worker waits
