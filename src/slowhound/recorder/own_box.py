"""The black box of this process: made, kept in its place, and left behind for its reaper."""

from __future__ import annotations

import contextlib
import os
import platform
from functools import partial

from slowhound.blackbox import layout, peer_reports, reader
from slowhound.blackbox.box import Box
from slowhound.blackbox.layout import HALF_SETTINGS
from slowhound.config.config import Config
from slowhound.core.in_flight import in_flight, snapshot_in_flight
from slowhound.delivery.spool import spool_unsent
from slowhound.delivery.worker import Delivery
from slowhound.event.formats import json_line
from slowhound.instrument.saturation import Saturation
from slowhound.peers import dumps
from slowhound.peers.written_events import unsent
from slowhound.recorder.replaced_box import ReplacedBox
from slowhound.recorder.server import Server
from slowhound.stacks import fatal_errors
from slowhound.system import losses
from slowhound.system.files import opened
from slowhound.system.losses import lost
from slowhound.watch.slow_requests import SlowWatch


class OwnBox:
    """Keeps ``box``, which is None until it can be made, and again while it cannot.

    Args:
        config: the settings.
        server: how many slots the box has, and who is told where it is.
        watch: learns from the box what other processes have reported.
        delivery: says which events all sinks have.
        saturation: knows this process's memory.
    """

    def __init__(
        self,
        config: Config,
        server: Server,
        watch: SlowWatch,
        delivery: Delivery,
        saturation: Saturation,
    ) -> None:
        self.box: Box | None = None
        self._config = config
        self._server = server
        self._watch = watch
        self._delivery = delivery
        self._saturation = saturation
        self._replaced = ReplacedBox()
        delivery.events.on_sent = self._write_sent

    def tend(self) -> None:
        """Makes the box where there is none, or none any more; keeps its header up to date."""
        if self.box is not None and not self.box.still_there():
            gone, self.box = self.box, None
            gone.abandon()
        is_new = self.box is None
        if self.box is None:
            try:
                self._make()
            except OSError as exc:
                lost("the black box", exc, 0)
        if self.box is not None:
            self._write_header(self.box)
            self._replaced.tend(self.box, is_new=is_new)

    def _make(self) -> None:
        box = Box(self._config.dir, self._server.slots)
        box.settings.write(settings_payload(self._config, self._server.name))
        self.box = box
        try:
            fatal_errors.write_to(reader.beside(box.path, reader.STACKS_SUFFIX))
        except OSError as exc:
            lost("the stacks of fatal errors", exc, 0)
        self._watch.reporting = partial(reader.reporting, box.path)
        self._watch.reporter.reported_by_peer = partial(peer_reports.report_of, box.path)
        if self._server.tell is not None and self._server.tell(box.path):
            box.reaped_by_parent()

    def _write_header(self, box: Box) -> None:
        cells = box.cells
        cells[layout.IN_FLIGHT] = len(in_flight)
        cells[layout.SENT] = self._delivery.events.sent
        cells[layout.OPEN] = sum(record.yields for record in snapshot_in_flight())
        cells[layout.DROPPED] = losses.dropped
        cells[layout.RSS] = self._saturation.rss

    def _write_sent(self, seq: int) -> None:
        box = self.box
        with contextlib.suppress(ValueError):  # it is closed: this process ends
            if box is not None:
                box.cells[layout.SENT] = seq

    def answer_dump(self) -> None:
        """Writes the stacks that another process has asked for."""
        if self.box is not None:
            dumps.answer(self.box)

    def sweep_dumps(self) -> None:
        """Removes the dumps of processes that have ended."""
        if self.box is not None:
            dumps.sweep(os.path.dirname(self.box.path))

    def spool_unsent(self) -> None:
        """At the end: keeps what no sink has taken in time, as of a collector that is down."""
        if self.box is None or self._delivery.feed is None:
            return
        with contextlib.suppress(OSError):
            with opened(self.box.path) as fd:
                state = reader.read_from(fd)
            if state is not None:
                spool_unsent(self._config.dir, unsent(self._config.dir, state))

    def close(self) -> None:
        """At the end: removes the box, unless requests are still in flight.

        Their box is left for whoever reaps this process.
        """
        if self.box is not None:
            box, self.box = self.box, None
            # What is beside it first: an abort in between leaves a box, which is reaped.
            if not in_flight:
                peer_reports.remove_reports(box.path)
            fatal_errors.forget(remove=not in_flight)
            box.close(remove=not in_flight)

    def close_after_fork(self) -> None:
        """In a forked child: the box stays its parent's."""
        if self.box is not None:
            self.box.close(remove=False)


def settings_payload(config: Config, server: str) -> bytes:
    """How this process writes events: what others need to write one in its place."""
    payload = {
        "format": config.format,
        "stream": config.stream,
        "dir": config.dir if config.store else None,
        "host": config.host,
        "service": config.service,
        "release": config.release,
        "server": server,
        "python": platform.python_version(),
        "deliver": bool(config.sinks),
    }
    watch = {
        "slow_after": config.slow_after,
        "slow_by_name": config.slow_after_by_name,
        "ignore": sorted(config.ignore),
        "reports": config.reports_dir,
        "reports_max": config.reports_max_bytes,
    }
    if config.watch and config.report_files:
        whole = json_line({**payload, **watch})[:-1]
        if len(whole) <= HALF_SETTINGS - 16:
            return whole
        # Too many thresholds: then no other process reports in place of this one.
    return json_line(payload)[:-1]
