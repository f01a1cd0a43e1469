"""The writer: completes a process's events, and writes each to the stream and to the segment."""

from __future__ import annotations

import itertools
import os
from typing import Any

from slowhound.config.config import Config
from slowhound.core.record import Ids, Record
from slowhound.delivery.worker import Delivery
from slowhound.event import formats
from slowhound.event.fields import VERSION, Event
from slowhound.event.outgoing import Outgoing
from slowhound.instrument import db
from slowhound.redaction.structures import masked
from slowhound.runtime.clocks import clock
from slowhound.sinks import stream
from slowhound.store.segments import open_segment
from slowhound.system import guard, losses
from slowhound.system.append_file import AppendFile

# Set by slowhound.testing: events are kept here and written nowhere.
captured: list[Event] | None = None

# DuckDB reads no segment at all that has a line of more than 32 MiB in it. There may be any number
# of names.
LARGEST_LINE = 8 * 1024**2


class Writer:
    """Where one process's events go.

    Args:
        config: format, stream, store, and what each event says of its process.
        log: the server's access log, for ``STREAM`` ``auto``.
        delivery: hands events to those of ``SINKS`` that want them.
    """

    def __init__(self, config: Config, log: stream.Stream | None, delivery: Delivery) -> None:
        self.config = config
        self.delivery = delivery
        self.pid = os.getpid()
        # next() is atomic, += is not.
        self._numbers = itertools.count(1)
        self.segment: AppendFile | None = None
        self.files: list[AppendFile] = []
        self._logfmt = config.format == "logfmt"
        self._needs_json = config.store or not self._logfmt
        self._stream = self._open_stream(log)

    def _open_stream(self, log: stream.Stream | None) -> stream.Stream:
        if self.config.stream is None:
            return stream.nowhere
        if self.config.stream == "auto":
            return log or stream.standard_output()
        write, file = stream.to_file(self.config.stream)
        if file is not None:
            self.files.append(file)
        return write

    def open(self) -> None:
        """Opens the segment."""
        if self.config.store:
            self.segment = open_segment(self.config.dir, self.config.store_max_bytes)
            self.files.append(self.segment)

    def emit(self, event: Event, record: Record | None = None, trace: Ids | None = None) -> None:
        """Completes one event and writes it to the stream and to the segment.

        ``trace`` is for an event of a request that does not have all that its record has.
        """
        self._sign(event, record.trace if record is not None else trace)
        details = None
        if record is not None:
            extras = record.extras
            if extras is not None:
                # A copy, which is one call of C: of a slow request its own thread adds to them.
                event.update(masked(extras.copy()))
            if record.queries is not None:
                details = db.details(record)
        outgoing = self._outgoing(event, details)
        if record is not None and event["event_type"] != "slow":
            record.outgoing = outgoing
        self.put(outgoing)

    def _sign(self, event: Event, trace: Ids | None) -> None:
        config = self.config
        event["ts"] = clock.time()
        event["host"] = config.host
        event["pid"] = self.pid
        if config.service is not None:
            event["service"] = config.service
        if config.release is not None:
            event["release"] = config.release
        if trace is not None:
            event["trace_id"], event["span_id"] = trace
        if losses.dropped:
            event["rec_dropped"] = losses.dropped
        if guard.total:
            event["rec_errors"] = guard.total
        event["seq"] = next(self._numbers)
        event["v"] = VERSION

    def write(self, event: Event, details: dict[str, Any] | None) -> None:
        """Writes a complete event; ``details`` are the fields that only JSON can hold."""
        self.put(self._outgoing(event, details))

    def _outgoing(self, event: Event, details: dict[str, Any] | None) -> Outgoing:
        """Both lines are made before either is written: what fails here leaves no half event."""
        whole = {**event, **details} if details else event
        if captured is not None:
            return Outgoing(whole, b"", "")
        line = formats.json_line(whole) if self._needs_json else b""
        if len(line) > LARGEST_LINE:
            event, whole = formats.shortened(event), formats.shortened(whole)
            line = formats.json_line(whole)
        text = ""
        if self._stream is not stream.nowhere:
            text = formats.logfmt(event) if self._logfmt else line[:-1].decode()
        return Outgoing(whole, line, text)

    def put(self, outgoing: Outgoing) -> None:
        """Writes what of it is not written."""
        if captured is not None:
            if not outgoing.stored:
                outgoing.stored.extend(map(captured.append, (outgoing.whole,)))
            return
        # The segment first: it says whether the event was written, should the process die here.
        if self.segment is not None and not outgoing.stored:
            self.segment.write(outgoing.line, outgoing.stored)
        if outgoing.text:
            self._stream(outgoing.text, outgoing.shown)
        feed = self.delivery.feed  # read once: its thread may take it away
        if feed is not None and not outgoing.fed:
            outgoing.fed.extend(map(feed, (outgoing.whole,)))
