"""One thing to deliver, a report or the end of its request, and its line of JSON."""

from __future__ import annotations

import contextlib
import os
from dataclasses import replace

import msgspec

from slowhound.core.report import Report
from slowhound.event.formats import clean, encodable, json_line, shortened
from slowhound.runtime.library_names import NOT_JSON

# A report with many local variables has 300 KiB.
ITEM_MAX_BYTES = 2 * 1024**2


class DeliveryItem(msgspec.Struct):
    """A report, or (``follow_up``) how its request ended after the report was sent."""

    report: Report
    follow_up: bool = False


class ClaimedItem:
    """An item that only this process may send now.

    ``delivered`` has the names of the sinks that have it.

    Args:
        fd: the item's file, to which each such name is added; None: the item is in memory only.
    """

    def __init__(self, item: DeliveryItem, delivered: set[str], fd: int | None) -> None:
        self.item = item
        self.delivered = delivered
        self._fd = fd

    def mark_delivered(self, sink: str) -> None:
        """Records that this sink has it; raises OSError when that cannot be written."""
        self.delivered.add(sink)
        if self._fd is not None:
            # A line that was cut short before must not spoil this one.
            os.write(self._fd, b"\n" + msgspec.json.encode(sink))


# Made at import: they compile the annotations of what they decode, which must not happen on the
# thread that sends.
_ITEMS = msgspec.json.Decoder(DeliveryItem)
_SINK_NAMES = msgspec.json.Decoder(str)


def encode(item: DeliveryItem) -> bytes:
    """One line of JSON; if it is too long, the event is shortened, then variables are left out."""
    line = _encode(item)
    if len(line) > ITEM_MAX_BYTES:
        item = DeliveryItem(
            replace(item.report, event=shortened(item.report.event)), item.follow_up
        )
        line = _encode(item)
    snapshot = item.report.snapshot
    if len(line) > ITEM_MAX_BYTES and snapshot is not None and snapshot.variables:
        without = replace(item.report, snapshot=replace(snapshot, variables=None))
        line = _encode(DeliveryItem(without, item.follow_up))
    return line


def _encode(item: DeliveryItem) -> bytes:
    """Values of an application's own types become text."""
    try:
        return msgspec.json.encode(item, enc_hook=clean)
    except (TypeError, ValueError, OverflowError, RecursionError):
        # Invalid Unicode, huge numbers, deep nesting: changed as in the line of an event.
        report = replace(item.report, event=encodable(item.report.event))
        return json_line(msgspec.to_builtins(DeliveryItem(report, item.follow_up)))[:-1]


def decode(data: bytes) -> tuple[DeliveryItem, set[str]]:
    """What is in the file of an item: the item, and the names of the sinks that have it.

    Raises:
        Exception: one of ``NOT_JSON``: the first line is no item.
    """
    first, _, names = data.partition(b"\n")
    item = _ITEMS.decode(first)
    delivered = set()
    for line in names.split(b"\n"):
        with contextlib.suppress(*NOT_JSON):  # blank, or cut short
            delivered.add(_SINK_NAMES.decode(line))
    return item, delivered
