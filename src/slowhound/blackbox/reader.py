"""Reads the black boxes of other processes, alive or ended.

The format stands in ``layout``. Any bytes may be in the place of a box, and reading never
raises because of them.
"""

from __future__ import annotations

import contextlib
import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NamedTuple
from zlib import crc32

from slowhound.blackbox.layout import (
    AT_SQL,
    AT_STACK,
    AT_VIEW,
    AT_WHO,
    BORN,
    FIRST_SLOT,
    HALF_SETTINGS,
    HALF_SQL,
    HALF_STACK,
    HALF_VIEW,
    HALF_WHO,
    HEAD,
    HEADER,
    HEARTBEAT,
    HOUND,
    IN_FLIGHT,
    LARGEST_BOX,
    MAGIC,
    MOST_SLOTS,
    NAMESPACE,
    OPEN,
    OVERFLOW,
    PARENT,
    PARENT_BORN,
    PID,
    RSS,
    SENT,
    SERVED,
    SLOT,
    SLOT_CELLS,
    SLOTS,
    STALL_REPORTED,
    STARTED,
)
from slowhound.system.file_locks import is_locked, lock, locked, unlock
from slowhound.system.files import opened
from slowhound.system.processes import Process, is_here, lives

# Files beside a box that are removed with it: see ``fatal_errors``, ``dumps``, ``peer_reports``.
SUFFIXES = STACKS_SUFFIX, DUMP_SUFFIX, PEER_REPORTS_SUFFIX = ".stacks", ".dump", ".reported"


def beside(box: str, suffix: str) -> str:
    """The path of the file of this kind that belongs to the box at ``box``."""
    return box.removesuffix(".new").removesuffix(".box") + suffix


class Pending(NamedTuple):
    """One request in flight, from a box; each part is the last one that was written whole."""

    number: int
    query_began: int  # ns, monotonic; 0: no query runs
    thread: int  # the system's id of the thread that carries it
    reported: bool  # as slow, by any process
    ident: int  # Python's of that thread
    at: int  # offset of the slot
    who: bytes
    view: bytes
    sql: bytes
    stack: bytes


class BoxState(NamedTuple):
    """The contents of a box."""

    pid: int
    parent: int
    started: int  # ns since 1970
    heartbeat: int  # ns, monotonic
    in_flight: int
    served: int
    rss: int
    overflow: int
    stall_reported: int  # the heartbeat after which a peer has reported a held GIL
    hound: int  # the system's id of its thread; 0: it has not begun
    settings: bytes
    pending: tuple[Pending, ...]
    path: str = ""  # of the box, where it was found by ``survey``
    namespace: int = 0  # of ``pid`` and ``parent``; 0: unknown
    sent: int = 0  # ``seq`` of the last event that all sinks have; NO_SINKS: there is none
    open: int = 0  # websockets, of those in flight
    born: int = 0  # when the process began, in ticks of the kernel; 0: unknown
    parent_born: int = 0  # the same of its parent, if that reaps it; 0: it does not

    @property
    def busy(self) -> bool:
        """True when more than websockets is in flight: they may be open for days."""
        return self.in_flight > self.open

    @property
    def parent_reaps(self) -> bool:
        """True when its parent lives and will write the events that it could not write itself."""
        parent = Process(self.parent, self.namespace, self.parent_born)
        return self.parent_born > 0 and lives(parent) is True

    @property
    def is_here(self) -> bool:
        """True when its pids name the same processes here: it is not in another container."""
        return is_here(self.namespace)


def read(data: bytes) -> BoxState | None:
    """The state in the bytes of a box; None when they are not a box. Never raises."""
    if len(data) < FIRST_SLOT:
        return None
    cells = memoryview(data[:HEADER]).cast("q")
    if cells[0] != MAGIC:
        return None
    slots = min(max(cells[SLOTS], 0), (len(data) - FIRST_SLOT) // SLOT, MOST_SLOTS)
    found = []
    for index in range(slots):
        at = FIRST_SLOT + index * SLOT
        number, query_began, thread, reported, ident = SLOT_CELLS.unpack_from(data, at)
        if number:
            found.append(
                Pending(
                    number,
                    query_began,
                    thread,
                    reported == number,
                    ident,
                    at,
                    _area(data, at + AT_WHO, HALF_WHO, number),
                    _area(data, at + AT_VIEW, HALF_VIEW, number),
                    _area(data, at + AT_SQL, HALF_SQL, number),
                    _area(data, at + AT_STACK, HALF_STACK, number),
                )
            )
    return BoxState(
        cells[PID],
        cells[PARENT],
        cells[STARTED],
        cells[HEARTBEAT],
        cells[IN_FLIGHT],
        cells[SERVED],
        cells[RSS],
        cells[OVERFLOW],
        cells[STALL_REPORTED],
        cells[HOUND],
        _area(data, HEADER, HALF_SETTINGS),
        tuple(found),
        namespace=cells[NAMESPACE],
        sent=cells[SENT],
        open=cells[OPEN],
        born=cells[BORN],
        parent_born=cells[PARENT_BORN],
    )


def _area(data: bytes, offset: int, half: int, number: int = 0) -> bytes:
    """The newest whole half of an area that is about ``number``; empty when none is."""
    best, newest = b"", -1
    for at in (offset, offset + half):
        sequence, length, crc, owner = HEAD.unpack_from(data, at)
        payload = data[at + 16 : at + 16 + length]
        whole = 0 < length <= half - 16 and crc32(payload) == crc
        if whole and owner == number & 0xFFFFFFFF and sequence > newest:
            best, newest = payload, sequence
    return best


def read_from(fd: int) -> BoxState | None:
    """The state in an open file; None when it is not a box. Raises OSError."""
    return read(os.read(fd, LARGEST_BOX))


@contextmanager
def reporting(box: str) -> Iterator[bool]:
    """The right to report requests of the process of this box, for one process at a time.

    Yields False where another process has it: the process itself or a peer.
    """
    with contextlib.ExitStack() as block:
        try:
            fd = block.enter_context(opened(beside(box, STACKS_SUFFIX), os.O_RDWR))
        except OSError:
            is_mine = True  # there is no file that another process could have locked
        else:
            is_mine = block.enter_context(locked(fd))
        yield is_mine


def is_alive(fd: int) -> bool:
    """True while the process of an open box lives."""
    found = is_locked(fd)
    if found is not None:
        return found
    cells = memoryview(os.pread(fd, HEADER, 0).ljust(HEADER, b"\0")).cast("q")
    # What lives in another container is not known here: it is taken to live.
    return lives(Process(cells[PID], cells[NAMESPACE], cells[BORN])) is not False


def lock_ended(fd: int) -> None:
    """Locks the box of an ended process; raises OSError if it lives, or another process has it."""
    if not lock(fd) and is_alive(fd):
        unlock(fd)
        raise BlockingIOError(errno.EAGAIN, "its process lives")


def survey(directory: str) -> tuple[list[BoxState], list[str]]:
    """The headers of living processes' boxes below ``directory``, and the paths of the others.

    A file that is not a box is left out. Raises OSError when the folder cannot be read.
    """
    folder = os.path.join(directory, "boxes")
    living, ended = [], []
    for name in os.listdir(folder):
        if name.endswith((".box", ".box.new")):
            path = os.path.join(folder, name)
            state = _check(path)
            if state is ENDED:
                ended.append(path)
            elif isinstance(state, BoxState):
                living.append(state)
    return living, ended


def read_header(path: str) -> BoxState | None:
    """The state of a box without its requests; None when it is not a box. Never raises."""
    with contextlib.suppress(OSError), opened(path) as fd:
        return read(os.read(fd, FIRST_SLOT))
    return None


ENDED = "ended"


def _check(path: str) -> BoxState | str | None:
    with contextlib.suppress(OSError), opened(path) as fd:
        if not is_alive(fd):
            return ENDED
        state = read(os.read(fd, FIRST_SLOT))
        return None if state is None else state._replace(path=path)
    return None
