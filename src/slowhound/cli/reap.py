"""Writes the events of requests whose worker has died, from a command.

Gunicorn's arbiter and the worker's peers do the same; the lock of the box decides which of them
does. The parent gets some time first, because it knows how the process died.
"""

from __future__ import annotations

import os
import time
from typing import Any

from slowhound.blackbox import reader
from slowhound.blackbox.payloads import read_settings
from slowhound.cli.location import Location, user_name
from slowhound.cli.output import print_error
from slowhound.config.settings import GIB
from slowhound.core.report import of_death
from slowhound.delivery.spool import SPOOL_FOLDER, spool_new, spool_unsent
from slowhound.event.formats import json_line
from slowhound.peers.dumps import sweep
from slowhound.peers.reaper import PARENT_PATIENCE, Reaper
from slowhound.store.segments import open_segment
from slowhound.system.append_file import AppendFile


class FolderReaper:
    """Reaps the ended processes of one DIR; call ``visit`` several times."""

    def __init__(self, location: Location) -> None:
        self.location = location
        self.pids: set[Any] = set()
        self.events = 0
        self._segment: AppendFile | None = None
        self._unsent: list[dict[str, Any]] = []
        self._reaper = Reaper(self._write, self._unsent.append)

    def visit(self) -> bool:
        """Reaps those that ended long enough ago; False when none has ended."""
        try:
            ended = reader.survey(self.location.dir)[1]
        except OSError:
            return False
        if self.location.mine:
            ended = [path for path in ended if _stores(path)]
            self._reaper.reap(ended)
        return bool(ended)

    def close(self) -> None:
        """Leaves undelivered reports to the next worker, and prints how many events it wrote."""
        spool_unsent(self.location.dir, self._unsent)
        if self._segment is not None:
            self._segment.close()
            pids = ", ".join(sorted(map(str, self.pids)))
            print_error(
                f"wrote {self.events} events of requests whose worker has died (pid {pids})"
            )

    def _write(self, event: dict[str, Any]) -> None:
        if self._segment is None:
            # Not one of the workers': a segment has one writer.
            self._segment = open_segment(self.location.dir, GIB)
        self._segment.write(json_line(event))
        if os.path.isdir(os.path.join(self.location.dir, SPOOL_FOLDER)):  # there are sinks
            spool_new(self.location.dir, of_death(event))
        self.events += 1
        self.pids.add(event.get("pid"))


def _stores(path: str) -> bool:
    """True when the process kept its events in DIR; if not, a peer writes them to its stream."""
    state = reader.read_header(path)
    return state is None or bool(read_settings(state.settings).dir)


def reap_once(location: Location) -> None:
    """Reaps once: returns at once when none has ended, else gives the parent its time."""
    reaper = FolderReaper(location)
    if reaper.visit():
        time.sleep(PARENT_PATIENCE)
        if reaper.visit() and not location.mine:
            # Files that root writes would not belong to the workers' user.
            user = user_name(location.owner)
            print_error(
                f"there are boxes of dead workers; run this as {user} to write their events"
            )
    reaper.close()
    if location.mine and os.path.isdir(location.boxes):
        sweep(location.boxes)
