"""Gunicorn's logger, with canonical lines in place of the access log."""

from __future__ import annotations

import logging
import os
import sys
from typing import Any
from urllib.parse import unquote

from gunicorn import glogging

from slowhound.guard import guard
from slowhound.sinks.stream import write_all


class Logger(glogging.Logger):
    """Writes the canonical line where Gunicorn's access log goes.

    ``GUNICORN_PRESERVE_EXISTING_LOGGER=1`` in the environment keeps Gunicorn's own line too, before
    the canonical one. In a process where slowhound is off, only Gunicorn's own is written.
    """

    PRESERVE_EXISTING_LOGGER = os.environ.get("GUNICORN_PRESERVE_EXISTING_LOGGER") == "1"

    def access(self, resp: Any, req: Any, environ: Any, request_time: Any) -> None:
        """Called by Gunicorn before the body is closed; the canonical line follows after that."""
        module = sys.modules.get("slowhound.recorder")
        active = module.get() if module is not None else None
        if active is None or self.PRESERVE_EXISTING_LOGGER:
            super().access(resp, req, environ, request_time)
        if active is not None and getattr(req, "slowhound", None) is None:
            with guard("gunicorn access"):
                self._refused(active, resp, req, environ)

    def _refused(self, active: Any, resp: Any, req: Any, environ: Any) -> None:
        """A request that Gunicorn answered itself, before any hook: malformed, too large, ..."""
        from slowhound.gunicorn.hooks import describe

        record = active.begin(
            getattr(req, "method", None) or "-", unquote(getattr(req, "path", None) or "-")
        )
        record.environ = environ
        describe(record, req, None, resp, None)
        active.finish(record, req, resp, environ)


class AccessStream:
    """Writes lines to the handlers of ``gunicorn.access``.

    ``logging`` takes 6 µs a line, half of all that slowhound may take. Where the handlers are
    Gunicorn's own plain ones, which only add a line end, one ``write()`` does the same.
    """

    def __init__(self, log: logging.Logger) -> None:
        self.log = log
        self.handlers = list(log.handlers)
        self.plain = (
            len(self.handlers) == 1
            and type(self.handlers[0]) in (logging.StreamHandler, logging.FileHandler)
            and getattr(self.handlers[0].formatter, "_fmt", None) == "%(message)s"
        )

    def __call__(self, line: str) -> None:
        """Writes one line; as a log record when the handlers were changed since the start."""
        log = self.log
        if self.plain and log.handlers == self.handlers and not log.disabled and not log.filters:
            stream = self.handlers[0].stream  # type: ignore[attr-defined]
            try:
                descriptor = stream.fileno()
            except (OSError, ValueError, AttributeError):
                log.info("%s", line)
                return
            write_all(descriptor, line.encode("utf-8", "backslashreplace") + b"\n")
        else:
            log.info("%s", line)
