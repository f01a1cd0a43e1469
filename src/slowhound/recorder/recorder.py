"""The recorder of one process: begins and finishes records, and wires the parts together."""

from __future__ import annotations

import os
import weakref
from asyncio import _get_running_loop, current_task
from functools import partial
from importlib import import_module
from typing import Any

from slowhound.config.config import Config
from slowhound.core import ids
from slowhound.core.box_payloads import who_payload
from slowhound.core.in_flight import in_flight, lenders
from slowhound.core.ownership import enter, leave
from slowhound.core.record import Ids, Record
from slowhound.core.report import of_death
from slowhound.delivery.report_files import report_files_of
from slowhound.delivery.worker import Delivery
from slowhound.event.fields import Event
from slowhound.event.outgoing import NOT_KEPT
from slowhound.flames.files import FlameFiles
from slowhound.flames.sampling.profile_writer import Ended
from slowhound.flames.sampling.sampler import Sampler
from slowhound.instrument import builtin, db, events, trace, view
from slowhound.instrument import request as request_fields
from slowhound.instrument.registry import call_all, instrumenters, set_up
from slowhound.instrument.saturation import Saturation
from slowhound.recorder import housekeeping
from slowhound.recorder.completion import Completion, kept_rate
from slowhound.recorder.lost_responses import finish_lost
from slowhound.recorder.own_box import OwnBox
from slowhound.recorder.peer_checks import PeerChecks
from slowhound.recorder.server import Server
from slowhound.recorder.turn import WorkerTurn
from slowhound.recorder.writer import Writer
from slowhound.redaction import masking
from slowhound.runtime.clocks import clock
from slowhound.runtime.unpatched import is_patched
from slowhound.stacks.capture import shares_thread
from slowhound.system import guard
from slowhound.system.guard import guarded
from slowhound.watch.busy_threads import BusyThreads
from slowhound.watch.event_loops import Loops
from slowhound.watch.hound import Hound
from slowhound.watch.reporter import Reporter
from slowhound.watch.slow_requests import SlowWatch
from slowhound.watch.starvation import Starvation

_begin, _least, _end = map(guard.guard, ("begin", "least event", "end"))


class Recorder:
    """One process's recorder.

    Args:
        config: the settings.
        server: what serves, and where ``STREAM`` ``auto`` is.
    """

    def __init__(self, config: Config, server: Server) -> None:
        self.config = config
        masking.extend(config.mask)
        self.server = server
        self.pid = os.getpid()
        ids.use_os_threads()
        self._greenlet = import_module("greenlet").getcurrent if is_patched() else None
        self.loops = Loops(config.shortest_threshold(), self._tell)
        self.saturation = Saturation()
        self.delivery = Delivery(config.sinks, config.dir, config.report_limit)
        self.completion = Completion(config, self.saturation)
        self.writer = Writer(config, server.log, self.delivery)
        reporter = Reporter(
            config.host, report_files_of(config), events=self, reports=self.delivery
        )
        self.watch = SlowWatch(
            config,
            reporter,
            Starvation(),
            self.loops,
            BusyThreads(self.saturation.threads, self._tell),
        )
        self.sampler = Sampler(
            FlameFiles(config.dir, config.flames_max_bytes, config.flames_dir),
            config.sample_after,
            config.sample_hz,
            self.watch.watches,
        )
        self.watch.announce = self.sampler.writer.announce
        self.own_box = OwnBox(config, server, self.watch, self.delivery, self.saturation)
        self.peer_checks = PeerChecks(config.dir, self.saturation, self.writer, self.delivery)
        tasks = housekeeping.tasks(
            config,
            self.own_box,
            self.watch,
            self.writer,
            self.peer_checks,
            self.sampler,
            self.delivery,
            partial(finish_lost, self.finish),
        )
        turn = WorkerTurn(config, self.watch, self.sampler, self.own_box, server.heartbeat)
        self.hound = Hound(turn, tasks)

    def start(self) -> None:
        """Opens what is written to, installs the instrumenters, lets the hound run."""
        with guard.guard("start"):
            self.writer.open()
            view.ignored = self.config.ignored if self.config.ignore else None
            builtin.install()
            set_up()
            self.hound.run_tasks()
            self.hound.start()

    def begin(self, record: Record) -> None:
        """From now on this thread carries the record, and its owner has to ``finish`` it.

        Raises:
            Exception: only what was raised into this from outside. The record may have begun then.
        """
        enter(record)
        try:
            self._equip(record)
        except Exception as exc:
            if _begin.failed(exc):
                raise

    def _equip(self, record: Record) -> None:
        """All that a record can do without."""
        if record.environ is not None:
            parent = record.meta("HTTP_TRACEPARENT")
            if parent is not None:
                record.trace = trace.parse(parent)
        if trace.readers:
            trace.begins(record)
        self.carry(record)
        db.see_thread()
        box = self.own_box.box
        if box is not None:
            who, record.taken = who_payload(record), []
            if not (box.free or record.yields):
                box.reclaim(lenders())
            record.slot = box.claim(
                record.number, who, record.native_id, record.thread_id, record.taken
            )
            box.busy(len(in_flight))
        record.overhead = clock.monotonic() - record.started

    def carry(self, record: Record) -> None:
        """The running task or greenlet carries the record from now on."""
        loop = _get_running_loop()
        if loop is not None:
            task = current_task(loop)
            if task is not None:
                record.task = weakref.ref(task)
                self.loops.see(loop, record)
        elif self._greenlet is not None:
            record.greenlet = weakref.ref(self._greenlet())
            self.loops.see_hub(record)

    def finish(self, record: Record, *server_objects: Any) -> None:
        """Makes the record into its one terminal event; a second call does nothing.

        ``server_objects`` are what registered instrumenters are called with: the server's request,
        response and environ; without them Django's.
        """
        # A signal's handler may raise between any two steps: each can be checked afterwards, and
        # what was not done is done then.
        if not record.begun:
            return
        mine = object()
        try:
            # One call decides who ends the record, and its answer is kept in the record.
            if vars(record).setdefault("ender", mine) is mine:
                self._conclude(record, server_objects)
                self._settle(record)
        except BaseException:
            if record.ender is mine:
                self._settle(record)
            raise

    def _settle(self, record: Record) -> None:
        """What has to be done at the end of a record, unless it is done.

        However often that has failed: these guards switch nothing off.
        """
        try:
            self._see_written(record)
        except Exception as exc:
            if _least.failed(exc):
                raise
        finally:
            self._release(record)
            for each in list((record.streams or {}).values()):
                self.finish(each)

    def _release(self, record: Record) -> None:
        leave(record)
        record.response = record.body = None  # its callback has the record: a circle
        try:
            if record.on_end is not None:
                record.on_end(None)
            self.watch.leave(record)
            # Last: while the slot is taken, whoever finds the box of a dead process writes the
            # event, unless it was written, see postmortem.
            # Read once: the hound may give it a place in a new box meanwhile.
            taken = record.taken
            if taken:
                taken[0].release(taken)
        except Exception as exc:
            if _end.failed(exc):
                raise

    @guarded("finish")
    def _conclude(self, record: Record, server_objects: tuple[Any, ...]) -> None:
        now = clock.monotonic()
        record.ended_after(now - record.started)
        # A thread that carries several in turn has no CPU time for each.
        if ids.get_ident() == record.thread_id and not shares_thread(record):
            record.cpu = clock.thread_time() - record.cpu_started
        if instrumenters and record.kind == "request":
            call_all(record, server_objects)
        in_flight.pop(record.number, None)
        record.done = True
        nr = self.completion.count_served()
        box = self.own_box.box
        if box is not None:
            box.count(len(in_flight), nr)
        if record.outcome is None:
            record.outcome = request_fields.outcome_of(record)
        flame = self.sampler.ending(record, now) if record.took >= self.sampler.after else None
        if record.took >= self.watch.shortest or record.slow is not None:
            self.watch.ending(record, now)
        rate = kept_rate(self.config.sampling, record) if self.config.sampling else 1.0
        if rate is None:
            record.outgoing = NOT_KEPT
            return
        event = self.completion.terminal(record, rate, nr=nr, since=now)
        self._send(record, event, flame)

    def _send(self, record: Record, event: Event, flame: Ended | None) -> None:
        """Writes the terminal event, and hands it on to those who wait for it."""
        if flame is None and record.on_end is None:
            # No event names a file that nobody will write: the hound may have begun too late.
            event.pop("flame", None)
        self.emit(event, record)
        if flame is not None:
            self.sampler.writer.put(flame, event)
        if record.outcome == "timeout":
            self.delivery.put(of_death(event))
        if record.on_end is not None:
            record.on_end(event)

    def _see_written(self, record: Record) -> None:
        """A request whose event could not be made has one all the same, with what cannot fail."""
        if record.outgoing is None:
            record.took = record.took or record.age()
            record.extras = record.queries = None
            self.emit(events.least(record), record)
        else:
            self.writer.put(record.outgoing)

    def emit(self, event: Event, record: Record | None = None, trace: Ids | None = None) -> None:
        """Completes one event, and writes it to the stream, the segment and the sinks.

        ``trace`` is for an event of a request that does not have all that its record has.
        """
        details = self.completion.complete(event, record, trace)
        outgoing = self.writer.outgoing(event, details)
        if record is not None and event["event_type"] != "slow":
            record.outgoing = outgoing
        self.writer.put(outgoing)

    def describe_slow(self, record: Record, age: float) -> Event:
        """The ``slow`` event of a request that still runs and is ``age`` seconds old."""
        event = events.slow(record, age)
        self.completion.add_worker(event, len(in_flight))
        return event

    def _tell(self, event: Event) -> None:
        """Writes an event that is about the whole worker."""
        self.completion.add_worker(event, len(in_flight))
        self.emit(event)

    def stop(self) -> None:
        """Ends the hound, writes what is pending, removes the box."""
        with guard.guard("stop"):
            self.hound.stop()
            self.watch.scan(clock.monotonic())
            self.sampler.stop()
            self.delivery.stop()
            self.own_box.spool_unsent()
            self.own_box.close()
