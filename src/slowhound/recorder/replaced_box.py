"""Slots in a new black box for requests that are in flight: the box before was removed or cut.

Also for those that began while there was none. The hound does all of it, beside the requests' own
threads, which take no lock and may end at any step:

* A request that is just beginning claims a slot itself, in whichever box it has read. It is checked
  again a second later.
* A slot is written before its request can see it. What the request has written meanwhile went into
  the old one, and is written again.
* A request that is just ending releases the slot that it has read, which may be the old one. The
  new one is released for it, long after that.
"""

from __future__ import annotations

from typing import NamedTuple

from slowhound.blackbox.box import Box
from slowhound.blackbox.slots import Slot
from slowhound.core.box_payloads import who_payload
from slowhound.core.in_flight import in_flight, snapshot_in_flight
from slowhound.core.record import Record
from slowhound.instrument import view

# Turns of the hound, a minute: no request takes as long from its end to its last step.
TURNS_TO_RELEASE = 60


class _Given(NamedTuple):
    record: Record
    taken: list[Slot]
    old: Slot | None
    began: int  # the query that was running then, as a slot has it
    turns: list[int]  # one number: turns of the hound since the request has ended


class ReplacedBox:
    """Which requests need a slot in the new box, and which were given one."""

    def __init__(self) -> None:
        self._wanting: list[Record] = []
        self._given: list[_Given] = []

    def tend(self, box: Box, *, is_new: bool) -> None:
        """Gives slots, and releases those that their requests will not. Once a second."""
        self._given = [each for each in self._given if _is_held(each)]
        wanting, self._wanting = self._wanting, []
        if is_new:  # all others claim a slot in this box themselves
            wanting = sorted(snapshot_in_flight(), key=lambda record: record.yields)
        for record in wanting:
            if record.number not in in_flight or (record.slot and record.slot.box is box):
                continue
            if is_new and not record.overhead:  # it is about to begin, or was interrupted there
                self._wanting.append(record)
            elif box.free or not record.yields:
                self._give(box, record)

    def _give(self, box: Box, record: Record) -> None:
        who, taken, old = who_payload(record), list[Slot](), record.slot
        slot = box.claim(record.number, who, record.native_id, record.thread_id, taken)
        if slot is None:
            return
        began = slot.continue_query(old) if old is not None else 0
        given = _Given(record, taken, old, began, [0])
        self._given.append(given)
        record.taken = taken
        record.slot = slot
        # From here on the request writes into it, too.
        _catch_up(given)
        again = who_payload(record)
        if again != who:  # its path has turned out to have a secret
            for _ in range(2):  # into both halves: the former payload would stay in the other one
                slot.who.write(again, record.number)
        if record.view:
            slot.view_known(record.view)
        ignored = view.ignored is not None and view.ignored(record.path, record.names())
        if record.slow is not None or ignored:  # no other process reports it
            slot.report(record.number)


def _catch_up(given: _Given) -> None:
    """The query may have ended just before its request has seen the new slot."""
    old, began = given.old, given.began
    if old is not None and began and not old.began():
        for slot in given.taken[:1]:
            if slot.began() == began:
                slot.query_ends()


def _is_held(given: _Given) -> bool:
    """False once the slot is released; by us, where the request could not."""
    record, taken = given.record, given.taken
    if not taken:
        return False
    _catch_up(given)
    if record.done:
        given.turns[0] += 1
        # Its thread has released the slot before, or has claimed another one in the same box.
        if given.turns[0] > TURNS_TO_RELEASE or record.taken is not taken:
            for slot in taken[:1]:
                slot.box.recover(taken)
            return False
    return True
