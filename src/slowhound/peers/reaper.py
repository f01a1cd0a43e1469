"""The dead among the processes that share this DIR, found by a living one.

Gunicorn's arbiter buries its own workers at once and knows how they died. What it does not (a
server without hooks, an arbiter that died too, a reboot) is left to whoever sees it.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

from slowhound.blackbox.peer_reports import read_reports
from slowhound.blackbox.reader import read_header
from slowhound.peers.death import Death
from slowhound.peers.postmortem import ended_box, events
from slowhound.peers.written_events import unsent, written_by
from slowhound.runtime.clocks import clock
from slowhound.stacks.fatal_errors import of_box
from slowhound.system.losses import lost

# Seconds that a dead process's parent has to bury it: it alone knows the cause.
PARENT_PATIENCE = 1.5
# The same while that parent lives and is known to do it: it may be waiting for py-spy, or for its
# turn on a machine that has no time. After that it is taken for stuck.
LIVING_PARENT_PATIENCE = 30.0


class Reaper:
    """Boxes that have lost their process, and since when they were seen to have.

    Args:
        write: writes one event, and the fields that only JSON can hold.
        send: hands an event to the sinks that the dead process could not give it any more.
    """

    def __init__(
        self,
        write: Callable[[dict[str, Any], None], None],
        send: Callable[[dict[str, Any]], object] | None = None,
    ) -> None:
        self._write = write
        self._send = send
        self._seen: dict[str, float] = {}

    def reap(self, dead: list[str]) -> None:
        """Writes the events of those that have been dead for a while; called each second."""
        now = clock.monotonic()
        self._seen = {path: self._seen.get(path, now) for path in dead}
        for path, since in self._seen.items():
            waited = now - since
            if waited >= LIVING_PARENT_PATIENCE or (
                waited >= PARENT_PATIENCE and not _is_parents(path)
            ):
                self._reap(path)

    def _reap(self, path: str) -> None:
        directory = os.path.dirname(os.path.dirname(path))
        with ended_box(path) as state:
            if state is None:
                return
            if self._send is not None:
                for event in unsent(directory, state):
                    self._send(event)
            written = written_by(directory, state.pid)
            for event in events(state, Death("unknown"), written, of_box(path), read_reports(path)):
                self._write(event, None)
            if state.overflow:
                # Requests that found no slot: how many of them were in flight nobody knows.
                missing = max(state.in_flight - len(state.pending), 0)
                if missing:
                    lost("events of a dead process", "its black box was full", missing)


def _is_parents(path: str) -> bool:
    state = read_header(path)
    return state is not None and state.parent_reaps
