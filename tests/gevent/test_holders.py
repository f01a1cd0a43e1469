"""Which of a thread's greenlets held the GIL."""

from __future__ import annotations

import threading
import time
import weakref
from concurrent.futures import ThreadPoolExecutor

import gevent

from slowhound.core.record import Record
from slowhound.gil.holders import EndedHold
from slowhound.watch.starvation import Starvation

HELD = 2.0


def carried(path: str) -> Record:
    """A request of the calling greenlet, longer under way than the GIL was held."""
    record = Record("GET", path, time.monotonic() - 2 * HELD)
    record.greenlet = weakref.ref(gevent.getcurrent())
    return record


def two_greenlets() -> tuple[Record, Record]:
    """One waits; one runs when another thread learns that their thread held the GIL."""
    records: list[Record] = []
    starvation = Starvation()

    def waits() -> None:
        records.append(carried("/waits/"))
        gevent.sleep(60)

    def burns() -> None:
        records.append(carried("/burns/"))
        hold = EndedHold(HELD, {threading.get_native_id(): HELD})
        hound = threading.Thread(
            target=starvation._attribute, args=(hold, time.monotonic(), records)
        )
        hound.start()
        hound.join()

    waiting = gevent.spawn(waits)
    gevent.sleep(0)
    gevent.spawn(burns).get()
    waiting.kill()
    gevent.get_hub().destroy()
    return records[0], records[1]


def test_greenlet_that_ran_held_the_gil_and_the_others_of_its_thread_waited() -> None:
    """A suspended one is not blamed for what its thread did, and names the one that ran."""
    with ThreadPoolExecutor(1) as threads:  # which has a hub of its own
        waited, ran = threads.submit(two_greenlets).result()
    assert (ran.gil_hold, ran.gil_wait) == (HELD, 0)
    assert (waited.gil_hold, waited.gil_wait) == (0, HELD)
    assert waited.gil_held_by is not None
    assert waited.gil_held_by.startswith(f"{ran.id} (its URL is not resolved yet), afterwards at ")
