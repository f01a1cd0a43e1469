"""The recorder of one process: begin, enrich, finish. It wires the parts together."""

from __future__ import annotations

import itertools
import os
import threading
import weakref
from asyncio import _get_running_loop, current_task
from collections.abc import Callable
from importlib import import_module
from typing import Any, NamedTuple

from slowhound.blackbox import box as blackbox
from slowhound.blackbox import reported
from slowhound.config.config import Config
from slowhound.core import record as record_module
from slowhound.core.box_payloads import who_note
from slowhound.core.ownership import enter, leave
from slowhound.core.record import Record, in_flight, lenders, use_os_threads
from slowhound.core.report import of_death
from slowhound.delivery.report_files import NoFiles, ReportFiles
from slowhound.delivery.worker import Delivery
from slowhound.event.fields import Event
from slowhound.event.outgoing import NOTHING
from slowhound.flames.files import FlameFiles
from slowhound.flames.sampling.profile_writer import Ended
from slowhound.flames.sampling.sampler import Sampler
from slowhound.instrument import builtin, db, events, trace, view
from slowhound.instrument import request as request_fields
from slowhound.instrument.registry import instrumenters, set_up
from slowhound.instrument.saturation import Saturation
from slowhound.recorder.housekeeping import Upkeep
from slowhound.recorder.writer import Writer
from slowhound.redaction import masking
from slowhound.runtime.clocks import clock
from slowhound.runtime.unpatched import is_patched
from slowhound.sinks import stream
from slowhound.stacks import fatal_errors
from slowhound.stacks.capture import shares_thread
from slowhound.system import guard
from slowhound.system.guard import guarded
from slowhound.watch.busy_threads import BusyThreads
from slowhound.watch.event_loops import Loops
from slowhound.watch.hound import SHORTEST_TICK, Hound, tick_for
from slowhound.watch.reporter import Files, Reporter
from slowhound.watch.slow_requests import SlowWatch
from slowhound.watch.starvation import Starvation

_begin, _least, _end = map(guard.guard, ("begin", "least event", "end"))


class Server(NamedTuple):
    """What a process serves its requests with.

    ``slots`` is how many requests can be in flight and still have a place in the black box.
    """

    name: str = "wsgi"
    slots: int = 64
    log: stream.Stream | None = None  # its access log
    # Is told the path of each new black box; True when the parent will bury what is in it.
    tell: Callable[[str], bool] | None = None
    heartbeat: memoryview[int] | None = None  # a cell that its parent sees


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
        self.started = clock.monotonic()
        # Counts that several threads draw from: next() is atomic, += is not.
        self._served = itertools.count(1)
        use_os_threads()
        self._greenlet = import_module("greenlet").getcurrent if is_patched() else None
        self.loops = Loops(config.shortest_threshold(), self._tell)
        self.saturation = Saturation()
        self.box: blackbox.Box | None = None
        self.delivery = Delivery(config.sinks, config.dir, config.report_limit)
        self.writer = Writer(config, server.log, self.delivery)
        self.emit = self.writer.emit
        files: Files = NoFiles()
        if config.report_files:
            files = ReportFiles(config.dir, config.reports_max_bytes, config.reports_dir)
        self.watch = SlowWatch(
            config,
            Reporter(config.host, files, events=self, reports=self.delivery),
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
        self._tick = tick_for(min(self.watch.shortest, config.sample_after))
        self._watch_due = 0.0
        self.upkeep = Upkeep(self)
        self.hound = Hound(
            self._tick,
            self._scan,
            self.upkeep.chores(),
            self._asleep,
            self._awake,
        )

    def _scan(self, now: float) -> float:
        """What the hound does each time it wakes; returns when it wants to do so again."""
        due = self.sampler.scan(now)
        if now >= self._watch_due:
            # The sampler wakes more often than all requests in flight need to be looked through.
            self._watch_due = min(max(self.watch.scan(now), now + SHORTEST_TICK), now + self._tick)
        self.watch.starvation.end_work()
        return min(due, self._watch_due, self.sampler.writer.write(now))

    def _asleep(self, seconds: float) -> None:
        if self.box is not None:
            self.box.cells[blackbox.HOUND] = threading.get_native_id()
        self.watch.starvation.asleep(seconds)

    def _awake(self) -> None:
        self.sampler.awake()
        now = clock.monotonic_ns()
        if self.box is not None:
            self.box.cells[blackbox.HEARTBEAT] = now
        if self.server.heartbeat is not None:
            self.server.heartbeat[0] = now

    def start(self) -> None:
        """Opens what is written to, installs the instrumenters, lets the hound run."""
        with guard.guard("start"):
            self.writer.open()
            view.ignored = self.config.ignored if self.config.ignore else None
            builtin.install()
            set_up()
            self.hound.do_chores()
            self.hound.start()

    # The four steps of a request

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
        box = self.box
        if box is not None:
            who, record.taken = who_note(record), []
            if not (box.free or record.yields):
                box.reclaim(lenders())
            record.slot = box.claim(
                record.number, who, record.native_id, record.thread_id, record.taken
            )
            box.busy(len(in_flight))
        record.overhead = clock.monotonic() - record.started

    def carry(self, record: Record) -> None:
        """Notes that the running task or greenlet carries the record from now on."""
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
        # What is raised from outside, by the handler of a signal, may come between any two steps:
        # each can be asked for afterwards whether it was done, and the rest is done then.
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
            self._let_go(record)
            for each in list((record.streams or {}).values()):
                self.finish(each)

    def _let_go(self, record: Record) -> None:
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
        if record_module.get_ident() == record.thread_id and not shares_thread(record):
            record.cpu = clock.thread_time() - record.cpu_started
        if instrumenters and record.kind == "request":
            self._call_instrumenters(record, server_objects)
        in_flight.pop(record.number, None)
        record.done = True
        nr = next(self._served)
        box = self.box
        if box is not None:
            box.count(len(in_flight), nr)
        if record.outcome is None:
            record.outcome = request_fields.outcome_of(record)
        flame = self.sampler.ending(record, now) if record.took >= self.sampler.after else None
        if record.took >= self.watch.shortest or record.slow is not None:
            self.watch.ending(record, now)
        rate = self._keep(record) if self.config.sampling else 1.0
        if rate is None:
            record.outgoing = NOTHING
            return
        event = events.terminal(record, rate)
        self._check_flame(event, record, flame)
        self._describe_worker(event, len(in_flight) + 1)
        event["w_nr"] = nr
        event["rec_overhead"] = record.overhead + clock.monotonic() - now
        self.emit(event, record)
        if flame is not None:
            self.sampler.writer.put(flame, event)
        if record.outcome == "timeout":
            self.delivery.put(of_death(event))
        if record.on_end is not None:
            record.on_end(event)

    @staticmethod
    def _check_flame(event: Event, record: Record, flame: Ended | None) -> None:
        """No event names a file that nobody will write: the hound may have begun too late."""
        if flame is None and record.on_end is None:
            event.pop("flame", None)

    def _see_written(self, record: Record) -> None:
        """A request whose event could not be made has one all the same, with what cannot fail."""
        if record.outgoing is None:
            record.took = record.took or record.age()
            record.extras = record.queries = None
            self.emit(events.least(record), record)
        else:
            self.writer.put(record.outgoing)

    def _call_instrumenters(self, record: Record, server_objects: tuple[Any, ...]) -> None:
        response = record.response() if record.response is not None else None
        request, response, environ = server_objects or (record.request, response, record.environ)
        for one in list(instrumenters.values()):
            watch = guard.guard(f"instrumenter {type(one).__name__}", runs_others=True)
            if not watch.off:
                with watch:
                    one.call(request, response, environ)

    def _keep(self, record: Record) -> float | None:
        """The rate at which requests like this one are kept; None when this one is not."""
        rate = self.config.sampling.get(record.outcome or "", 1.0)
        asked_for = record.slow is not None or record.on_end is not None
        if rate >= 1.0 or asked_for or record.kind != "request":
            return 1.0
        # Not random.random(): an application may count on its own sequence of that.
        return rate if int.from_bytes(os.urandom(2)) < rate * 0x10000 else None

    def _describe_worker(self, event: Event, busy: int) -> None:
        event.update(self.saturation.fields)
        if self.saturation.pool is not None:
            event.update(self.saturation.inside(busy))
        event["w_age"] = clock.monotonic() - self.started
        if self.upkeep.rss:
            event["w_rss"] = self.upkeep.rss

    def describe_slow(self, record: Record, age: float) -> Event:
        """The ``slow`` event of a request that is ``age`` seconds old."""
        event = events.slow(record, age)
        self._describe_worker(event, len(in_flight))
        return event

    def _tell(self, event: Event) -> None:
        """Writes an event that is about the whole worker."""
        self._describe_worker(event, len(in_flight))
        self.emit(event)

    def stop(self) -> None:
        """Ends the hound, writes what is pending, removes the box."""
        with guard.guard("stop"):
            self.hound.stop()
            self.watch.scan(clock.monotonic())
            self.sampler.stop()
            self.delivery.stop()
            self.upkeep.leave_unsent()
            if self.box is not None:
                box, self.box = self.box, None
                # With requests still in flight it is for whoever buries this process.
                # What is beside it first: an abort in between leaves a box, which somebody buries.
                if not in_flight:
                    reported.forget(box.path)
                fatal_errors.forget(remove=not in_flight)
                box.close(remove=not in_flight)
