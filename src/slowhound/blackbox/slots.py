"""Writes requests in flight into the slots of this process's black box.

A slot holds which request it is, its view, its query and its last stack.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from typing import Protocol
from zlib import crc32

from slowhound.blackbox.layout import (
    AT_SQL,
    AT_STACK,
    AT_VIEW,
    AT_WHO,
    CELL,
    FIRST_SLOT,
    HALF_SQL,
    HALF_STACK,
    HALF_VIEW,
    HALF_WHO,
    HEAD,
    QUERY_BEGAN,
    REPORTED,
    SLOT,
)
from slowhound.blackbox.memory import Bytes, Cells, Nowhere, Store
from slowhound.redaction.sql.shape import sql_shape

_ZERO = CELL.pack(0)
# The cells of a slot from QUERY_BEGAN to IDENT.
_AFTER_NUMBER = struct.Struct("=qqqq")


class SlotOwner(Protocol):
    """What a slot needs of its box."""

    closed: bool
    cells: Cells
    free: list[Slot]

    def recover(self, taken: list[Slot]) -> None:
        """Frees a slot whose request has ended and could not give it back."""


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

        ``into`` is what ``Bytes.sure`` has just returned for this place.
        """
        if len(payload) > self.half - 16:
            payload = payload[: self.half - 16]
        self.put(payload, crc32(payload), number, into)

    def put(self, payload: bytes, crc: int, number: int, into: Store | None = None) -> None:
        """The same for a payload that fits and whose CRC is known."""
        self.sequence = sequence = self.sequence + 1 & 0xFFFFFFFF
        at = self.offset + self.half * (sequence & 1)
        length = len(payload)
        # A slice, not struct.pack_into, which first fills the place with zeros. A single one,
        # because it is a system call where the file is not mapped. The CRC marks a half that
        # is only partly written.
        head = HEAD.pack(sequence, length, crc, number & 0xFFFFFFFF)
        size = 16 + length
        if into is None:
            into = self.map.sure(at, size)
        into[at : at + size] = head + payload


class Slot:
    """The place of one request in flight.

    Each payload carries the number of the request that it is about, so that a reader can tell it
    from what an earlier request of the same slot left there. Each area has one writer: the hound
    for ``stack``, the request's own thread for the others.
    """

    __slots__ = ("at", "box", "number", "sql", "stack", "view", "who")

    def __init__(self, box: SlotOwner, mapped: Bytes, index: int) -> None:
        offset = FIRST_SLOT + index * SLOT
        self.box = box
        self.at = offset // 8
        self.number = 0
        self.who = Area(mapped, offset + AT_WHO, HALF_WHO)
        self.view = Area(mapped, offset + AT_VIEW, HALF_VIEW)
        self.sql = Area(mapped, offset + AT_SQL, HALF_SQL)
        self.stack = Area(mapped, offset + AT_STACK, HALF_STACK)

    def take(self, number: int, who: bytes, thread: int, ident: int) -> None:
        """The slot is that of the request ``number`` from now on."""
        area, at = self.who, self.at * 8
        into = area.map.sure(at, SLOT)
        self.number = number
        area.write(who, number, into)
        # The number comes last: with it the slot is taken.
        into[at + 8 : at + 8 + _AFTER_NUMBER.size] = _AFTER_NUMBER.pack(0, thread, 0, ident)
        into[at : at + 8] = CELL.pack(number)

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

    def write_stack(self, number: int, payload: bytes) -> None:
        """The last stack of the request ``number``, which may have given back the slot by now."""
        self.stack.write(payload, number)

    def query_ends(self) -> None:
        """The query is done; its text stays until the next one."""
        cell = (self.at + QUERY_BEGAN) * 8
        self.sql.map.last[cell : cell + 8] = _ZERO

    def began(self) -> int:
        """When its query began, in ns of the monotonic clock; 0: none runs."""
        began: int = CELL.unpack(self.sql.map.read(8, (self.at + QUERY_BEGAN) * 8))[0]
        return began

    def continue_query(self, old: Slot) -> int:
        """Copies the query of the same request, which may be running, from the slot in another box.

        Only as long as no other thread writes into this slot. Returns when the query began.
        """
        into, at, cell = self.sql.map.last, self.sql.offset, (self.at + QUERY_BEGAN) * 8
        self.sql.sequence, began = old.sql.sequence, old.began()
        into[at : at + 2 * HALF_SQL] = old.sql.map.read(2 * HALF_SQL, old.sql.offset)
        into[cell : cell + 8] = CELL.pack(began)
        return began

    def reported(self, number: int) -> bool:
        """True when another process has reported the request ``number``, see ``peers.stalled``."""
        return self.box.cells[self.at + REPORTED] == number

    def report(self, number: int) -> None:
        """The hound has reported it: no other process needs to."""
        self.box.cells[self.at + REPORTED] = number

    def handed_on(self) -> Slot:
        """The same place for another request; this object goes on to write, but nowhere."""
        other = Slot.__new__(Slot)
        for name in Slot.__slots__:
            setattr(other, name, getattr(self, name))
        # What the record that had it writes from now on, from whichever thread, is dropped.
        self.who = self.view = self.sql = self.stack = Area(_NOWHERE, 0, HALF_SQL)
        self.box = _NO_BOX
        return other

    def mark_free(self) -> None:
        """Readers find no request here any more."""
        at = self.at * 8
        self.who.map.last[at : at + 8] = _ZERO

    def release(self, taken: list[Slot] | None = None) -> None:
        """Gives the slot back: its request has its event.

        With ``taken`` a second call does nothing.
        """
        if taken is None:
            taken = [self]
        if taken and not self.box.closed:
            self.mark_free()
            move(taken, self.box.free)


def move(source: list[Slot], target: list[Slot]) -> None:
    """Moves one slot, in one call of C code: at its end that has happened or not."""
    target.extend(map(list.pop, (source,)))


_NOWHERE = Nowhere()


class _NoBox:
    """In the place of a box, for a slot that was handed on."""

    def __init__(self) -> None:
        self.closed = True
        self.cells = Cells(_NOWHERE)
        self.free: list[Slot] = []

    def recover(self, taken: list[Slot]) -> None:
        """There is none to free."""


_NO_BOX = _NoBox()

# An application has few statements and views: each is encoded and gets its CRC once, which is half
# of the cost.
_statements: dict[str, tuple[bytes, int]] = {}
_views: dict[str, tuple[bytes, int]] = {}
CACHED_TEXTS = 512
LONGEST_CACHED_TEXT = 4000


def _encoded(
    text: str,
    half: int,
    cache: dict[str, tuple[bytes, int]],
    shown: Callable[[str], str] = str,
) -> tuple[bytes, int]:
    # No more of a long statement than could be shown: a shape takes 40 ns for each character.
    payload = shown(text[: 2 * half])[:half].encode("utf-8", "backslashreplace")[: half - 16]
    found = payload, crc32(payload)
    if len(text) <= LONGEST_CACHED_TEXT:
        if len(cache) >= CACHED_TEXTS:
            cache.clear()
        cache[text] = found
    return found
