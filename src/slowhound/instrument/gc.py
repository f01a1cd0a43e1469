"""Garbage collection: how long a request's own thread was held up by it.

What is called for each collection is C alone, without a line of Python. Up to Python 3.11 a
collection begins at any allocation, also within C code that counts on keeping the GIL: a callback
written in Python may lose it there. With one, an application that calls ``sys._current_frames()``
(as samplers do) while its threads begin hung for good within 1 to 15 seconds, and ``ast.parse`` in
two threads raised SystemError.
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

# Collections whose time no record has yet; the next request that ends takes what there is.
MOST_WAITING = 256

# When the present one began.
_began = deque([0.0], maxlen=1)
# Beginning, end, and the number of the request, 0 for none: a record would keep its request alive.
ended: deque[tuple[float, float, int]] = deque(maxlen=MOST_WAITING)


def _each(*of: Any) -> Any:
    """A callable of one ignored argument that lets iterators of C make one step."""
    return partial(next, map(*of))


class _Collection:
    """Its attributes are named as the phases of a collection; to read one notes the time."""

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
    """Takes the callback away."""
    if on_collection in gc.callbacks:
        gc.callbacks.remove(on_collection)


def describe(record: Record, event: dict[str, Any]) -> None:
    """The time, when there was a collection; gives others theirs."""
    while ended:
        try:
            began, now, number = ended.popleft()
        except IndexError as exc:  # another request has just taken it
            if is_foreign(exc):
                raise
            break
        whose = record if number == record.number else in_flight.get(number)
        if whose is not None:
            whose.gc_time += now - began
    if record.gc_time:
        event["gc_time"] = record.gc_time
