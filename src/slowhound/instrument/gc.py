"""Measures how long garbage collections hold up a request's own thread.

The callback for a collection runs C code only, without a line of Python. Up to Python 3.11 a
collection begins at any allocation, also within C code that relies on keeping the GIL, and a
callback in Python may lose it there. With such a callback, an application that calls
``sys._current_frames()`` (as samplers do) while its threads start hung for good within 1 to 15
seconds, and ``ast.parse`` in two threads raised SystemError.
"""

from __future__ import annotations

import gc
from collections import deque
from functools import partial
from itertools import repeat
from operator import itemgetter
from typing import Any

from slowhound.core.in_flight import current_record, in_flight
from slowhound.core.record import Record
from slowhound.runtime.clocks import clock
from slowhound.runtime.foreign import is_foreign

# Collections that are kept until a request ends, which then attributes their time.
MOST_COLLECTIONS = 256

# When the current collection began.
_began = deque([0.0], maxlen=1)
# Beginning, end, and the number of the request, 0 for none: a record would keep its request alive.
ended: deque[tuple[float, float, int]] = deque(maxlen=MOST_COLLECTIONS)


def _each(*of: Any) -> Any:
    """A callable with one ignored argument that advances iterators of C by one step."""
    return partial(next, map(*of))


class _Collection:
    """Its attributes have the names of a collection's phases; reading one records the time."""

    start = property(_each(_began.append, iter(clock.monotonic, None)))
    # A collection runs in the thread that triggered it, so its time is that request's.
    stop = property(
        _each(
            ended.append,
            zip(
                map(itemgetter(0), repeat(_began)),
                iter(clock.monotonic, None),
                map(getattr, map(current_record.get, repeat(None)), repeat("number"), repeat(0)),
                strict=False,
            ),
        )
    )


# Called with the phase and a dict, which is the default if there are other phases one day.
on_collection = partial(getattr, _Collection())


def install() -> None:
    """Adds the callback; it runs only when a collection does."""
    if on_collection not in gc.callbacks:
        gc.callbacks.append(on_collection)


def uninstall() -> None:
    """Removes the callback."""
    if on_collection in gc.callbacks:
        gc.callbacks.remove(on_collection)


def describe(record: Record, event: dict[str, Any]) -> None:
    """The time of collections, if there were any; other requests get theirs."""
    while ended:
        try:
            began, now, number = ended.popleft()
        except IndexError as exc:  # the end of another request has just taken it
            if is_foreign(exc):
                raise
            break
        whose = record if number == record.number else in_flight.get(number)
        if whose is not None:
            whose.gc_time += now - began
    if record.gc_time:
        event["gc_time"] = record.gc_time
