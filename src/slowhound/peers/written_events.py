"""Searches the segments of an ended process for the events that it wrote."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable
from typing import Any

import msgspec

from slowhound.blackbox.layout import NO_SINKS
from slowhound.blackbox.payloads import read_settings
from slowhound.blackbox.reader import BoxState
from slowhound.runtime.library_names import NOT_JSON
from slowhound.system.files import opened, read_end

# Bytes at the end of each segment that are searched for terminal events.
WRITTEN_TAIL = 256 * 1024
# The number of segments: a process in another container may have the same pid.
MOST_SEGMENTS = 8
# The same for events that wait for sinks: some thousands at most.
MOST_UNSENT, UNSENT_TAIL = 4096, 4 * 1024**2
# Seconds after which sinks that have got no event are taken for sinks that could not be made.
SINKS_TIMEOUT = 150.0
_decode = msgspec.json.Decoder(dict[str, Any]).decode


def written_by(directory: str | None, pid: int) -> Callable[[str], bool]:
    """A function that tells whether ``req_id`` has a terminal event in the segments of ``pid``.

    A process can die after it wrote an event and before it gave back the slot.
    """
    tails = _tails(directory, pid, WRITTEN_TAIL)

    def written(req_id: str) -> bool:
        # "slow" and "partial_failure" carry the id as well; they are not the request's end.
        ends = tuple(
            f'{{"event_type":"{kind}","req_id":"{req_id}"'.encode()
            for kind in ("request", "task", "timeout")
        )
        return any(_has_line(tail, end) for tail in tails for end in ends)

    return written


def unsent(directory: str, state: BoxState) -> list[dict[str, Any]]:
    """The events of an ended process that its sinks did not get, from its segments."""
    if state.sent >= NO_SINKS or not read_settings(state.settings).deliver:
        return []
    found = []
    for tail in reversed(_tails(directory, state.pid, UNSENT_TAIL)):
        for line in tail.splitlines():
            event = _read_event(line)
            at, seq = event.get("ts"), event.get("seq")
            if not (isinstance(at, float) and isinstance(seq, int)):
                continue
            # An earlier process may have had the same pid.
            own = event.get("pid") == state.pid and at >= state.started / 1e9 - 1.0
            if own and seq > state.sent:
                found.append(event)
    if not state.sent and found and found[-1]["ts"] > state.started / 1e9 + SINKS_TIMEOUT:
        return []  # its sinks could not be made
    return found[-MOST_UNSENT:]


def _read_event(line: bytes) -> dict[str, Any]:
    """A line of a segment; empty for a torn one."""
    try:
        return _decode(line)
    except NOT_JSON:
        return {}


def _tails(directory: str | None, pid: int, size: int) -> list[bytes]:
    """The ends of the last segments of this process, or of one with its pid; the newest first."""
    folder = os.path.join(directory, "events") if directory else ""
    names = sorted(os.listdir(folder)) if os.path.isdir(folder) else []
    mine = [name for name in names[::-1] if f"-{pid}-" in name and name.endswith(".jsonl")]
    return [_tail(os.path.join(folder, name), size) for name in mine[:MOST_SEGMENTS]]


def _has_line(tail: bytes, start: bytes) -> bool:
    # The whole line: SIGKILL can end a write() between two pages of the file.
    at = tail.find(start)
    return at >= 0 and b"\n" in tail[at:]


def _tail(path: str, size: int) -> bytes:
    with contextlib.suppress(OSError), opened(path) as fd:
        return read_end(fd, size)
    return b""
