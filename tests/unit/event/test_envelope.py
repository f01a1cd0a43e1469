"""What each event says of its process, whether that or another one writes it."""

from __future__ import annotations

from typing import Any

from slowhound.event.envelope import Origin, add_envelope
from slowhound.event.fields import FIELDS, VERSION

ORIGIN = Origin("web-1", 7, "shop", "1.2")


def test_envelope_stands_in_the_order_of_the_table() -> None:
    """With all that it may have."""
    event: dict[str, Any] = {}
    add_envelope(event, ORIGIN, ("t" * 32, "s" * 16), 5, (2, 3))
    order = [each.name for each in FIELDS]
    assert list(event) == sorted(event, key=order.index)
    assert event.pop("ts") > 0
    assert event == {
        "host": "web-1",
        "pid": 7,
        "service": "shop",
        "release": "1.2",
        "trace_id": "t" * 32,
        "span_id": "s" * 16,
        "rec_dropped": 2,
        "rec_errors": 3,
        "seq": 5,
        "v": VERSION,
    }


def test_what_is_not_known_is_left_out() -> None:
    """A process that lives numbers its own events, and another one must not."""
    event: dict[str, Any] = {}
    add_envelope(event, Origin(None, 7, None, None), None, None)
    assert set(event) == {"ts", "host", "pid", "v"}


def test_what_has_not_happened_is_left_out() -> None:
    """Each of the two counts stands only where it is more than nothing."""
    for lost, names in (((2, 0), {"rec_dropped"}), ((0, 3), {"rec_errors"}), ((0, 0), set())):
        event: dict[str, Any] = {}
        add_envelope(event, ORIGIN, None, 5, lost)
        assert {name for name in event if name.startswith("rec_")} == names
