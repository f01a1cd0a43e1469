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
from slowhound.cli import location
from slowhound.cli.location import Place, Refusal, say, user_name
from slowhound.cli.reap import Adopter
from slowhound.config.settings import GIB
from slowhound.event.formats import json_line
from slowhound.gil import readers
from slowhound.peers.stalled import Neighbour
from slowhound.store.segments import open_segment

EVERY = 1.0  # seconds between two rounds, as of a worker's hound


def add(_parser: argparse.ArgumentParser) -> None:
    """It has no options but --dir."""


def run(arguments: argparse.Namespace) -> int:
    """Makes its rounds until SIGINT or SIGTERM; 0."""
    where = location.find(arguments)
    if not where.mine:
        # What it writes would not be the workers'.
        raise Refusal(f"run this as {user_name(where.owner)}, the user of the workers")
    stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop.set())
    say(f"stands by the workers of {where.dir}")
    rounds = Rounds(where)
    while not stop.wait(EVERY):
        rounds.make()
    rounds.adopter.close()
    return 0


class Rounds:
    """Looks at every living worker, and at what the dead have left."""

    def __init__(self, where: Place) -> None:
        self.where = where
        self.adopter = Adopter(where)
        self._segment = open_segment(where.dir, GIB)
        self._known: dict[str, Neighbour] = {}

    def make(self) -> None:
        """One round."""
        self._segment.tend()
        try:
            living, _ = reader.survey(self.where.dir)
        except OSError:
            living = []  # nobody has run yet
        known, self._known = self._known, {}
        for state in living:
            each = known.get(state.path) or Neighbour(
                state.path, self._write, readers=readers.ELSEWHERE
            )
            self._known[state.path] = each
            for name in each.look(state):
                say(f"pid {state.pid} cannot run: {name}")
        self.adopter.visit()

    def _write(self, event: dict[str, Any]) -> None:
        self._segment.write(json_line(event))
