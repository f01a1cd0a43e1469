"""Finds the thread of a pool that does an awaited job, or why none does yet.

For ``loop.run_in_executor``, ``asyncio.to_thread`` and what uses them. Of the standard
library's ``concurrent.futures.thread`` this reads the frames of ``_WorkItem.run`` and ``_worker``;
they have kept their names and variables from Python 3.11 to 3.15.
"""

from __future__ import annotations

import concurrent.futures._base
import gc
import os
from types import FrameType
from typing import Any

from slowhound.frames.frames import current_frames, from_frame, innermost, outwards
from slowhound.runtime.attributes import attribute_or
from slowhound.runtime.code_objects import file_of, qualname_of
from slowhound.runtime.static_lookup import function_variables

# Not by importing it: that registers what Python does at its end.
MODULE = os.path.join(os.path.dirname(concurrent.futures._base.__file__), "thread.py")
WAITS_FOR_A_THREAD = "waits for a thread of its executor"
# More of them would not fit into one line.
PLACES_NAMED = 3
FINISHED = ("CANCELLED", "CANCELLED_AND_NOTIFIED", "FINISHED")


def thread_of(job: Any) -> tuple[int, list[FrameType]] | None:
    """The thread that runs the ``concurrent.futures.Future`` ``job``; its frames from there on.

    The first of them is the pool's own; None when no thread has it.
    """
    for ident, frame in current_frames().items():
        inner: list[FrameType] = []
        for each in outwards(frame):
            inner.append(each)
            if _is(each, "_WorkItem.run"):
                if attribute_or(function_variables(each).get("self"), "future") is job:
                    return ident, inner[::-1]
                break
    return None


def why_waiting(job: Any) -> str:
    """What ``job``, which no thread has yet, waits for, and what keeps its pool busy."""
    queue: Any = None
    busy: list[tuple[Any, str]] = []
    for frame in current_frames().values():
        worker = next((each for each in outwards(frame) if _is(each, "_worker")), None)
        if worker is None:
            continue
        queue_of_worker = function_variables(worker).get("work_queue")
        if queue is None and _holds(queue_of_worker, job):
            queue = queue_of_worker
        place = innermost(from_frame(frame))
        if any(_is(each, "_WorkItem.run") for each in outwards(frame)):
            busy.append((queue_of_worker, str(place)))
    places = [place for queue_of_worker, place in busy if queue_of_worker is queue]
    if queue is None or not places:
        return WAITS_FOR_A_THREAD
    more = f" and {len(places) - PLACES_NAMED} more" if len(places) > PLACES_NAMED else ""
    threads = "its only thread is" if len(places) == 1 else f"all {len(places)} are"
    return f"{WAITS_FOR_A_THREAD}; {threads} at {', '.join(places[:PLACES_NAMED])}{more}"


def is_finished(job: Any) -> bool:
    """True for a future, of whatever kind, that has its result; its ``done()`` takes its lock."""
    state = attribute_or(job, "_state")
    return type(state) is str and state in FINISHED


def _is(frame: FrameType, name: str) -> bool:
    code = frame.f_code
    return qualname_of(code) == name and file_of(code) == MODULE


def _holds(queue: Any, job: Any) -> bool:
    # A SimpleQueue cannot be iterated over, but the collector sees what it refers to: its items,
    # up to Python 3.12 in a list.
    found = gc.get_referents(queue) if queue is not None else []
    items = [*found, *(item for each in found if type(each) is list for item in each)]
    return any(attribute_or(item, "future") is job for item in items)
