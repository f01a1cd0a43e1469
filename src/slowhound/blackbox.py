"""The black box: one mmapped file per worker process, in ``DIR/boxes``; it outlives the process.

Made in the worker after the fork and held by an exclusive ``flock``. The kernel drops the lock
when the process ends, however it ends: a box whose lock can be taken belongs to the dead. No pid
files, no reused pids, no named shared memory that stays behind.

Format, version 2 (native byte order: a box never leaves its machine):

* The header is 16 aligned 8-byte cells, so that one store is one number and a reader never sees
  half of it: 0 magic and version, 1 pid, 2 parent's pid, 3 started (ns since 1970), 4 heartbeat
  (ns, monotonic), 5 requests in flight, 6 served, 7 dropped, 8 resident memory (bytes), 9 slots,
  10 requests that found no free slot.
* One area of JSON that says how the process writes its events, see ``Recorder``.
* The slots, one per request in flight: two cells (0: free, else the request's number; 0: no
  query, else when the running one began, ns, monotonic) and three areas: who it is, the SQL of
  its last query, its last stack.

An area is two halves, written in turn, each with a sequence number, its length and a CRC. A
process that dies in the middle of a write leaves the other half whole.
"""

from __future__ import annotations

import contextlib
import mmap
import os
import struct
import time
from typing import NamedTuple
from zlib import crc32

from slowhound.folder import subfolder

try:
    import fcntl
except ImportError:  # not a POSIX system: no boxes, and so no saturation fields
    fcntl = None  # type: ignore[assignment]

MAGIC = int.from_bytes(b"SLWHND\0\x02", "little")
CELLS = 16
HEADER = CELLS * 8
(PID, PARENT, STARTED, HEARTBEAT, IN_FLIGHT, SERVED, DROPPED, RSS, SLOTS, OVERFLOW) = range(1, 11)

_HEAD = struct.Struct("=IIIi")  # sequence, length, CRC, spare
HALF_SETTINGS = 1024
HALF_WHO, HALF_SQL, HALF_STACK = 512, 512, 1016
MOST_SLOTS = 1024
_WHO = 16
_SQL = _WHO + 2 * HALF_WHO
_STACK = _SQL + 2 * HALF_SQL
SLOT = _STACK + 2 * HALF_STACK
FIRST_SLOT = HEADER + 2 * HALF_SETTINGS
_NUMBER = struct.Struct("=q")
_TWO_CELLS = struct.Struct("=qq")


class Area:
    """Two halves of the map, written in turn."""

    __slots__ = ("half", "map", "offset", "sequence")

    def __init__(self, mapped: mmap.mmap, offset: int, half: int) -> None:
        self.map = mapped
        self.offset = offset
        self.half = half
        self.sequence = 0

    def write(self, payload: bytes) -> None:
        """Writes ``payload``, cut to what fits; one half is whole at each moment."""
        self.sequence = sequence = self.sequence + 1 & 0xFFFFFFFF
        at = self.offset + self.half * (sequence & 1)
        length = len(payload)
        if length > self.half - 16:
            length = self.half - 16
            payload = payload[:length]
        # Slices, not struct.pack_into: that one first fills the place with zeros.
        self.map[at + 16 : at + 16 + length] = payload
        self.map[at : at + 16] = _HEAD.pack(sequence, length, crc32(payload), 0)


class Slot:
    """The place of one request in flight.

    Each note begins with the number of the request that it is about, so that a reader can tell it
    from what an earlier request of the same slot left there. Each area has one writer: ``who``
    and ``sql`` the request's own thread, ``stack`` the hound.
    """

    __slots__ = ("at", "box", "number", "sql", "stack", "who")

    def __init__(self, box: Box, mapped: mmap.mmap, index: int) -> None:
        offset = FIRST_SLOT + index * SLOT
        self.box = box
        self.at = offset // 8
        self.number = b""
        self.who = Area(mapped, offset + _WHO, HALF_WHO)
        self.sql = Area(mapped, offset + _SQL, HALF_SQL)
        self.stack = Area(mapped, offset + _STACK, HALF_STACK)

    def query_begins(self, sql: str, at: float) -> None:
        """The text of the query that starts now, at ``at`` (monotonic seconds)."""
        self.sql.write(self.number + sql[:HALF_SQL].encode("utf-8", "backslashreplace"))
        self.box.cells[self.at + 1] = int(at * 1e9)

    def note_stack(self, number: int, note: bytes) -> None:
        """The last stack of the request ``number``, which may have given back the slot by now."""
        self.stack.write(_NUMBER.pack(number) + note)

    def query_ends(self) -> None:
        """The query is done; its text stays until the next one."""
        self.box.cells[self.at + 1] = 0

    def release(self) -> None:
        """Gives the slot back: its request has its event."""
        self.box.cells[self.at] = 0
        self.box.free.append(self)


class Box:
    """This process's own box, with room for ``slots`` requests.

    Raises:
        OSError: it cannot be made, or this system has no ``flock``.
    """

    def __init__(self, directory: str, slots: int) -> None:
        if fcntl is None:
            raise OSError("black boxes need flock(), which this system does not have")
        folder = subfolder(directory, "boxes")
        self.path = os.path.join(folder, f"{os.getpid()}-{time.time_ns()}.box")
        # It gets its name only when it is locked and filled: no reader takes it for a dead one.
        draft = self.path + ".new"
        flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | os.O_NOFOLLOW
        self._fd = os.open(draft, flags, 0o600)
        try:
            self._prepare(slots)
            os.rename(draft, self.path)
        except BaseException:
            os.close(self._fd)
            os.unlink(draft)
            raise

    def _prepare(self, slots: int) -> None:
        fcntl.flock(self._fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        size = FIRST_SLOT + slots * SLOT
        if hasattr(os, "posix_fallocate"):
            # Real blocks, not a hole: a store into a hole of a full disk is a SIGBUS.
            os.posix_fallocate(self._fd, 0, size)
        else:  # macOS
            os.ftruncate(self._fd, size)
        self._map = mmap.mmap(self._fd, size)
        self._view = memoryview(self._map)
        self.cells = self._view.cast("q")
        self.settings = Area(self._map, HEADER, HALF_SETTINGS)
        self.free = [Slot(self, self._map, index) for index in reversed(range(slots))]
        cells = self.cells
        cells[PID] = os.getpid()
        cells[PARENT] = os.getppid()
        cells[STARTED] = time.time_ns()
        cells[HEARTBEAT] = time.monotonic_ns()
        cells[SLOTS] = slots
        cells[0] = MAGIC

    def claim(self, number: int, who: bytes) -> Slot | None:
        """A slot for the request ``number``; None, and counted, when all are taken."""
        try:
            slot = self.free.pop()
        except IndexError:
            self.cells[OVERFLOW] += 1
            return None
        slot.number = _NUMBER.pack(number)
        slot.who.write(slot.number + who)
        self.cells[slot.at + 1] = 0
        self.cells[slot.at] = number
        return slot

    def still_there(self) -> bool:
        """False when somebody removed the file."""
        return os.fstat(self._fd).st_nlink > 0

    def close(self, *, remove: bool = True) -> None:
        """Lets go of the box.

        The file stays when a request is still in flight, for whoever writes its event, and when
        ``remove`` is False: a forked child does not own it.
        """
        if remove and len(self.free) == self.cells[SLOTS]:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(self.path)
        self.cells.release()
        self._view.release()
        self._map.close()
        os.close(self._fd)

    def abandon(self) -> None:
        """The file was removed. Requests that write into the map still may; it goes with them."""
        os.close(self._fd)


class Pending(NamedTuple):
    """One request that a box says is in flight; each part is the last whole one written."""

    number: int
    query_began: int  # ns, monotonic; 0: no query runs
    who: bytes
    sql: bytes
    stack: bytes


class BoxState(NamedTuple):
    """What a box says."""

    pid: int
    parent: int
    started: int  # ns since 1970
    heartbeat: int  # ns, monotonic
    in_flight: int
    served: int
    rss: int
    overflow: int
    settings: bytes
    pending: tuple[Pending, ...]


def read(data: bytes) -> BoxState | None:
    """The state in the bytes of a box; None when they are none. Never raises for any bytes."""
    if len(data) < FIRST_SLOT:
        return None
    cells = memoryview(data[:HEADER]).cast("q")
    if cells[0] != MAGIC:
        return None
    slots = min(max(cells[SLOTS], 0), (len(data) - FIRST_SLOT) // SLOT, MOST_SLOTS)
    found = []
    for index in range(slots):
        at = FIRST_SLOT + index * SLOT
        number, query_began = _TWO_CELLS.unpack_from(data, at)
        if number:
            who = _own(number, _area(data, at + _WHO, HALF_WHO))
            sql = _own(number, _area(data, at + _SQL, HALF_SQL))
            stack = _own(number, _area(data, at + _STACK, HALF_STACK))
            found.append(Pending(number, query_began, who, sql, stack))
    return BoxState(
        cells[PID],
        cells[PARENT],
        cells[STARTED],
        cells[HEARTBEAT],
        cells[IN_FLIGHT],
        cells[SERVED],
        cells[RSS],
        cells[OVERFLOW],
        _area(data, HEADER, HALF_SETTINGS),
        tuple(found),
    )


def _area(data: bytes, offset: int, half: int) -> bytes:
    """The newest whole half of an area; empty when none is."""
    best, newest = b"", -1
    for at in (offset, offset + half):
        sequence, length, crc, _ = _HEAD.unpack_from(data, at)
        payload = data[at + 16 : at + 16 + length]
        whole = 0 < length <= half - 16 and crc32(payload) == crc
        if whole and sequence > newest:
            best, newest = payload, sequence
    return best


def _own(number: int, payload: bytes) -> bytes:
    """The payload without its request's number; empty when it is an earlier request's."""
    return payload[8:] if payload[:8] == _NUMBER.pack(number) else b""


def open_box(path: str) -> int:
    """A descriptor of a box; raises OSError for what is no regular file of this name."""
    return os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK)


def take(fd: int) -> None:
    """Locks a box for good; BlockingIOError while its process lives or another is at it."""
    fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)


def held(fd: int) -> bool:
    """True while the box's own process lives."""
    try:
        # A shared lock: two readers at once do not take each other for the owner.
        fcntl.flock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    fcntl.flock(fd, fcntl.LOCK_UN)
    return False


def survey(directory: str) -> tuple[list[BoxState], list[str]]:
    """The headers of the living processes' boxes below ``directory``, and the dead ones' paths.

    A file that is no box is nobody's. Raises OSError when the folder cannot be read.
    """
    folder = os.path.join(directory, "boxes")
    living, dead = [], []
    for name in os.listdir(folder):
        if name.endswith((".box", ".box.new")):
            path = os.path.join(folder, name)
            state = _look(path)
            if state is DEAD:
                dead.append(path)
            elif isinstance(state, BoxState):
                living.append(state)
    return living, dead


DEAD = "dead"


def _look(path: str) -> BoxState | str | None:
    try:
        fd = open_box(path)
    except OSError:
        return None
    try:
        return read(os.read(fd, FIRST_SLOT)) if held(fd) else DEAD
    except OSError:
        return None
    finally:
        os.close(fd)
