"""Stands by the workers: reports for those that cannot, and for the dead.

For a server of one process without Gunicorn's arbiter (uvicorn alone, in a container): while its
GIL is held nobody else could report it before the hold ends. Run it as the workers' user, beside
the server; it goes on until it is stopped. Where there are siblings or Gunicorn, they do this.
"""

from __future__ import annotations

import argparse
import signal
import threading
from typing import Any

from slowhound.blackbox import reader
from slowhound.cli.location import Location, Refusal, find_location, print_error, user_name
from slowhound.cli.reap import FolderReaper
from slowhound.config.settings import GIB
from slowhound.event.formats import json_line
from slowhound.gil import readers
from slowhound.peers.stalled import Neighbour
from slowhound.store.segments import open_segment

CHECK_EVERY = 1.0  # seconds between two rounds, as of a worker's hound


def add(_parser: argparse.ArgumentParser) -> None:
    """It has no options but --dir."""


def run(arguments: argparse.Namespace) -> int:
    """Makes its rounds until SIGINT or SIGTERM; 0."""
    location = find_location(arguments)
    if not location.mine:
        # What it writes would not be the workers'.
        raise Refusal(f"run this as {user_name(location.owner)}, the user of the workers")
    stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop.set())
    print_error(f"stands by the workers of {location.dir}")
    sidecar = Sidecar(location)
    while not stop.wait(CHECK_EVERY):
        sidecar.run_once()
    sidecar.reaper.close()
    return 0


class Sidecar:
    """Looks at every living worker, and at what the dead have left."""

    def __init__(self, location: Location) -> None:
        self.location = location
        self.reaper = FolderReaper(location)
        self._segment = open_segment(location.dir, GIB)
        self._known: dict[str, Neighbour] = {}

    def run_once(self) -> None:
        """One round."""
        self._segment.tend()
        try:
            living, _ = reader.survey(self.location.dir)
        except OSError:
            living = []  # nobody has run yet
        known, self._known = self._known, {}
        for state in living:
            each = known.get(state.path) or Neighbour(
                state.path, self._write, readers=readers.ELSEWHERE
            )
            self._known[state.path] = each
            for name in each.look(state):
                print_error(f"pid {state.pid} cannot run: {name}")
        self.reaper.visit()

    def _write(self, event: dict[str, Any]) -> None:
        self._segment.write(json_line(event))
