"""Dumps the stacks of a living process on demand and without ptrace.

The box is the mailbox. A process that requests a dump raises its cell ``DUMP_REQUESTED``. Within a
second the hound of the box's process sees that, writes ``DIR/boxes/<name of the box>.dump``, and
sets ``DUMP_MADE`` to the number that it saw. A dump is read by another process: it may hold any
bytes, and reading one either returns a whole ``Dump`` or raises an error that explains why not.
"""

from __future__ import annotations

import contextlib
import os
import sys
import time
from operator import attrgetter
from typing import Annotated

import msgspec

from slowhound.blackbox.box import Box
from slowhound.blackbox.layout import DUMP_MADE, DUMP_REQUESTED, HEADER, MAGIC
from slowhound.blackbox.payloads import Seconds
from slowhound.blackbox.reader import DUMP_SUFFIX, beside, is_alive
from slowhound.core.in_flight import snapshot_in_flight
from slowhound.event.formats import clean
from slowhound.frames.frames import Frame, Stack, current_frames, from_frame
from slowhound.redaction.masking import short_text
from slowhound.runtime.clocks import clock
from slowhound.runtime.library_names import NOT_JSON
from slowhound.runtime.unpatched import get_ident
from slowhound.stacks.capture import stack_of
from slowhound.system.files import open_own, opened, write_whole
from slowhound.system.losses import lost
from slowhound.system.python_threads import native_id_of, python_threads

# The hound makes it within a second; on a busy machine it is late.
DUMP_PATIENCE = 2.5
POLL_EVERY = 0.02
LARGEST_DUMP = 16 * 1024**2
# All stacks together: 200 threads at Python's own limit of recursion must not cost a minute.
MOST_DUMPED_FRAMES = 20_000
LONGEST_DUMP_TEXT = 500


Number = Annotated[int, msgspec.Meta(ge=-(2**63), le=2**63 - 1)]


class DumpFrame(msgspec.Struct, array_like=True):
    """One frame, with its source as the process itself could read it."""

    file: str
    line: Number
    function: str
    source: str


class DumpRequest(msgspec.Struct):
    """One request in flight; ``age`` in seconds, ``thread`` the system's id of its thread."""

    req_id: str
    method: str
    path: str
    view: str | None
    age: Seconds
    thread: Number
    stack: list[DumpFrame]


class DumpThread(msgspec.Struct):
    """Another thread of Python's."""

    name: str
    thread: Number | None
    stack: list[DumpFrame]


class Dump(msgspec.Struct):
    """All stacks of one process; ``left_out`` counts those beyond the limit."""

    number: Number
    pid: Number
    requests: list[DumpRequest]
    threads: list[DumpThread]
    left_out: Number = 0


class DumpError(Exception):
    """There is no dump, and another try will not help; the text explains why."""


_decode = msgspec.json.Decoder(Dump).decode
_encode = msgspec.json.Encoder().encode


# In the process itself


def answer(box: Box) -> None:
    """Makes the dump that was requested, if one was; runs on the hound's thread."""
    requested = box.cells[DUMP_REQUESTED]
    if requested == box.cells[DUMP_MADE]:
        return
    try:
        path = beside(box.path, DUMP_SUFFIX)
        write_whole(path, _encode(compose(requested)), path + ".new")
    except OSError as exc:
        lost("a dump", exc, 0)
    finally:
        # Also after a failure, so that no process waits. The number in the file tells which it is.
        box.cells[DUMP_MADE] = requested


def compose(number: int) -> Dump:
    """The stacks of all requests in flight, and of all other threads but this one."""
    dump = Dump(number, os.getpid(), [], [])
    budget = _FrameBudget()
    carrying = {get_ident()}
    now = clock.monotonic()
    for record in sorted(snapshot_in_flight(), key=attrgetter("yields")):
        carrying.add(record.thread_id)
        stack = stack_of(record)
        if stack is None:
            continue
        frames = budget.take(stack)
        if frames is not None:
            method, path = _text(record.method), _text(record.path)
            view = None if record.view is None else _text(record.view)
            request = DumpRequest(
                record.id, method, path, view, record.age(now), record.native_id, frames
            )
            dump.requests.append(request)
    known = python_threads()
    for ident, frame in current_frames().items():
        if ident not in carrying:
            frames = budget.take(from_frame(frame))
            if frames is not None:
                thread = known.get(ident)
                name = f"thread {ident}" if thread is None else short_text(clean(thread.name))
                dump.threads.append(DumpThread(_text(name), native_id_of(thread), frames))
    dump.left_out = budget.refused
    return dump


class _FrameBudget:
    """Counts the frames that still fit into a dump."""

    def __init__(self) -> None:
        self.left = MOST_DUMPED_FRAMES
        self.refused = 0

    def take(self, stack: Stack) -> list[DumpFrame] | None:
        """The frames of a stack that fits, else None."""
        if len(stack) > self.left:
            self.refused += 1
            return None
        self.left -= len(stack)
        return [_frame(frame) for frame in stack]


def _frame(frame: Frame) -> DumpFrame:
    shown = frame.shown
    return DumpFrame(_text(shown.filename), frame.line, _text(shown.function), _text(frame.source))


def _text(text: str) -> str:
    return clean(text)[:LONGEST_DUMP_TEXT]


def sweep(folder: str) -> None:
    """Removes dumps, and reports of peers, whose box is gone: their process has ended."""
    names = set(os.listdir(folder))
    for name in names:
        base, dot, rest = name.partition(".")
        if dot and rest in ("dump", "dump.new", "reported") and f"{base}.box" not in names:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(os.path.join(folder, name))


# In the process that requests it


def fetch(box: str, owner: int, patience: float | None = None) -> Dump | None:
    """A new dump of the living process with this box; None when it does not make one in time.

    Args:
        box: path of its box.
        owner: the user that the box must belong to.
        patience: seconds to wait; DUMP_PATIENCE when it is not given.

    Raises:
        DumpError: there can be none.
    """
    with contextlib.ExitStack() as block:
        try:
            fd = block.enter_context(opened(box, os.O_RDWR, owner))
        except OSError as exc:
            raise DumpError(f"its box cannot be opened for writing: {exc.strerror}") from exc
        number = _request(fd)
        end = clock.monotonic() + (DUMP_PATIENCE if patience is None else patience)
        while _cell(fd, DUMP_MADE) < number:
            if not is_alive(fd):
                raise DumpError("the process has ended")
            if clock.monotonic() > end:
                return None
            time.sleep(POLL_EVERY)
    return read(beside(box, DUMP_SUFFIX), owner, number)


def _request(fd: int) -> int:
    """Raises the cell; returns the number that the dump will have."""
    if _cell(fd, 0) != MAGIC or not is_alive(fd):
        raise DumpError("its box is not one of a living process")
    # Not through a map: if another program cuts the file, a store would end in SIGBUS here.
    number = min(max(_cell(fd, DUMP_REQUESTED), _cell(fd, DUMP_MADE), 0) + 1, 2**63 - 1)
    os.pwrite(fd, number.to_bytes(8, sys.byteorder, signed=True), DUMP_REQUESTED * 8)
    return number


def _cell(fd: int, index: int) -> int:
    data = os.pread(fd, HEADER, 0)[index * 8 : index * 8 + 8]
    return int.from_bytes(data, sys.byteorder, signed=True)


def read(path: str, owner: int, number: int) -> Dump:
    """The dump in this file, which must be at least the ``number``-th.

    Raises:
        DumpError: it cannot be read, or is not a dump.
    """
    try:
        fd = open_own(path, owner=owner)
    except OSError as exc:
        raise DumpError(f"it could not write its dump ({exc.strerror})") from exc
    try:
        with open(fd, "rb") as file:
            data = file.read(LARGEST_DUMP + 1)
        if len(data) > LARGEST_DUMP:
            raise DumpError("its dump is too large")
        dump = _decode(data)
    except OSError as exc:
        raise DumpError(f"its dump cannot be read: {exc.strerror}") from exc
    except NOT_JSON as exc:
        raise DumpError("the file in the place of its dump is not a dump") from exc
    if dump.number < number:
        raise DumpError("it could not write its dump; its log says why")
    return dump
