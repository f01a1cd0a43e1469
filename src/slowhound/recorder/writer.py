"""The writer: each event goes to the stream, to the segment, and to the sinks that want events."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

from slowhound.config.config import Config
from slowhound.delivery.worker import Delivery
from slowhound.event import formats
from slowhound.event.fields import Event
from slowhound.event.outgoing import Outgoing
from slowhound.sinks import stream
from slowhound.store.segments import SEGMENTS, open_segment
from slowhound.system.append_file import AppendFile
from slowhound.system.private_dir import keep_within

# Set by slowhound.testing: it takes the events, and they are written nowhere.
capture: Callable[[Event], None] | None = None

# DuckDB reads no segment at all that has a line of more than 32 MiB in it. There may be any number
# of names.
LARGEST_LINE = 8 * 1024**2


class Writer:
    """Where one process's events go.

    Args:
        config: format, stream, store.
        log: the server's access log, for ``STREAM`` ``auto``.
        delivery: hands events to those of ``SINKS`` that want them.
    """

    def __init__(self, config: Config, log: stream.Stream | None, delivery: Delivery) -> None:
        self.config = config
        self.delivery = delivery
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

    def tend(self) -> None:
        """Rotates and reopens files; a new segment makes room for itself."""
        for file in self.files:
            if file.tend() and file is self.segment:
                self.remove_oldest()

    def remove_oldest(self) -> None:
        """Keeps the segments within ``STORE_MAX_BYTES``, and within their age.

        Not only after a rotation: short-lived workers leave many small segments behind.
        """
        segment, config = self.segment, self.config
        if segment is not None and segment.fd >= 0:
            keep_within(
                os.path.dirname(segment.name),
                config.store_max_bytes,
                SEGMENTS,
                segment.name,
                config.store_max_age,
            )

    def write(self, event: Event) -> None:
        """Writes a complete event of another process, which has no fields for JSON alone.

        A test that captures events does not get it.
        """
        self._write(self._with_lines(event, event))

    def outgoing(self, event: Event, details: dict[str, Any] | None) -> Outgoing:
        """The event with its lines; ``details`` are the fields that only JSON can hold.

        Both lines are made before either is written: what fails here leaves no half event.
        """
        whole = {**event, **details} if details else event
        if capture is not None:
            return Outgoing(whole, b"", "")
        return self._with_lines(event, whole)

    def _with_lines(self, event: Event, whole: Event) -> Outgoing:
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
        keep = capture  # read once: another thread may end the block
        if keep is None:
            self._write(outgoing)
        elif not outgoing.stored:
            outgoing.stored.extend(map(keep, (outgoing.whole,)))

    def _write(self, outgoing: Outgoing) -> None:
        # The segment first: it says whether the event was written, should the process die here.
        # What was made to be captured has no line, and its block may have ended since.
        if self.segment is not None and outgoing.line and not outgoing.stored:
            self.segment.write(outgoing.line, outgoing.stored)
        if outgoing.text:
            self._stream(outgoing.text, outgoing.shown)
        feed = self.delivery.feed  # read once: its thread may take it away
        if feed is not None and not outgoing.fed:
            outgoing.fed.extend(map(feed, (outgoing.whole,)))
