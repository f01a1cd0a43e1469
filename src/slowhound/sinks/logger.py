"""Logs reports to a Python logger, with the event's fields for JSON formatters and collectors."""

from __future__ import annotations

import logging
from typing import Any

from slowhound.core.report import Report
from slowhound.event.formats import one_line
from slowhound.frames.frames import Frame
from slowhound.runtime.app_files import short_path
from slowhound.sinks.wording import end_note, headline


class PythonLogger:
    """One log record for each report, and one when its request has ended.

    ``extra`` has what a JSON formatter puts beside the message: ``slowhound``, the fields of the
    event; ``slowhound_id``, which is the same when a report is logged twice; ``slowhound_kind``,
    ``slowhound_group``, ``slowhound_held_back`` and ``slowhound_first_seen``.

    Args:
        name: of the logger.
        level: number or name.
        brief: the message is only the path, with the culprit and the stack in ``extra``: for
            collectors that group by message (dogslow's ``DOGSLOW_LOG_TO_SENTRY``).
        follow_ups: False: nothing is logged when a request has ended.
    """

    def __init__(
        self,
        name: str,
        level: int | str = "WARNING",
        brief: bool = False,
        *,
        follow_ups: bool = True,
    ) -> None:
        self.logger = logging.getLogger(name)
        self.level = logging.getLevelNamesMapping()[level] if isinstance(level, str) else level
        self.brief = brief
        self.follow_ups = follow_ups

    def deliver(self, report: Report) -> None:
        """Logs the report."""
        event = report.event
        extra = fields_of(report, report.kind)
        if report.kind != "slow":
            message = headline(report) if self.brief else f"{headline(report)} - {report.text()}"
        elif self.brief:
            message = (
                f"Slow Request Watchdog: {one_line(event.get('req_path') or event['task_name'])}"
            )
            stack = report.snapshot.stack if report.snapshot is not None else ()
            extra["culprit"] = culprit(stack[-1]) if stack else "(not known)"
            extra["stack"] = [str(frame) for frame in stack]
        else:
            view = one_line(event.get("resp_view") or "-")
            request_line = one_line(report.request_line)
            message = f"Slow Request Watchdog: {view}, {request_line} - {report.text()}"
        self.logger.log(self.level, "%s", message, extra=extra)

    def follow_up(self, report: Report) -> None:
        """Logs that the request has ended."""
        if self.follow_ups and report.finished is not None:
            message = f"{one_line(report.view)}, {one_line(report.request_line)}: "
            message += end_note(report.finished)
            extra = fields_of(report, "finished")
            extra["slowhound_finished"] = report.finished._asdict()
            self.logger.log(self.level, "%s", message, extra=extra)

    def close(self) -> None:
        """Nothing to close: the logger is the application's."""


def fields_of(report: Report, kind: str) -> dict[str, Any]:
    """What each log record has beside its message."""
    return {
        "slowhound": report.event,
        "slowhound_id": report.id,
        "slowhound_kind": kind,
        "slowhound_group": report.fingerprint,
        "slowhound_held_back": report.held_back,
        "slowhound_first_seen": report.first_seen,
    }


def culprit(frame: Frame) -> str:
    """``module in function``, by which collectors group; the module as it would be imported."""
    frame = frame._replace(filename=short_path(frame.filename)).shown
    path = frame.filename.removesuffix(".py").removesuffix("/__init__")
    return f"{path.strip('/').replace('/', '.')} in {frame.function}"
