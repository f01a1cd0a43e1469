"""What `slowhound dump` prints of hostile data from other processes."""

from __future__ import annotations

import json
import time

from slowhound.blackbox.reader import BoxState, Pending
from slowhound.cli.dump import dump_lines, request_lines, thread_lines
from slowhound.frames.frames import Frame, TakenStack
from slowhound.peers.dumps import Dump, DumpFrame, DumpRequest, DumpThread

HOSTILE = "x\x1b[2J\x1b[9;9H\r\n\x9b1m\u202e"
SHOWN = r"x\x1b[2J\x1b[9;9H\r\n\x9b1m\u202e"


def test_nothing_in_a_dump_is_obeyed_by_the_terminal() -> None:
    """Files, functions, source lines, paths and the names of threads: each stays on one line."""
    stack = [DumpFrame(HOSTILE, 1, HOSTILE, HOSTILE)]
    request = DumpRequest(HOSTILE, HOSTILE, HOSTILE, HOSTILE, -1.0, 7, stack)
    dump = Dump(1, 2, [request], [DumpThread(HOSTILE, None, stack)], left_out=3)
    lines = list(dump_lines(2, dump))
    frame = [f'  File "{SHOWN}", line 1, in {SHOWN}', f"    {SHOWN}", ""]
    assert lines == [
        f"pid 2, thread 7: {SHOWN} {SHOWN}  {SHOWN}  {SHOWN}  0.0 s",
        *frame,
        f"pid 2, thread ? ({SHOWN}), no request",
        *frame,
        "(3 more stacks are not shown: there are too many)",
    ]


def test_dump_of_one_request_leaves_out_the_rest() -> None:
    """The other requests of its worker, and the other threads."""
    stack = [DumpFrame("a.py", 1, "f", "")]
    requests = [DumpRequest(name, "GET", f"/{name}/", None, 1.0, 7, stack) for name in "ab"]
    dump = Dump(1, 2, requests, [DumpThread("MainThread", 2, stack)])
    lines = list(dump_lines(2, dump, "b"))
    assert lines == ["pid 2, thread 7: GET /b/  -  b  1.0 s", '  File "a.py", line 1, in f', ""]


def pending(who: object, stack: object) -> Pending:
    return Pending(
        1, 0, 7, False, 8, 0, json.dumps(who).encode(), b"", b"", json.dumps(stack).encode()
    )


def lines_of(request: Pending) -> list[str]:
    """The lines for a request of process 2 whose stack could not be read."""
    state = BoxState(2, 1, 0, 0, 1, 0, 0, 0, 0, 0, b"", (request,))
    return list(request_lines(2, request, state, None))


def test_nothing_in_a_payload_is_obeyed_by_the_terminal() -> None:
    """Another process wrote the box, too."""
    note = {"taken": time.monotonic() - 5, "stack": [HOSTILE, 7, None]}
    who = {"id": HOSTILE, "method": HOSTILE, "path": HOSTILE}
    lines = lines_of(pending(who, note))
    assert lines == [
        f"pid 2, thread 7: {SHOWN} {SHOWN}  {SHOWN}",
        "  its last known stack, 5.0 s old, written by the hound (innermost last):",
        f"    {SHOWN}",
        "",
    ]


def test_nothing_in_a_stack_that_was_read_is_obeyed_by_the_terminal() -> None:
    """Of a thread without a request; py-spy returns names as they are in the other process."""
    stack = (Frame("a.py", 1, "f"), Frame(HOSTILE, 2, HOSTILE))
    assert list(thread_lines(2, 7, TakenStack(stack, time.time() - 5, "py-spy"))) == [
        "pid 2, thread 7, no request",
        "  its last known stack, 5.0 s old, read from its memory by py-spy (innermost last):",
        "    a.py:1:f",
        f"    {SHOWN}:2:{SHOWN}",
        "",
    ]


def test_request_without_a_stack_is_printed_without_one() -> None:
    """The request is too young, or the box is damaged."""
    for note in ({}, {"taken": 1e300, "stack": []}, {"taken": "now"}, {"taken": 1.0, "stack": 1}):
        assert "  no stack is known" in (lines_of(pending({}, note)))
