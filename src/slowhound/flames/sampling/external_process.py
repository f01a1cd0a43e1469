"""A process that reads one thread's stacks from a worker's memory, for one profile on demand.

``outside`` starts it as a script with ``-I -S``. It forks, to be no child of the worker, and
says its id on its standard error, and nothing else. It imports next to nothing (``typing`` and
``json`` alone would double its start of 15 ms): until it looks, operators are blind.

It writes lines of fields with tabs between them. ``stack`` and then file, line and name of each
frame, outermost first, escaped; or a look: time on the monotonic clock, CPU seconds of the thread,
and the number of its stack in the order of their lines. It ends when its standard input says so,
with the worker, or after its time.
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

# Seconds from one look to the next: random, so that it falls into no rhythm with what it looks at,
# but not by as much as in ``rounds.pause``, for nobody can make it wait.
SHORTEST, LONGEST = 0.0005, 0.0015
# A look at many threads takes longer; a tenth of the time is spent on looks.
PAUSE_PER_LOOK = 9
WRITE_AFTER = 0.05
MOST_BYTES = 16 * 1024**2
# The kernel's leave is asked for after the start, and comes within milliseconds.
TRIES, BETWEEN = 125, 0.004
# CPU seconds, and of its time, that it may take: more than twice what it does. It reads memory that
# changes, and nobody else would end it if it went in circles there.
CPU_AT_LEAST, CPU_SHARE = 2.0, 0.25
# A look fails when the stack changes under it, which it does now and then.
FAILURES_IN_A_ROW = 200
STACK = b"stack"

Known = tuple[tuple[str, int, str], ...]


def be_alone(pid: int) -> None:
    """Goes on as nobody's child, and says who that is, unless its worker ``pid`` has ended."""
    if os.getppid() != pid or os.fork():
        os._exit(0)
    os.write(2, b"%d\n" % os.getpid())


def read(pid: int, thread: int, seconds: float) -> None:
    """Looks at ``thread`` of ``pid``, for so long at most, and writes what it sees."""
    until = time.monotonic() + seconds
    _limit_cpu(seconds)
    unwinder = _attach(pid, thread)
    clock = os.open(f"/proc/{pid}/task/{thread}/schedstat", os.O_RDONLY)
    known: dict[Known, int] = {}
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
        pause = max(_pause(), PAUSE_PER_LOOK * (now - began))
        ending = _told_to_end(pause) or now > until
        if lines and (ending or now > wrote + WRITE_AFTER):
            written += os.write(1, b"\n".join(lines) + b"\n")
            lines.clear()
            wrote = now
        if ending:
            return


def _limit_cpu(seconds: float) -> None:
    """The kernel kills it then."""
    resource = import_module("resource")
    most = int(CPU_AT_LEAST + CPU_SHARE * seconds)
    hard = resource.getrlimit(resource.RLIMIT_CPU)[1]
    if hard == resource.RLIM_INFINITY or most < hard:
        resource.setrlimit(resource.RLIMIT_CPU, (most, most))


def _attach(pid: int, thread: int) -> Any:
    unwinder = import_module("_remote_debugging").RemoteUnwinder
    for _ in range(TRIES):
        try:
            # Without all of them it is the main thread.
            return unwinder(pid, all_threads=thread != pid)
        except (OSError, RuntimeError):
            if _told_to_end(BETWEEN):
                break
    raise SystemExit(1)


def _stack(trace: Any, wanted: int) -> Known:
    """As ``slowhound.remote`` has it, for one thread."""
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


def _line(stack: Known) -> bytes:
    fields = [STACK]
    for file, line, name in stack:
        fields += [file.encode("unicode_escape"), b"%d" % line, name.encode("unicode_escape")]
    return b"\t".join(fields)


def _cpu(clock: int) -> float:
    return int(os.pread(clock, 64, 0).split()[0]) / 1e9


def _pause() -> float:
    # Not the module `random`, which takes 5 ms to import.
    return SHORTEST + (LONGEST - SHORTEST) * int.from_bytes(os.urandom(4)) / 2**32


def _told_to_end(seconds: float) -> bool:
    """Waits for so long, or for a word of the worker, or its end.

    Where a child of the worker's outlives that with its descriptors, looks at it fail.
    """
    return bool(select.select([0], [], [], seconds)[0])


if __name__ == "__main__":
    os.chdir("/")
    try:
        be_alone(int(sys.argv[1]))
        read(int(sys.argv[1]), int(sys.argv[2]), float(sys.argv[3]))
    finally:
        os._exit(0)  # nothing to tidy up, and somebody waits
