"""Follows the output, segments and reports of the shop, and prints what is new."""

from __future__ import annotations

import json
import os
import queue
import re
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

from demo_traffic import Event, Expected

REPORT_HEAD, REPORT_TAIL = 9, 36  # lines shown; between them are the server's own frames


class Screen:
    """Prints; headings are coloured only on a terminal."""

    def __init__(self) -> None:
        self.colours = sys.stdout.isatty() and "NO_COLOR" not in os.environ

    def heading(self, text: str) -> None:
        """A line that stands out."""
        self.line(f"\n== {text}", "1;36")

    def line(self, text: str, colour: str = "") -> None:
        """One line, flushed: stdout may be a pipe that is followed."""
        print(f"\x1b[{colour}m{text}\x1b[0m" if colour and self.colours else text, flush=True)


class Witness:
    """Follows the stream, the segments and the reports, and shows what is new."""

    def __init__(self, process: subprocess.Popen[str], folder: Path, screen: Screen) -> None:
        self.screen = screen
        self.folder = folder
        self.stream: list[Event] = []
        self.stored: list[Event] = []
        self.reports: dict[str, str] = {}
        self.address: tuple[str, int] | None = None
        self.ended = False
        self._read_to: Counter[Path] = Counter()
        self._lines: queue.SimpleQueue[str | None] = queue.SimpleQueue()
        threading.Thread(target=self._follow, args=(process,), daemon=True).start()

    def _follow(self, process: subprocess.Popen[str]) -> None:
        assert process.stdout is not None
        for line in process.stdout:
            self._lines.put(line)
        self._lines.put(None)

    def wait(self, until: Callable[[], bool], within: float) -> bool:
        """Reads and shows what is new until ``until()`` is true; False when that took too long."""
        deadline = time.monotonic() + within
        while not until():
            if self.ended or time.monotonic() > deadline:
                return until()
            self._read()
        return True

    def _read(self) -> None:
        """Waits for a line, but not for long: files may have grown meanwhile."""
        try:
            line = self._lines.get(timeout=0.05)
            while line is not None:
                self._take_line(line.rstrip("\n"))
                line = self._lines.get_nowait()
            self.ended = True
        except queue.Empty:
            pass
        self._read_segments()
        self._read_reports()

    def _take_line(self, line: str) -> None:
        if line.startswith("event_type="):
            self.stream.append(parse_logfmt(line))
            self.screen.line(line)
        elif line:
            self.screen.line(line, "2")
            listening = re.search(r"Listening at: http://([\d.]+):(\d+)", line)
            if listening:
                self.address = (listening[1], int(listening[2]))

    def _read_segments(self) -> None:
        for path in sorted(self.folder.glob("events/*.jsonl")):
            with path.open("rb") as segment:
                segment.seek(self._read_to[path])
                new = segment.read()
            whole = new[: new.rfind(b"\n") + 1]  # the last line may still be on its way
            self._read_to[path] += len(whole)
            self.stored.extend(json.loads(line) for line in whole.splitlines())

    def _read_reports(self) -> None:
        for path in sorted(self.folder.glob("reports/slow_request_*.log")):
            text = path.read_text(errors="replace")
            if path.name not in self.reports:
                self._show_report(path, text.splitlines())
            self.reports[path.name] = text

    def _show_report(self, path: Path, lines: list[str]) -> None:
        self.screen.line(f"-- report {path}", "1;33")
        left_out = len(lines) - REPORT_HEAD - REPORT_TAIL
        if left_out > 0:
            lines[REPORT_HEAD:-REPORT_TAIL] = [f"  ... {left_out} lines, not shown here ..."]
        for line in lines:
            self.screen.line(f"   {line}".rstrip())

    def seen(self, expected: Expected) -> dict[str, bool]:
        """Where an expected event was found; ``report`` only for those that have one."""
        events = [event for event in self.stored if expected.fits(event)]
        lines = {(event.get("event_type"), event.get("req_id")) for event in self.stream}
        found = {
            "stream": any((each["event_type"], each.get("req_id")) in lines for each in events),
            "segment": bool(events),
        }
        if expected.report:
            found["report"] = any(
                each["req_path"] in self.reports.get(str(each.get("report")), "") for each in events
            )
        return found


def parse_logfmt(line: str) -> Event:
    """The values of a canonical line, which are JSON strings."""
    pairs = re.findall(r'([^\s=]+)=("(?:[^"\\]|\\.)*")', line)
    return {key: json.loads(value) for key, value in pairs}
