"""The recorder: begin, enrich, finish, emit. It wires the parts together, once per process.

``start`` is called where a worker process begins (Gunicorn's hooks) or, without those, by the
first request; never by importing the settings.
"""

from __future__ import annotations

import atexit
import itertools
import os
import threading
import time
import weakref
from collections.abc import Callable
from typing import Any, NamedTuple

from slowhound import blackbox, formats, guard, instrument, losses
from slowhound.appendfile import AppendFile
from slowhound.config import Config
from slowhound.fields import VERSION
from slowhound.folder import keep_within
from slowhound.frames import Stack, locate
from slowhound.graves import Graves
from slowhound.guard import guarded
from slowhound.instrument import cache, db, exception, gc, http, template
from slowhound.instrument import request as request_fields
from slowhound.instrument.saturation import Saturation
from slowhound.losses import lost
from slowhound.notes import FRAMES, settings_note, who_note
from slowhound.record import Record, current_record, in_flight, snapshot_in_flight
from slowhound.registry import instrumenters, set_up, tear_down
from slowhound.sinks import stream
from slowhound.sinks.delivery import Delivery
from slowhound.sinks.reports import NoFiles, ReportFiles
from slowhound.store.segments import SEGMENTS, open_segment
from slowhound.watch.hound import Hound, tick_for
from slowhound.watch.slow import Files, SlowWatch

# Chores between two looks at what all segments together take.
RETENTION_EVERY = 60


def kind_of(record: Record) -> str:
    """The type of a record's terminal event."""
    return "timeout" if record.outcome == "timeout" else "request"


class Server(NamedTuple):
    """What a process serves its requests with.

    ``slots`` is how many requests can be in flight and still have a place in the black box.
    """

    name: str = "wsgi"
    slots: int = 64
    log: stream.Stream | None = None  # its access log
    tell: Callable[[str], None] | None = None  # is told the path of each new black box


class Recorder:
    """One process's recorder.

    Args:
        config: the settings.
        server: what serves, and where ``STREAM`` ``auto`` is.
    """

    def __init__(self, config: Config, server: Server) -> None:
        self.config = config
        self.server = server
        self.pid = os.getpid()
        self.started = time.monotonic()
        # Counts that several threads draw from: next() is atomic, += is not.
        self._served = itertools.count(1)
        self._threads = threading.local()
        self._events = itertools.count(1)
        self.rss = 0
        self._retention_in = 0
        self.saturation = Saturation()
        self.graves = Graves(self.write)
        self.box: blackbox.Box | None = None
        self.segment: AppendFile | None = None
        self.files: list[AppendFile] = []
        self.logfmt = config.format == "logfmt"
        self.needs_json = config.store or not self.logfmt
        self.delivery = Delivery(config.sinks)
        reports: Files = NoFiles()
        if config.report_files:
            reports = ReportFiles(config.dir, config.reports_max_bytes, config.reports_dir)
        self.watch = SlowWatch(config, self.describe_slow, self.emit, reports, self.delivery.put)
        chores = (self.tend_box, self.tend_files, self.sample, self.finish_lost)
        self.hound = Hound(tick_for(self.watch.shortest), self.watch.scan, chores)
        self.stream = self._open_stream()

    def _open_stream(self) -> stream.Stream:
        if self.config.stream is None:
            return stream.nowhere
        if self.config.stream == "auto":
            return self.server.log or stream.to_stdout
        write, file = stream.to_file(self.config.stream)
        self.files.append(file)
        return write

    def start(self) -> None:
        """Opens what is written to, installs the instrumenters, lets the hound run."""
        with guard.guard("start"):
            if self.config.store:
                self.segment = open_segment(self.config.dir, self.config.store_max_bytes)
                self.files.append(self.segment)
            instrument.install()
            set_up()
            self.hound.do_chores()
            self.hound.start()

    # The four steps of a request

    def begin(self, method: str, path: str, environ: dict[str, Any] | None = None) -> Record:
        """A new record for the request that this thread carries from now on."""
        record = Record(method, path, time.monotonic())
        record.environ = environ
        in_flight[record.number] = record
        current_record.set(record)
        if not hasattr(self._threads, "wrapped"):
            self._wrap_thread()
        box = self.box
        if box is not None:
            box.cells[blackbox.IN_FLIGHT] = len(in_flight)
            record.slot = box.claim(record.number, who_note(record))
        record.overhead = time.monotonic() - record.started
        return record

    def _wrap_thread(self) -> None:
        """What this thread opened before slowhound was there; once a thread."""
        self._threads.wrapped = True
        with guard.guard("wrap thread"):
            db.wrap_thread()

    def finish(self, record: Record, *server_objects: Any) -> None:
        """Makes the record into its one terminal event; a second call does nothing.

        ``server_objects`` are what registered instrumenters are called with: the server's request,
        response and environ; without them Django's.
        """
        # One dict pop decides: whoever gets the record finishes it, and nobody else does.
        if in_flight.pop(record.number, None) is None:
            return
        record.took = time.monotonic() - record.started
        try:
            self._conclude(record, server_objects)
            if not record.emitted:
                self._emit_least(record)
        finally:
            record.done = True
            if current_record.get() is record:
                current_record.set(None)
        # Last, and not when the worker is being ended right here: while the slot is taken, whoever
        # finds the box of a dead process writes the event, unless it was written, see postmortem.
        if record.slot is not None:
            record.slot.release()

    @guarded("finish")
    def _conclude(self, record: Record, server_objects: tuple[Any, ...]) -> None:
        now = record.started + record.took
        if threading.get_ident() == record.thread_id:
            record.cpu = time.thread_time() - record.cpu_started
        if instrumenters:
            self._call_instrumenters(record, server_objects)
        record.done = True
        nr = next(self._served)
        box = self.box
        if box is not None:
            box.cells[blackbox.IN_FLIGHT] = len(in_flight)
            box.cells[blackbox.SERVED] = nr
        if record.outcome is None:
            record.outcome = request_fields.outcome_of(record)
        if record.took >= self.watch.shortest or record.slow is not None:
            self.watch.ending(record, now)
        rate = self._keep(record) if self.config.sampling else 1.0
        if rate is None:
            record.emitted = True  # on purpose not written
        else:
            self._emit_request(record, rate, now, nr)

    @guarded("least event")
    def _emit_least(self, record: Record) -> None:
        """A request whose event could not be made has one all the same, with what cannot fail."""
        event = {
            "event_type": kind_of(record),
            "req_id": record.id,
            "req_method": record.method,
            "req_path": record.path,
            "resp_time": record.took,
            "resp_status": record.status,
            "resp_outcome": record.outcome,
        }
        record.extras = record.queries = None
        self.emit(event, record)

    def _call_instrumenters(self, record: Record, server_objects: tuple[Any, ...]) -> None:
        response = record.response() if record.response is not None else None
        request, response, environ = server_objects or (record.request, response, record.environ)
        for one in instrumenters.values():
            watch = guard.guard(f"instrumenter {type(one).__name__}")
            if not watch.off:
                with watch:
                    one.call(request, response, environ)

    def _keep(self, record: Record) -> float | None:
        """The rate at which requests like this one are kept; None when this one is not."""
        rate = self.config.sampling.get(record.outcome or "", 1.0)
        if rate >= 1.0 or record.slow is not None:
            return 1.0
        # Not random.random(): an application may count on its own sequence of that.
        return rate if int.from_bytes(os.urandom(2)) < rate * 0x10000 else None

    def _emit_request(self, record: Record, rate: float, now: float, nr: int) -> None:
        event: dict[str, Any] = {"event_type": kind_of(record)}
        request_fields.describe_request(record, event)
        if record.exc is not None:
            exception.describe(record, event)
        seen_by_django = record.request is not None
        if seen_by_django:
            request_fields.describe_response(record, event)
        else:
            event["resp_status"] = record.status
        self._describe_work(record, event)
        if seen_by_django:
            event["rest_time"] = max(record.took - record.accounted, 0.0)
        if rate < 1.0:
            event["sample_rate"] = rate
        if record.aborted is not None:
            event.update(record.aborted)
        if record.slow is not None:
            event.update(record.slow.fields())
        self._describe_worker(event, len(in_flight) + 1)
        event["w_nr"] = nr
        event["rec_overhead"] = record.overhead + time.monotonic() - now
        self.emit(event, record)

    def _describe_work(self, record: Record, event: dict[str, Any]) -> None:
        if record.queries is not None:
            db.describe(record, event)
        if record.cache is not None:
            cache.describe(record, event)
        if record.tmpl_count:
            template.describe(record, event)
        if record.out_count:
            http.describe(record, event)
        if record.gc_time:
            gc.describe(record, event)

    def _describe_worker(self, event: dict[str, Any], busy: int) -> None:
        saturation = self.saturation
        event.update(saturation.fields)
        if saturation.pool is not None:
            event.update(saturation.inside(busy))
        event["w_age"] = time.monotonic() - self.started
        if self.rss:
            event["w_rss"] = self.rss

    def abort(self, record: Record, stack: Stack) -> None:
        """The server ends this worker in the middle of the request; ``stack`` is where it was."""
        loc, cause = locate(stack)
        frames = " < ".join(str(frame) for frame in stack[-FRAMES:][::-1])
        record.aborted = {
            "timeout_loc": loc,
            "timeout_cause_loc": cause,
            "timeout_stack": frames,
            "timeout_stack_age": 0.0,
        }

    def describe_slow(self, record: Record, age: float) -> dict[str, Any]:
        """The ``slow`` event of a request that still runs; ``resp_time`` is its age."""
        event: dict[str, Any] = {"event_type": "slow"}
        request_fields.describe_request(record, event)
        event["resp_view"] = record.view
        event["resp_time"] = age
        self._describe_work(record, event)
        if record.slow is not None:
            event.update(record.slow.fields())
        self._describe_worker(event, len(in_flight))
        return event

    def emit(self, event: dict[str, Any], record: Record | None = None) -> None:
        """Completes one event and writes it to the stream and to the segment."""
        config = self.config
        event["ts"] = time.time()
        event["host"] = config.host
        event["pid"] = self.pid
        if config.service is not None:
            event["service"] = config.service
        if config.release is not None:
            event["release"] = config.release
        if losses.dropped:
            event["rec_dropped"] = losses.dropped
        if guard.total:
            event["rec_errors"] = guard.total
        event["seq"] = next(self._events)
        event["v"] = VERSION
        details = None
        if record is not None:
            if record.extras is not None:
                event.update(record.extras)
            if record.queries is not None:
                details = db.details(record)
        if record is not None and event["event_type"] != "slow":
            record.emitted = True
        self.write(event, details)

    def write(self, event: dict[str, Any], details: dict[str, Any] | None) -> None:
        """Writes a complete event; ``details`` are the fields that only JSON can hold."""
        whole = {**event, **details} if details else event
        if captured is not None:
            captured.append(whole)
            return
        line = formats.json_line(whole) if self.needs_json else b""
        # The segment first: it says whether the event was written, should the process die here.
        if self.segment is not None:
            self.segment.write(line)
        if self.stream is not stream.nowhere:
            self.stream(formats.logfmt(event) if self.logfmt else line[:-1].decode())

    # The hound's chores

    def tend_box(self) -> None:
        """Makes the box, or makes it anew when it was removed; keeps its header fresh."""
        if self.box is not None and not self.box.still_there():
            gone, self.box = self.box, None
            gone.abandon()
        if self.box is None:
            try:
                box = blackbox.Box(self.config.dir, self.server.slots)
                box.settings.write(settings_note(self.config, self.server.name))
                self.box = box
                if self.server.tell is not None:
                    self.server.tell(box.path)
            except OSError as exc:
                lost("the black box", exc, 0)
                return
        cells = self.box.cells
        cells[blackbox.HEARTBEAT] = time.monotonic_ns()
        cells[blackbox.IN_FLIGHT] = len(in_flight)
        cells[blackbox.DROPPED] = losses.dropped
        cells[blackbox.RSS] = self.rss

    def tend_files(self) -> None:
        """Rotates and reopens files; now and then removes the oldest segments.

        Not only after a rotation: short-lived workers leave many small segments behind.
        """
        self._retention_in -= 1
        for file in self.files:
            begun = file.tend()
            if file is self.segment and file.fd >= 0 and (begun or self._retention_in <= 0):
                self._retention_in = RETENTION_EVERY
                folder = os.path.dirname(file.name)
                keep_within(folder, self.config.store_max_bytes, SEGMENTS, keep=file.name)

    def sample(self) -> None:
        """Samples saturation and memory, and sees who has died."""
        try:
            boxes, dead = blackbox.survey(self.config.dir)
        except OSError:
            boxes, dead = [], []
        self.saturation.sample(boxes)
        self.graves.visit(dead)
        try:
            with open("/proc/self/statm", "rb") as statm:
                self.rss = int(statm.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")
        except OSError:
            self.rss = 0  # not Linux: the field is left out

    def finish_lost(self) -> None:
        """Finishes records whose response was thrown away without ever being closed."""
        for record in snapshot_in_flight():
            if record.response is not None and record.response() is None:
                self.finish(record)

    def stop(self) -> None:
        """Ends the hound, writes what is pending, removes the box."""
        with guard.guard("stop"):
            self.hound.stop()
            self.watch.scan(time.monotonic())
            self.delivery.stop()
            if self.box is not None:
                box, self.box = self.box, None
                # With requests still in flight it is for whoever buries this process.
                box.close(remove=not in_flight)


# Set by slowhound.testing: events are kept here and written nowhere.
captured: list[dict[str, Any]] | None = None

_recorder: Recorder | None = None
_starting = threading.Lock()


def get() -> Recorder | None:
    """This process's recorder, if it has been started."""
    return _recorder


def start(config: Config, server: Server | None = None) -> Recorder | None:
    """This process's recorder, started now if need be; None when slowhound is off."""
    global _recorder
    if _recorder is not None or not config.enabled:
        return _recorder
    with _starting:
        if _recorder is None:
            recorder = Recorder(config, server or Server())
            recorder.start()
            atexit.register(_stop_at_exit, weakref.ref(recorder))
            _recorder = recorder
    return _recorder


def stop() -> None:
    """Stops this process's recorder; the next request starts a new one."""
    global _recorder
    stopped, _recorder = _recorder, None
    if stopped is not None:
        stopped.stop()
        tear_down()
        instrument.uninstall()


def _stop_at_exit(reference: weakref.ref[Recorder]) -> None:
    recorder = reference()
    if recorder is not None and recorder is _recorder and recorder.pid == os.getpid():
        stop()


def _forget_after_fork() -> None:
    """A forked child has no hound; it lets go of its parent's box and files and starts anew."""
    global _recorder, _starting
    inherited, _recorder = _recorder, None
    _starting = threading.Lock()
    if inherited is not None:
        for file in inherited.files:
            file.close()
        if inherited.box is not None:
            inherited.box.close(remove=False)
    losses.reset()
    guard.reset()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget_after_fork)
