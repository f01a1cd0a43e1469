"""Reports hung and dead workers.

For a server with one process and without Gunicorn's arbiter (uvicorn alone, in a container): while
C code holds the GIL of that process, it cannot report itself. Run this beside the server, as the
same user; it runs until it is stopped. Gunicorn's arbiter does the same for its workers, and
peers do for each other.
"""

from __future__ import annotations

import argparse
from typing import Any

from slowhound.blackbox import reader
from slowhound.cli.location import Location, find_location
from slowhound.cli.output import print_error
from slowhound.cli.reap import FolderReaper
from slowhound.cli.signals import stop_event
from slowhound.config.settings import GIB
from slowhound.event.formats import json_line
from slowhound.gil import readers
from slowhound.peers.stalled import StalledPeer
from slowhound.store.segments import open_segment

CHECK_EVERY = 1.0  # seconds, as the hound of a worker does


def add(_parser: argparse.ArgumentParser) -> None:
    """The command has no options except --dir."""


def run(arguments: argparse.Namespace) -> int:
    """Checks the workers until SIGINT or SIGTERM; 0."""
    location = find_location(arguments)
    location.require_mine()
    stop = stop_event()
    print_error(f"watches the workers of {location.dir}")
    sidecar = Sidecar(location)
    while not stop.wait(CHECK_EVERY):
        sidecar.run_once()
    sidecar.reaper.close()
    return 0


class Sidecar:
    """Checks every running worker, and reaps the ended ones."""

    def __init__(self, location: Location) -> None:
        self.location = location
        self.reaper = FolderReaper(location)
        self._segment = open_segment(location.dir, GIB)
        self._known: dict[str, StalledPeer] = {}

    def run_once(self) -> None:
        """One check of all workers."""
        self._segment.tend()
        try:
            running, _ = reader.survey(self.location.dir)
        except OSError:
            running = []  # no worker has started yet
        known, self._known = self._known, {}
        for state in running:
            each = known.get(state.path) or StalledPeer(
                state.path, self._write, readers=readers.ELSEWHERE
            )
            self._known[state.path] = each
            for name in each.check(state):
                print_error(f"pid {state.pid} cannot run: {name}")
        self.reaper.visit()

    def _write(self, event: dict[str, Any]) -> None:
        self._segment.write(json_line(event))
