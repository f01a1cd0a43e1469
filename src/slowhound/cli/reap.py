"""Burying the dead: whoever looks first after a death writes the events of its requests.

Gunicorn's arbiter and the dead worker's siblings do the same; the lock of the box decides. The
parent is given time, for it knows how the process died.
"""

from __future__ import annotations

import os
import time
from typing import Any

from slowhound.blackbox import reader
from slowhound.blackbox.payloads import read_settings
from slowhound.cli.location import Location, print_error, user_name
from slowhound.config.settings import GIB
from slowhound.core.report import of_death
from slowhound.delivery.spool import FOLDER, spool_new, spool_unsent
from slowhound.event.formats import json_line
from slowhound.peers.dumps import sweep
from slowhound.peers.reaper import PATIENCE, Graves
from slowhound.store.segments import open_segment
from slowhound.system.append_file import AppendFile


class FolderReaper:
    """Looks for the dead of one place; ``visit`` it several times."""

    def __init__(self, location: Location) -> None:
        self.location = location
        self.pids: set[Any] = set()
        self.events = 0
        self._segment: AppendFile | None = None
        self._unsent: list[dict[str, Any]] = []
        self._graves = Graves(self._write, self._unsent.append)

    def visit(self) -> bool:
        """Buries those that were dead for long enough; False when there are no dead."""
        try:
            dead = reader.survey(self.location.dir)[1]
        except OSError:
            return False
        if self.location.mine:
            dead = [path for path in dead if _stores(path)]
            self._graves.visit(dead)
        return bool(dead)

    def close(self) -> None:
        """Leaves what sinks did not get to the next worker, and says what was done."""
        spool_unsent(self.location.dir, self._unsent)
        if self._segment is not None:
            self._segment.close()
            pids = ", ".join(sorted(map(str, self.pids)))
            print_error(
                f"wrote {self.events} events of requests whose worker has died (pid {pids})"
            )

    def _write(self, event: dict[str, Any], details: None) -> None:
        if self._segment is None:
            # A segment of its own: a segment has one writer.
            self._segment = open_segment(self.location.dir, GIB)
        self._segment.write(json_line(event))
        if os.path.isdir(os.path.join(self.location.dir, FOLDER)):  # there are sinks
            spool_new(self.location.dir, of_death(event))
        self.events += 1
        self.pids.add(event.get("pid"))


def _stores(path: str) -> bool:
    """True when the process kept its events in DIR; else they are for a sibling's stream."""
    state = reader.header(path)
    return state is None or bool(read_settings(state.settings).dir)


def reap_once(location: Location) -> None:
    """One round: at once when nobody has died, else after the parent had its time."""
    reaper = FolderReaper(location)
    if reaper.visit():
        time.sleep(PATIENCE)
        if reaper.visit() and not location.mine:
            # What root writes into the folder of the workers would not be theirs.
            user = user_name(location.owner)
            print_error(
                f"there are boxes of dead workers; run this as {user} to write their events"
            )
    reaper.close()
    if location.mine and os.path.isdir(location.boxes):
        sweep(location.boxes)
