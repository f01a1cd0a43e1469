"""Makes the black box of this process: a file in ``DIR/boxes`` that outlives it.

It is made in the worker after the fork and held by an exclusive ``flock``. The kernel drops the
lock when the process ends, however it ends: a box whose lock can be taken belongs to an ended
process. Without locks its header identifies the process, see ``system.processes``. No pid files,
no reused pids, no named shared memory that stays behind. The format stands in ``layout``.
"""

from __future__ import annotations

import contextlib
import errno
import os
import struct
from collections.abc import Iterable

from slowhound.blackbox.layout import (
    BORN,
    CELL,
    FIRST_SLOT,
    HALF_SETTINGS,
    HEADER,
    HEARTBEAT,
    IN_FLIGHT,
    MAGIC,
    NAMESPACE,
    OVERFLOW,
    PARENT,
    PARENT_BORN,
    PID,
    SLOT,
    SLOTS,
    STARTED,
)
from slowhound.blackbox.memory import Cells, prepare
from slowhound.blackbox.slots import Area, Slot, move
from slowhound.runtime.clocks import clock
from slowhound.runtime.foreign import is_foreign
from slowhound.system.file_locks import lock_until_exit
from slowhound.system.files import create
from slowhound.system.private_dir import subfolder
from slowhound.system.processes import parent, this_process

_TWO_CELLS = struct.Struct("=qq")


class Box:
    """This process's own box, with room for ``slots`` requests.

    Raises:
        OSError: it cannot be made.
    """

    def __init__(self, directory: str, slots: int) -> None:
        folder = subfolder(directory, "boxes")
        self.path = os.path.join(folder, f"{os.getpid()}-{clock.time_ns()}.box")
        # It gets its name only when it is locked and filled: no reader takes it for the box of an
        # ended process.
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
        lock_until_exit(self._fd)
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
        """There is no place for the current state: no one must read the former one."""
        with contextlib.suppress(OSError):
            os.unlink(self.path)

    def reclaim(self, lenders: Iterable[list[Slot]]) -> None:
        """Frees the slot of the first of these that has one here; they go on without."""
        for lender in lenders:
            if lender and lender[0].box is self:
                found: list[Slot] = []
                with contextlib.suppress(IndexError):  # its request has just ended
                    move(lender, found)
                    self.cells[OVERFLOW] += 1
                    self.free.append(found[0].handed_on())
                    return

    def recover(self, taken: list[Slot]) -> None:
        """Frees a slot whose request has ended and could not give it back."""
        found: list[Slot] = []
        with contextlib.suppress(IndexError):  # it has just done so
            move(taken, found)
            slot = found[0].handed_on()
            slot.mark_free()
            self.free.append(slot)

    def claim(
        self, number: int, who: bytes, thread: int, ident: int = 0, taken: list[Slot] | None = None
    ) -> Slot | None:
        """A slot for the request ``number``; None when all are taken.

        ``thread`` is the system's id of its thread, ``ident`` Python's. The slot is in ``taken``
        even if an exception from outside, as of a signal handler, keeps this from returning.
        """
        if taken is None:
            taken = []
        try:
            move(self.free, taken)
        except IndexError as exc:
            if is_foreign(exc):
                raise
            self.cells[OVERFLOW] += 1
            return None
        taken[0].take(number, who, thread, ident)
        return taken[0]

    def busy(self, in_flight: int) -> None:
        """So many requests are in flight; after ``claim``, which checks that the file is there."""
        self._bytes.last[IN_FLIGHT * 8 : IN_FLIGHT * 8 + 8] = CELL.pack(in_flight)

    def count(self, in_flight: int, served: int) -> None:
        """So many requests are in flight, and so many were served."""
        at = IN_FLIGHT * 8
        self._bytes.last[at : at + _TWO_CELLS.size] = _TWO_CELLS.pack(in_flight, served)

    def reaped_by_parent(self) -> None:
        """The parent knows of this box: it writes the events of this process after its death."""
        self.cells[PARENT_BORN] = parent().born

    def still_there(self) -> bool:
        """False when another process has removed the file, or cut it."""
        found = os.fstat(self._fd)
        if found.st_size < self._size:
            self._bytes.sure(0, self._size)  # requests in flight store nothing any more
            self._give_up()
            return False
        return found.st_nlink > 0

    def close(self, *, remove: bool = True) -> None:
        """Releases the box.

        The file stays when a request is still in flight, for the process that writes its event,
        and when ``remove`` is False: a forked child does not own it.
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
