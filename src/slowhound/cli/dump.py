"""Prints the current stacks of a worker, without stopping it.

The command sends a request through the worker's black box, and the worker answers within about a
second. Without PID or REQ_ID all workers are asked. For a worker that does not answer, its last
known stacks are printed, or, while its GIL is held, stacks read from its memory, which the kernel
must allow (ptrace, see docs/gil.md). Exit code 1 when there is no such worker or request, or when
one did not answer.
"""

from __future__ import annotations

import argparse
import re
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor

from slowhound.blackbox.payloads import read_who, seconds_since
from slowhound.blackbox.reader import BoxState, Pending
from slowhound.cli.location import Location, find_location
from slowhound.cli.output import Refusal, print_error, print_out
from slowhound.cli.requests_table import seconds
from slowhound.event.formats import one_line
from slowhound.frames.frames import TakenStack
from slowhound.gil import readers
from slowhound.gil.unresponsive import Hold, examine
from slowhound.peers import dumps, workers
from slowhound.peers.dumps import Dump, DumpError, DumpFrame, DumpRequest
from slowhound.peers.workers import Worker
from slowhound.runtime.clocks import clock

READ_BY = {
    "remote": "read from its memory",
    "py-spy": "read from its memory by py-spy",
}
Answer = Dump | DumpError | None
# Checks of a worker that does not answer, 0.1 s each; a command cannot try again later.
MOST_CHECKS = 10


def add(parser: argparse.ArgumentParser) -> None:
    """The options of the command."""
    parser.add_argument(
        "which",
        nargs="?",
        metavar="PID or REQ_ID",
        help="a worker's process id, or a request's id (default: all workers)",
    )


def run(arguments: argparse.Namespace) -> int:
    """Prints the stacks; 1 when some of them are not current."""
    location = find_location(arguments)
    found = location.workers()
    if not found:
        raise Refusal(f"no worker runs here ({location.dir})")
    pid = _pid(arguments.which)
    req_id = arguments.which if pid is None else None
    if arguments.which is not None:
        found = [each for each in found if each.state.pid == pid or _carries(each, req_id)]
        if not found:
            what = f"request {req_id} is in flight" if req_id else f"worker has the pid {pid}"
            raise Refusal(f"no {what} here ({location.dir})")
    code = 0
    for worker, answer in _ask_all(found, location):
        if not _show(worker, answer, req_id, location):
            code = 1
    return code


def _pid(which: str | None) -> int | None:
    return int(which) if which is not None and re.fullmatch("[0-9]{1,10}", which) else None


def _carries(worker: Worker, req_id: str | None) -> bool:
    return req_id is not None and any(
        read_who(each.who).id == req_id for each in worker.state.pending
    )


def _ask_all(found: Sequence[Worker], location: Location) -> Iterator[tuple[Worker, Answer]]:
    """Asks all of them at once: a host has many workers, and each may take a second."""

    def ask(worker: Worker) -> Answer:
        try:
            return dumps.fetch(worker.box, location.owner)
        except DumpError as exc:
            return exc

    with ThreadPoolExecutor(max_workers=min(len(found), 64)) as threads:
        yield from zip(found, threads.map(ask, found), strict=True)


def _show(worker: Worker, answer: Answer, req_id: str | None, location: Location) -> bool:
    """Prints the answer of one worker, or its last known stacks; False for the latter."""
    pid = worker.state.pid
    if isinstance(answer, Dump):
        print_out("\n".join(dump_lines(pid, answer, req_id)))
        ended = bool(req_id) and all(each.req_id != req_id for each in answer.requests)
        if ended:
            print_error(f"request {req_id} has ended meanwhile")
        return not ended
    if isinstance(answer, DumpError):
        print_error(f"pid {pid}: {answer}")
    else:
        print_error(
            f"pid {pid} did not answer within {dumps.DUMP_PATIENCE} s: GIL held, or process stopped"
        )
    # Read again: the worker has had time to answer, and may run again.
    now = next((each for each in location.workers() if each.box == worker.box), worker)
    hold = _hold(now) if now.late else None
    if req_id is not None and not _carries(now, req_id):
        print_error(f"request {req_id} has ended meanwhile")
    for each in now.state.pending:
        if req_id in (None, _id(each)):
            print_out("\n".join(request_lines(pid, each, now.state, hold.stacks if hold else None)))
    if hold is not None and hold.elsewhere is not None:
        print_out("\n".join(thread_lines(pid, hold.elsewhere, hold.stacks.get(hold.elsewhere))))
    return False


def _hold(worker: Worker) -> Hold | None:
    """The held GIL of a worker, if it is held; prints which thread holds it, or why no stack."""
    reasons: list[str] = []
    hold = examine(worker.box, worker.state, readers.with_reasons(reasons), MOST_CHECKS)
    if hold is None:
        return None
    pid = worker.state.pid
    holders = hold.suspects if hold.elsewhere is None else (hold.elsewhere,)
    for thread in holders:
        # The same text as for a thread with a request.
        print_error(f"pid {pid}, thread {thread}: {hold._replace(suspects=holders).text(thread)}")
    if not holders:
        held = f"the GIL has been held for about {hold.seconds:.1f} s"
        print_error(f"pid {pid}: {held}; the thread is not known")
    if not hold.stacks:
        why = "; ".join(reasons) or "the GIL is free again"
        print_error(f"pid {pid}: no stack can be read while the GIL is held. {why}")
    return hold


def _id(pending: Pending) -> str | None:
    return read_who(pending.who).id


def dump_lines(pid: int, dump: Dump, req_id: str | None = None) -> Iterator[str]:
    """A dump as text; with a request's id, only this request."""
    for request in dump.requests:
        if req_id in (None, request.req_id):
            yield _title(pid, request)
            yield from stack_lines(request.stack)
            yield ""
    if req_id is None:
        for thread in dump.threads:
            yield one_line(f"pid {pid}, thread {thread.thread or '?'} ({thread.name}), no request")
            yield from stack_lines(thread.stack)
            yield ""
    if dump.left_out:
        yield f"({dump.left_out} more stacks are not shown: there are too many)"


def _title(pid: int, request: DumpRequest) -> str:
    return one_line(
        f"pid {pid}, thread {request.thread}: {request.method} {request.path}"
        f"  {request.view or '-'}  {request.req_id}  {seconds(max(request.age, 0.0))}"
    )


def stack_lines(stack: Sequence[DumpFrame]) -> Iterator[str]:
    """In the format of Python's tracebacks."""
    for frame in stack:
        yield one_line(f'  File "{frame.file}", line {frame.line}, in {frame.function}')
        if frame.source:
            yield f"    {one_line(frame.source)}"


def request_lines(
    pid: int, pending: Pending, state: BoxState, stacks: Mapping[int, TakenStack] | None = None
) -> Iterator[str]:
    """A request without a current stack: its last known one, shortened, with its age."""
    who, last = workers.last_known(pending, state, stacks)
    method, path, req_id = (each or "-" for each in (who.method, who.path, who.id))
    yield one_line(f"pid {pid}, thread {pending.thread}: {method} {path}  {req_id}")
    yield from _last_lines(seconds_since(last.taken, clock.monotonic()), last.by, last.stack)


def thread_lines(pid: int, thread: int, taken: TakenStack | None) -> Iterator[str]:
    """A thread that holds the GIL and runs no request; also when it could not be read."""
    yield f"pid {pid}, thread {thread}, no request"
    if taken is None:
        yield from _last_lines(None, "", [])
    else:
        age = max(clock.time() - taken.taken, 0.0)
        yield from _last_lines(age, taken.by, [str(frame) for frame in taken.stack])


def _last_lines(age: float | None, by: str, stack: list[str]) -> Iterator[str]:
    """The last known stack."""
    if age is None or not stack:
        yield "  no stack is known"
    else:
        way = READ_BY.get(by, "written by the hound")
        yield f"  its last known stack, {seconds(age)} old, {way} (innermost last):"
        yield from (f"    {one_line(each)}" for each in stack)
    yield ""
