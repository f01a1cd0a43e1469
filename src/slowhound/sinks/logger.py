"""Reports to a Python logger, structured enough for a JSON formatter or a log collector."""

from __future__ import annotations

import logging
from typing import Any

from slowhound.frames import Frame, short_path
from slowhound.report import Report, one_line


class PythonLogger:
    """One log record for each report.

    Args:
        name: of the logger.
        level: number or name.
        brief: the message is only the path, with the culprit and the stack as ``extra``. That is
            what collectors which group by message want (dogslow's ``DOGSLOW_LOG_TO_SENTRY``).
    """

    def __init__(self, name: str, level: int | str = "WARNING", brief: bool = False) -> None:
        self.logger = logging.getLogger(name)
        self.level = logging.getLevelNamesMapping()[level] if isinstance(level, str) else level
        self.brief = brief

    def deliver(self, report: Report) -> None:
        """Logs it; the fields of the event are in ``extra`` as ``slowhound``."""
        event = report.event
        extra: dict[str, Any] = {"slowhound": event}
        if self.brief:
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

    def close(self) -> None:
        """The logger is the application's."""


def culprit(frame: Frame) -> str:
    """``module in function``, by which collectors group; the module as it would be imported."""
    path = short_path(frame.filename).removesuffix(".py").removesuffix("/__init__")
    return f"{path.strip('/').replace('/', '.')} in {frame.function}"
