"""The black box: one file per worker process, in ``DIR/boxes``; it outlives the process.

Made in the worker after the fork and held by an exclusive ``flock``. The kernel drops the lock
when the process ends, however it ends: a box whose lock can be taken belongs to the dead; without
locks its header says whose it is, see ``filelocks``. No pid
files, no reused pids, no named shared memory that stays behind.

Format, version 6 (native byte order: a box never leaves its machine):

* The header is 20 aligned 8-byte cells, so that one store is one number and a reader never sees
  half of it: 0 magic and version, 1 pid, 2 parent's pid, 3 started (ns since 1970), 4 heartbeat
  (ns, monotonic), 5 requests in flight, 6 served, 7 dropped, 8 resident memory (bytes), 9 slots,
  10 requests that found no free slot, 11 the number of the last dump that somebody asked for, 12 of
  the last one that was made, 13 the heartbeat after which a neighbour has told of a held GIL, 14
  the system's id of the hound's thread, 15 the namespace of its pid, 16 when the process began, in
  ticks of the kernel, 17 how many of the requests in flight are websockets, 18 the
  ``seq`` of the last event that all of the process's sinks have, 19 when the parent began, in ticks
  of the kernel, if it writes the events of this process should that die (0: nobody is known to).
* One area of JSON that says how the process writes its events, see ``Recorder``.
* The slots, one per request in flight: five cells (its number, 0: free; when its running query
  began, ns, monotonic, 0: none; the system's id of its thread; its number again once it is
  reported as slow; Python's ident of its thread) and four areas: who it is, its view, the SQL of
  its last query, its last stack.

An area is two halves, written in turn, each with a sequence number, its length, a CRC, and the
number of the request that it is about. A process that dies in the middle of a write leaves the
other half whole. ``boxes`` reads all this.
"""

from __future__ import annotations

import contextlib
import errno
import os
import struct
from collections.abc import Callable, Iterable
from zlib import crc32

from slowhound.blackbox.memory import CELL, Bytes, Cells, Nowhere, Store, prepare
from slowhound.redaction.sql.shape import sql_shape
from slowhound.runtime.clocks import clock
from slowhound.runtime.foreign import is_foreign
from slowhound.system.file_locks import (
    Process,
    is_kept,
    keep,
    let_go,
    lives,
    parent,
    take,
    this_process,
)
from slowhound.system.files import create
from slowhound.system.private_dir import subfolder

MAGIC = int.from_bytes(b"SLWHND\0\x06", "little")
CELLS = 20
HEADER = CELLS * 8
(PID, PARENT, STARTED, HEARTBEAT, IN_FLIGHT, SERVED, DROPPED, RSS, SLOTS, OVERFLOW) = range(1, 11)
DUMP_ASKED, DUMP_MADE, STALL_TOLD, HOUND, NAMESPACE, BORN = range(11, 17)
OPEN, SENT, PARENT_BORN = range(17, CELLS)
# In SENT: no sink of the process wants events.
NOBODY = 2**62

HEAD = struct.Struct("=IIII")  # sequence, length, CRC, number of the request
# The cells of a slot from QUERY_BEGAN to IDENT.
_CLAIM = struct.Struct("=qqqq")
_TWO = struct.Struct("=qq")
_NONE = CELL.pack(0)
HALF_SETTINGS = 1024
HALF_WHO, HALF_VIEW, HALF_SQL, HALF_STACK = 512, 144, 512, 1008
MOST_SLOTS = 1024
# The cells of a slot.
NUMBER, QUERY_BEGAN, THREAD, REPORTED, IDENT = range(5)
AT_WHO = 5 * 8
AT_VIEW = AT_WHO + 2 * HALF_WHO
AT_SQL = AT_VIEW + 2 * HALF_VIEW
AT_STACK = AT_SQL + 2 * HALF_SQL
SLOT = AT_STACK + 2 * HALF_STACK
FIRST_SLOT = HEADER + 2 * HALF_SETTINGS


class Area:
    """Two halves of a part of the box, written in turn."""

    __slots__ = ("half", "map", "offset", "sequence")

    def __init__(self, mapped: Bytes, offset: int, half: int) -> None:
        self.map = mapped
        self.offset = offset
        self.half = half
        self.sequence = 0

    def write(self, payload: bytes, number: int = 0, into: Store | None = None) -> None:
        """Writes ``payload`` about the request ``number``; one half is whole at each moment.

        ``into`` is what ``Bytes.sure`` has just given for this place.
        """
        if len(payload) > self.half - 16:
            payload = payload[: self.half - 16]
        self.put(payload, crc32(payload), number, into)

    def put(self, payload: bytes, crc: int, number: int, into: Store | None = None) -> None:
        """The same for a payload that fits and whose CRC is known."""
        self.sequence = sequence = self.sequence + 1 & 0xFFFFFFFF
        at = self.offset + self.half * (sequence & 1)
        length = len(payload)
        # A slice, not struct.pack_into: that one first fills the place with zeros. One, for it is a
        # system call where there is no map; the CRC tells a half that is half written.
        head = HEAD.pack(sequence, length, crc, number & 0xFFFFFFFF)
        size = 16 + length
        if into is None:
            into = self.map.sure(at, size)
        into[at : at + size] = head + payload


class Slot:
    """The place of one request in flight.

    Each note carries the number of the request that it is about, so that a reader can tell it from
    what an earlier request of the same slot left there. Each area has one writer: ``stack`` the
    hound, the others the request's own thread.
    """

    __slots__ = ("at", "box", "number", "sql", "stack", "view", "who")

    def __init__(self, box: Box, mapped: Bytes, index: int) -> None:
        offset = FIRST_SLOT + index * SLOT
        self.box = box
        self.at = offset // 8
        self.number = 0
        self.who = Area(mapped, offset + AT_WHO, HALF_WHO)
        self.view = Area(mapped, offset + AT_VIEW, HALF_VIEW)
        self.sql = Area(mapped, offset + AT_SQL, HALF_SQL)
        self.stack = Area(mapped, offset + AT_STACK, HALF_STACK)

    def view_known(self, view: str) -> None:
        """The URL is resolved."""
        payload, crc = _views.get(view) or _encoded(view, HALF_VIEW, _views)
        self.view.put(payload, crc, self.number, self.view.map.last)

    def query_begins(self, sql: str, at: float) -> None:
        """The text of the query that starts now, at ``at`` (monotonic seconds)."""
        payload, crc = _statements.get(sql) or _encoded(sql, HALF_SQL, _statements, sql_shape)
        # Read once: another thread may hand the slot on.
        area, cell = self.sql, (self.at + QUERY_BEGAN) * 8
        into = area.map.last
        area.put(payload, crc, self.number, into)
        if self.sql is area:
            into[cell : cell + 8] = CELL.pack(int(at * 1e9))

    def note_stack(self, number: int, note: bytes) -> None:
        """The last stack of the request ``number``, which may have given back the slot by now."""
        self.stack.write(note, number)

    def query_ends(self) -> None:
        """The query is done; its text stays until the next one."""
        cell = (self.at + QUERY_BEGAN) * 8
        self.sql.map.last[cell : cell + 8] = _NONE

    def began(self) -> int:
        """When its query has begun, ns, monotonic; 0: none runs."""
        began: int = CELL.unpack(self.sql.map.read(8, (self.at + QUERY_BEGAN) * 8))[0]
        return began

    def goes_on_from(self, old: Slot) -> int:
        """The query of the same request in another box, that is running maybe; when it began.

        Only as long as nobody else writes into this.
        """
        into, at, cell = self.sql.map.last, self.sql.offset, (self.at + QUERY_BEGAN) * 8
        self.sql.sequence, began = old.sql.sequence, old.began()
        into[at : at + 2 * HALF_SQL] = old.sql.map.read(2 * HALF_SQL, old.sql.offset)
        into[cell : cell + 8] = CELL.pack(began)
        return began

    def reported(self, number: int) -> bool:
        """True when another process has reported the request ``number``, see ``neighbours``."""
        return self.box.cells[self.at + REPORTED] == number

    def report(self, number: int) -> None:
        """The hound has reported it: no other process needs to."""
        self.box.cells[self.at + REPORTED] = number

    def handed_on(self) -> Slot:
        """The same place for another request; this object goes on to write, but nowhere."""
        other = Slot.__new__(Slot)
        for name in Slot.__slots__:
            setattr(other, name, getattr(self, name))
        # What the record that had it notes from now on, from whatever thread, is nobody's.
        self.who = self.view = self.sql = self.stack = Area(_NOWHERE, 0, HALF_SQL)
        self.box = _NOBODYS  # type: ignore[assignment]
        return other

    def release(self, taken: list[Slot] | None = None) -> None:
        """Gives the slot back: its request has its event. With ``taken`` again does nothing."""
        if taken is None:
            taken = [self]
        if taken and not self.box.closed:
            at = self.at * 8
            self.who.map.last[at : at + 8] = _NONE
            _move(taken, self.box.free)


_NOWHERE = Nowhere()


class _Nobodys:
    """In the place of a box, for a slot that was handed on."""

    closed = True
    cells = Cells(_NOWHERE)


_NOBODYS = _Nobodys()

# An application has few statements and views: each is encoded and summed up once, which is half of
# the cost.
_statements: dict[str, tuple[bytes, int]] = {}
_views: dict[str, tuple[bytes, int]] = {}
KEPT_LIMIT = 512
LONGEST_KEPT = 4000


def _encoded(
    text: str,
    half: int,
    kept: dict[str, tuple[bytes, int]],
    shown: Callable[[str], str] = str,
) -> tuple[bytes, int]:
    # Of a long statement no more than could be seen: a shape takes 40 ns for each character.
    payload = shown(text[: 2 * half])[:half].encode("utf-8", "backslashreplace")[: half - 16]
    found = payload, crc32(payload)
    if len(text) <= LONGEST_KEPT:
        if len(kept) >= KEPT_LIMIT:
            kept.clear()
        kept[text] = found
    return found


class Box:
    """This process's own box, with room for ``slots`` requests.

    Raises:
        OSError: it cannot be made.
    """

    def __init__(self, directory: str, slots: int) -> None:
        folder = subfolder(directory, "boxes")
        self.path = os.path.join(folder, f"{os.getpid()}-{clock.time_ns()}.box")
        # It gets its name only when it is locked and filled: no reader takes it for a dead one.
        draft = self.path + ".new"
        self.closed = False
        self._fd = create(draft, os.O_RDWR)
        try:
            self._prepare(slots)
            os.rename(draft, self.path)
        except BaseException:
            os.close(self._fd)
            os.unlink(draft)
            raise

    def _prepare(self, slots: int) -> None:
        keep(self._fd)
        size = FIRST_SLOT + slots * SLOT
        self._size = size
        self._slots = slots
        self._bytes = prepare(self._fd, size, self._give_up)
        self.cells = Cells(self._bytes)
        self.settings = Area(self._bytes, HEADER, HALF_SETTINGS)
        self.free = [Slot(self, self._bytes, index) for index in reversed(range(slots))]
        cells = self.cells
        cells[PID], cells[NAMESPACE], cells[BORN] = this_process()
        cells[PARENT] = os.getppid()
        cells[STARTED] = clock.time_ns()
        cells[HEARTBEAT] = clock.monotonic_ns()
        cells[SLOTS] = slots
        cells[0] = MAGIC
        if cells[0] != MAGIC:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    @property
    def is_mapped(self) -> bool:
        """False where each write is a system call."""
        return self._bytes.is_mapped

    def _give_up(self) -> None:
        """There is no place for what it should say: nobody shall read what it said last."""
        with contextlib.suppress(OSError):
            os.unlink(self.path)

    def reclaim(self, lenders: Iterable[list[Slot]]) -> None:
        """Frees the slot of the first of these that has one here; they go on without."""
        for lender in lenders:
            if lender and lender[0].box is self:
                found: list[Slot] = []
                with contextlib.suppress(IndexError):  # its request has just ended
                    _move(lender, found)
                    self.cells[OVERFLOW] += 1
                    self.free.append(found[0].handed_on())
                    return

    def recover(self, taken: list[Slot]) -> None:
        """Frees a slot whose request has ended and could not give it back."""
        found: list[Slot] = []
        with contextlib.suppress(IndexError):  # it has just done so
            _move(taken, found)
            slot = found[0].handed_on()
            at = slot.at * 8
            slot.who.map.last[at : at + 8] = _NONE
            self.free.append(slot)

    def claim(
        self, number: int, who: bytes, thread: int, ident: int = 0, taken: list[Slot] | None = None
    ) -> Slot | None:
        """A slot for the request ``number``; None when all are taken.

        ``thread`` is the system's id of its thread, ``ident`` Python's. In ``taken`` is the slot
        even if what is raised from outside, by the handler of a signal, keeps this from returning.
        """
        if taken is None:
            taken = []
        try:
            _move(self.free, taken)
        except IndexError as exc:
            if is_foreign(exc):
                raise
            self.cells[OVERFLOW] += 1
            return None
        slot = taken[0]
        area, at = slot.who, slot.at * 8
        into = area.map.sure(at, SLOT)
        slot.number = number
        area.write(who, number, into)
        # The number comes last: with it the slot is one that is taken.
        into[at + 8 : at + 8 + _CLAIM.size] = _CLAIM.pack(0, thread, 0, ident)
        into[at : at + 8] = CELL.pack(number)
        return slot

    def busy(self, in_flight: int) -> None:
        """So many requests are in flight; after ``claim``, which asks whether the file is there."""
        self._bytes.last[IN_FLIGHT * 8 : IN_FLIGHT * 8 + 8] = CELL.pack(in_flight)

    def count(self, in_flight: int, served: int) -> None:
        """So many requests are in flight, and so many were served."""
        at = IN_FLIGHT * 8
        self._bytes.last[at : at + _TWO.size] = _TWO.pack(in_flight, served)

    def left_to_parent(self) -> None:
        """The parent knows of this box: it writes the events of this process should that die."""
        self.cells[PARENT_BORN] = parent().born

    def still_there(self) -> bool:
        """False when somebody removed the file, or has cut it."""
        found = os.fstat(self._fd)
        if found.st_size < self._size:
            self._bytes.sure(0, self._size)  # requests in flight store nothing any more
            self._give_up()
            return False
        return found.st_nlink > 0

    def close(self, *, remove: bool = True) -> None:
        """Lets go of the box.

        The file stays when a request is still in flight, for whoever writes its event, and when
        ``remove`` is False: a forked child does not own it.
        """
        if remove and len(self.free) == self._slots:
            with contextlib.suppress(OSError):  # as of a file in the place of the folder
                os.unlink(self.path)
        self.closed = True
        self._bytes.close()
        os.close(self._fd)

    def abandon(self) -> None:
        """The file was removed. Requests that write into the map still may; it goes with them."""
        os.close(self._fd)


def _move(source: list[Slot], target: list[Slot]) -> None:
    """Moves one slot; in one call of C code, at whose end it has happened or not."""
    target.extend(map(list.pop, (source,)))


def held(fd: int) -> bool:
    """True while the box's own process lives."""
    found = is_kept(fd)
    if found is not None:
        return found
    cells = memoryview(os.pread(fd, HEADER, 0).ljust(HEADER, b"\0")).cast("q")
    # Of another container nothing can be said: nobody buries the living.
    return lives(Process(cells[PID], cells[NAMESPACE], cells[BORN])) is not False


def take_dead(fd: int) -> None:
    """The right to bury the process of a box; raises OSError while it lives, or another does."""
    if not take(fd) and held(fd):
        let_go(fd)
        raise BlockingIOError(errno.EAGAIN, "its process lives")
