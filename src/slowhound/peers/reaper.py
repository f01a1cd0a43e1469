"""Reaps ended processes that share this ``DIR``: writes the events that they could not.

Gunicorn's arbiter reaps its own workers at once and knows how they died. The others (of a server
without hooks, of an arbiter that died too, from before a reboot) are reaped by any process that
finds their boxes.
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

# Seconds that the parent of an ended process has to reap it: only the parent knows the cause.
PARENT_PATIENCE = 1.5
# The same while that parent lives and is known to reap: it may be waiting for py-spy, or for a CPU
# on a busy machine. Afterwards it is taken to be stuck.
LIVING_PARENT_PATIENCE = 30.0


class Reaper:
    """Remembers when the boxes of ended processes were first seen, and reaps them in time.

    Args:
        write: writes one event.
        send: passes on an event that the sinks of the ended process did not get.
    """

    def __init__(
        self,
        write: Callable[[dict[str, Any]], object],
        send: Callable[[dict[str, Any]], object] | None = None,
    ) -> None:
        self._write = write
        self._send = send
        self._seen: dict[str, float] = {}

    def reap(self, ended: list[str]) -> None:
        """Writes the events of those that ended some time ago; called each second."""
        now = clock.monotonic()
        self._seen = {path: self._seen.get(path, now) for path in ended}
        for path, since in self._seen.items():
            waited = now - since
            if waited >= LIVING_PARENT_PATIENCE or (
                waited >= PARENT_PATIENCE and not _parent_reaps(path)
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
                self._write(event)
            if state.overflow:
                # Requests without a slot: those that were in flight have no event.
                missing = max(state.in_flight - len(state.pending), 0)
                if missing:
                    lost("events of an ended process", "its black box was full", missing)


def _parent_reaps(path: str) -> bool:
    state = read_header(path)
    return state is not None and state.parent_reaps
