"""The other processes that write to this ``DIR``: counts them, reports stalls, reaps dead ones."""

from __future__ import annotations

import os
from typing import Any

from slowhound.blackbox import reader
from slowhound.core.report import of_death
from slowhound.delivery.worker import Delivery
from slowhound.instrument.saturation import Saturation
from slowhound.peers.reaper import Reaper
from slowhound.peers.stalled import StalledPeer
from slowhound.recorder.writer import Writer

# Seconds in which Gunicorn's arbiter has tried py-spy, which a worker never starts.
ARBITER_FIRST = 6.0


class PeerChecks:
    """Reads the boxes of all processes once a second, on the hound's thread.

    Args:
        directory: ``DIR``.
        saturation: is given the boxes of the living.
        writer: writes the events of others.
        delivery: takes their reports, and the events that their sinks did not get.
    """

    def __init__(
        self, directory: str, saturation: Saturation, writer: Writer, delivery: Delivery
    ) -> None:
        self._directory = directory
        self._saturation = saturation
        self._writer = writer
        self._delivery = delivery
        self._pid = os.getpid()
        self._reaper = Reaper(self._write_death, self._send)
        self._stalled: dict[str, StalledPeer] = {}

    def check(self) -> None:
        """Samples saturation, reports for stalled processes, reaps those that have ended."""
        try:
            living, dead = reader.survey(self._directory)
        except OSError:
            living, dead = [], []
        self._saturation.sample(living)
        self._reaper.reap(dead)
        self._check_stalled(living)

    def _check_stalled(self, living: list[reader.BoxState]) -> None:
        known, self._stalled = self._stalled, {}
        for state in living:
            if not (state.is_here and state.pid == self._pid):
                found = known.get(state.path) or StalledPeer(
                    state.path, self._writer.write, self._delivery.put, patience=ARBITER_FIRST
                )
                self._stalled[state.path] = found
                found.check(state)

    def _write_death(self, event: dict[str, Any]) -> None:
        self._writer.write(event)
        self._delivery.put(of_death(event))

    def _send(self, event: dict[str, Any]) -> None:
        feed = self._delivery.feed
        if feed is not None:
            feed(event)
