"""Upkeep: what the hound does once a second for its worker.

It keeps the black box and the files in their places, samples saturation and memory, finds the
dead, and finishes requests that nobody else will.
"""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any

from slowhound.blackbox import box as blackbox
from slowhound.blackbox import reader
from slowhound.blackbox.reported import told_of
from slowhound.core.record import in_flight, snapshot_in_flight
from slowhound.core.report import of_death
from slowhound.delivery.spool import spool_unsent
from slowhound.peers import dumps
from slowhound.peers.postmortem import unsent
from slowhound.peers.reaper import Graves
from slowhound.peers.stalled import Neighbour
from slowhound.recorder.own_box import settings_note
from slowhound.recorder.replaced_box import NewPlaces
from slowhound.stacks import fatal_errors
from slowhound.store.segments import SEGMENTS
from slowhound.system import losses
from slowhound.system.losses import lost
from slowhound.system.private_dir import keep_within

if TYPE_CHECKING:
    from slowhound.recorder.recorder import Recorder

# Chores between two looks at what all segments together take, and at dumps of the dead.
RETENTION_EVERY = 60
# Seconds in which Gunicorn's arbiter has tried py-spy, which a worker never starts.
OTHERS_FIRST = 6.0
# Chores after Django's setup; wsgi.py and the middleware are imported after that.
LOOKS_WHEN_LOADED = 3


class Upkeep:
    """The chores of one recorder; all of them run on the hound's thread, but for the first time."""

    def __init__(self, recorder: Recorder) -> None:
        self.recorder = recorder
        self.rss = 0  # resident memory, bytes
        self._sweep_in = 0
        self._graves = Graves(self._write_death, self._send)
        recorder.delivery.tell_sent = self._note_sent
        self._looks_when_loaded = 0
        self._neighbours: dict[str, Neighbour] = {}
        self._retention_in = 0
        self._places = NewPlaces()

    def chores(self) -> tuple[Callable[[], None], ...]:
        """All of them, in order."""
        return (
            self.tend_box,
            self.answer_dump,
            self.read_override,
            self.tend_files,
            self.sample,
            self.recorder.sampler.rest,
            self.finish_lost,
            self.tend_delivery,
        )

    def tend_box(self) -> None:
        """Makes the box, or makes it anew when it was removed; keeps its header fresh."""
        recorder = self.recorder
        if recorder.box is not None and not recorder.box.still_there():
            gone, recorder.box = recorder.box, None
            gone.abandon()
        is_new = recorder.box is None
        if recorder.box is None:
            try:
                box = blackbox.Box(recorder.config.dir, recorder.server.slots)
                box.settings.write(settings_note(recorder.config, recorder.server.name))
                recorder.box = box
                self._prepare_for_fatal_errors(box.path)
                recorder.watch.reporting = partial(reader.reporting, box.path)
                recorder.watch.reporter.told = partial(told_of, box.path)
                if recorder.server.tell is not None and recorder.server.tell(box.path):
                    box.left_to_parent()
            except OSError as exc:
                lost("the black box", exc, 0)
                return
        cells = recorder.box.cells
        cells[blackbox.IN_FLIGHT] = len(in_flight)
        cells[blackbox.SENT] = recorder.delivery.sent
        cells[blackbox.OPEN] = sum(record.yields for record in snapshot_in_flight())
        cells[blackbox.DROPPED] = losses.dropped
        cells[blackbox.RSS] = self.rss
        self._places.tend(recorder.box, is_new=is_new)

    def answer_dump(self) -> None:
        """Writes the stacks that somebody asked for; removes those of processes that ended."""
        box = self.recorder.box
        if box is not None:
            dumps.answer(box)
            self._sweep_in -= 1
            if self._sweep_in < 0:
                self._sweep_in = RETENTION_EVERY
                dumps.sweep(os.path.dirname(box.path))

    def read_override(self) -> None:
        """Learns what an operator has set for a while, and what of that has ended."""
        self.recorder.watch.override.read(self.recorder.config.dir)

    def _prepare_for_fatal_errors(self, box: str) -> None:
        try:
            fatal_errors.write_to(reader.beside(box, reader.STACKS))
        except OSError as exc:
            lost("the stacks of fatal errors", exc, 0)

    def tend_files(self) -> None:
        """Rotates and reopens files; now and then removes the oldest segments.

        Not only after a rotation: short-lived workers leave many small segments behind.
        """
        recorder = self.recorder
        self._retention_in -= 1
        for file in recorder.writer.files:
            begun = file.tend()
            if (
                file is recorder.writer.segment
                and file.fd >= 0
                and (begun or self._retention_in <= 0)
            ):
                self._retention_in = RETENTION_EVERY
                folder = os.path.dirname(file.name)
                config = recorder.config
                keep_within(
                    folder, config.store_max_bytes, SEGMENTS, file.name, config.store_max_age
                )

    def sample(self) -> None:
        """Samples saturation and memory, and sees who has died."""
        try:
            living, dead = reader.survey(self.recorder.config.dir)
        except OSError:
            living, dead = [], []
        self.recorder.saturation.sample(living)
        self._graves.visit(dead)
        self._look_at_neighbours(living)
        try:
            with open("/proc/self/statm", "rb") as statm:
                self.rss = int(statm.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")
        except OSError:
            self.rss = 0  # not Linux: the field is left out

    def _look_at_neighbours(self, living: list[reader.BoxState]) -> None:
        """Reports in the place of a worker that cannot run."""
        known, self._neighbours = self._neighbours, {}
        for state in living:
            if not (state.is_here and state.pid == self.recorder.pid):
                found = known.get(state.path) or Neighbour(
                    state.path,
                    self._write_for_neighbour,
                    self.recorder.delivery.put,
                    patience=OTHERS_FIRST,
                )
                self._neighbours[state.path] = found
                found.look(state)

    def _write_for_neighbour(self, event: dict[str, Any]) -> None:
        self.recorder.writer.write(event, None)

    def _write_death(self, event: dict[str, Any], details: dict[str, Any] | None) -> None:
        self.recorder.writer.write(event, details)
        self.recorder.delivery.put(of_death(event))

    def _send(self, event: dict[str, Any]) -> None:
        feed = self.recorder.delivery.feed
        if feed is not None:
            feed(event)

    def leave_unsent(self) -> None:
        """At the end: what no sink has taken in time, as of a collector that is down."""
        recorder = self.recorder
        if recorder.box is None or recorder.delivery.feed is None:
            return
        with contextlib.suppress(OSError):
            with reader.opened(recorder.box.path) as fd:
                state = reader.read_from(fd)
            if state is not None:
                spool_unsent(recorder.config.dir, unsent(recorder.config.dir, state))

    def _note_sent(self, seq: int) -> None:
        box = self.recorder.box
        with contextlib.suppress(ValueError):  # it is closed: this process ends
            if box is not None:
                box.cells[blackbox.SENT] = seq

    def tend_delivery(self) -> None:
        """Lets the sinks have what others left, once the application is loaded.

        Not while it still imports its modules: another thread that does may meet half of one.
        """
        apps = sys.modules.get("django.apps")
        self._looks_when_loaded += apps is not None and apps.apps.ready
        if self._looks_when_loaded > LOOKS_WHEN_LOADED:
            self.recorder.delivery.tend()

    def finish_lost(self) -> None:
        """Finishes records whose response was thrown away without ever being closed.

        Also where the task that has sent it is over and nobody has closed it, as when a server says
        that the client is gone: the failure keeps it alive until a collection.
        """
        for record in snapshot_in_flight():
            response = record.response  # read once: its request may end now
            if record.left and not record.by_server and response is not None:
                task = record.task() if record.task is not None else None
                is_freed = response() is None
                if is_freed or (task is not None and task.done()):
                    if is_freed and not record.done:  # another one may have been sent in its place
                        record.status = record.sent = None
                    self.recorder.finish(record)
