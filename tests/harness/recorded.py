"""Reads what a server has recorded, and waits for it: canonical lines, events, reports."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.harness.logfmt import parse
from tests.harness.process import Process
from tests.harness.waiting import DEADLINE, eventually

Event = dict[str, Any]
Line = dict[str, str]

# How a stack is read while the GIL is held: see slowhound.gil.readers.
READ_BY = "remote" if sys.version_info >= (3, 14) else "py-spy"
TERMINAL = ("request", "timeout", "crash")
# Left out of warnings that are searched for "slowhound", which is usually the folder's name.
CHECKOUT = str(Path(__file__).parents[2])


@dataclass(frozen=True)
class Report:
    """A report file as it was when it was read."""

    path: Path
    text: str


class Recorded:
    """What one server has recorded."""

    def __init__(self, process: Process, folder: Path) -> None:
        self.process = process
        self.dir = folder
        self.torn_expected = False  # after a full disk a line may be cut off

    def output(self) -> list[str]:
        """The complete lines of stdout."""
        return self.process.stdout.split("\n")[:-1]

    def lines(self) -> list[Line]:
        """The canonical lines (logfmt) on stdout."""
        return [parse(text) for text in self.output() if text.startswith('event_type="')]

    def stray_output(self) -> list[str]:
        """The lines of stdout that are not canonical lines."""
        return [text for text in self.output() if not text.startswith('event_type="')]

    def events(self) -> list[Event]:
        """Every event in the segments, in the order of files and lines."""
        found: list[Event] = []
        for path in sorted(self.dir.glob("events/*.jsonl")):
            try:
                text = path.read_text("utf-8")
            except FileNotFoundError:
                continue
            lines = text.split("\n")[:-1]
            found += [json.loads(line) for line in lines if not self._is_torn(line)]
        return found

    def _is_torn(self, line: str) -> bool:
        return self.torn_expected and not line.endswith("}")

    def reports(self) -> list[Report]:
        """Every report of a slow request, the oldest first."""
        found = []
        for path in self.dir.glob("reports/slow_request_*.log"):
            try:
                found.append((path.stat().st_mtime_ns, Report(path, path.read_text("utf-8"))))
            except FileNotFoundError:
                continue
        return [report for _, report in sorted(found, key=lambda pair: (pair[0], pair[1].path))]

    def warnings(self) -> list[str]:
        """The lines of stderr that name slowhound or its folder, without tracebacks."""
        return [
            text
            for text in self.process.stderr.splitlines()
            if ("slowhound" in text.replace(CHECKOUT, "").lower() or str(self.dir) in text)
            and not text.startswith(("  ", "Traceback"))
        ]

    def wait_event(self, *, deadline: float = DEADLINE, **match: Any) -> Event:
        """The first event of the segments whose fields match; a value may be a predicate."""
        return self._wait(self.events, match, "event", deadline)

    def wait_line(self, *, deadline: float = DEADLINE, **match: Any) -> Line:
        """The first canonical line whose fields match."""
        return self._wait(self.lines, match, "line", deadline)

    def wait_report(self, *texts: str, deadline: float = DEADLINE) -> Report:
        """The first report that contains all of `texts`."""
        return eventually(
            lambda: next(
                (r for r in self.reports() if all(text in r.text for text in texts)), None
            ),
            f"a report with {texts!r}",
            deadline=deadline,
            transcript=lambda: (
                self.process.transcript()
                + "".join(f"\n--- {r.path}\n{r.text}" for r in self.reports())
            ),
        )

    def terminal(self, agent: str) -> Event:
        """The terminal event of the request with this User-Agent."""
        return self.wait_event(req_user_agent=agent, event_type=lambda kind: kind in TERMINAL)

    def terminal_line(self, agent: str) -> Line:
        """The canonical line of the terminal event of the request with this User-Agent."""
        return self.wait_line(req_user_agent=agent, event_type=lambda kind: kind in TERMINAL)

    def slow(self, agent: str) -> Event:
        """The `slow` event of the request with this User-Agent."""
        return self.wait_event(req_user_agent=agent, event_type="slow")

    def _wait(
        self, read: Callable[[], list[Any]], match: dict[str, Any], what: str, deadline: float
    ) -> dict[str, Any]:
        return eventually(
            lambda: first(read(), match),
            f"{what} with {match}",
            deadline=deadline,
            transcript=lambda: f"{self.process.transcript()}\n--- events\n{self.events()}",
        )


def first(found: Iterable[dict[str, Any]], match: dict[str, Any]) -> dict[str, Any] | None:
    """The first of `found` whose fields match."""
    for item in found:
        if all(
            wanted(item.get(name)) if callable(wanted) else item.get(name) == wanted
            for name, wanted in match.items()
        ):
            return item
    return None
