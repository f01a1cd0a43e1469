"""Gunicorn's logger, with canonical lines in the place of the access log."""

from __future__ import annotations

import logging
import os
import sys
from contextlib import suppress
from typing import Any, Self

from gunicorn import glogging

from slowhound.runtime.foreign import is_foreign
from slowhound.runtime.library_names import find, missing
from slowhound.sinks.stream import Output, write_all
from slowhound.system.guard import guard

NO_STATSD = "Gunicorn's metrics are not sent to statsd"
Statsd: Any = find("gunicorn.instrument.statsd.Statsd")


def _active() -> Any:
    module = sys.modules.get("slowhound.recorder.process")
    return module.get() if module is not None else None


class Logger(glogging.Logger):
    """Writes canonical lines where Gunicorn's access log goes.

    ``GUNICORN_PRESERVE_EXISTING_LOGGER=1`` in the environment keeps Gunicorn's own line too, before
    the canonical one. Where slowhound is off, only Gunicorn's own line is written. With
    ``statsd_host`` this also sends Gunicorn's metrics, which Gunicorn drops for other logger
    classes.
    """

    PRESERVE_EXISTING_LOGGER = os.environ.get("GUNICORN_PRESERVE_EXISTING_LOGGER") == "1"

    def __new__(cls, cfg: Any) -> Self:
        """A logger; also one of Gunicorn's ``Statsd`` when ``statsd_host`` is set."""
        if cfg.statsd_host and Statsd is None:
            missing("gunicorn.instrument.statsd.Statsd", NO_STATSD)
        elif cfg.statsd_host and not issubclass(cls, Statsd):
            cls = type(cls.__name__, (cls, Statsd), {})  # noqa: PLW0642
        return super().__new__(cls)

    def access(self, resp: Any, req: Any, environ: Any, request_time: Any) -> None:
        """Gunicorn calls this before the body is closed; the canonical line follows after that."""
        if self.wants_plain_line():
            super().access(resp, req, environ, request_time)
        elif Statsd is not None and isinstance(self, Statsd):
            _send_metrics(self, resp, request_time)

    def wants_plain_line(self) -> bool:
        """True when Gunicorn's own access line should be written."""
        return self.PRESERVE_EXISTING_LOGGER or _active() is None


def _send_metrics(statsd: Any, resp: Any, request_time: Any) -> None:
    """Sends what ``Statsd.access`` sends, which would always write the access line as well."""
    with guard("statsd"):
        status = str(resp.status).split(None, 1)[0]
        # Up to 24.0 Gunicorn sent a histogram where later versions send a timer.
        send = getattr(statsd, "timer", None) or getattr(statsd, "histogram", None)
        if send is None:
            missing("gunicorn.instrument.statsd.Statsd.histogram", NO_STATSD)
        else:
            send("gunicorn.request.duration", request_time.total_seconds() * 1000)
        increment = getattr(statsd, "increment", None)
        if increment is None:
            missing("gunicorn.instrument.statsd.Statsd.increment", NO_STATSD)
        else:
            increment("gunicorn.requests", 1)
            increment(f"gunicorn.request.status.{status}", 1)


class AccessStream:
    """Writes lines to the handlers of ``gunicorn.access``.

    ``logging`` takes 6 µs a line, half of the time that slowhound may take in all. Where the
    handlers are Gunicorn's own plain ones, which only add a line end, one ``write()`` is the same.
    """

    def __init__(self) -> None:
        log = self.log = logging.getLogger("gunicorn.access")
        self.handlers = list(log.handlers)
        self.plain = (
            len(self.handlers) == 1
            and type(self.handlers[0]) in (logging.StreamHandler, logging.FileHandler)
            and getattr(self.handlers[0].formatter, "_fmt", None) == "%(message)s"
        )
        self.formatter = self.handlers[0].formatter if self.plain else None
        self._output: Output | None = None  # `accesslog` is "-"
        if self.plain and type(self.handlers[0]) is logging.StreamHandler:
            with suppress(OSError, ValueError, AttributeError):
                self._output = Output(self.handlers[0].stream.fileno())

    def __call__(self, line: str, done: list[Any]) -> None:
        """Writes one line where Gunicorn's own would go."""
        log = self.log
        if not log.isEnabledFor(logging.INFO):
            return
        if self.plain and self._is_untouched():
            stream = self.handlers[0].stream  # type: ignore[attr-defined]
            try:
                descriptor = stream.fileno()
            except (OSError, ValueError, AttributeError) as exc:
                if is_foreign(exc):
                    raise
                self._log(line, done)
                return
            if self._output is not None and self._output.descriptor == descriptor:
                self._output(line, done)
            else:
                write_all(descriptor, line.encode("utf-8", "backslashreplace") + b"\n", done)
        else:
            self._log(line, done)

    def _is_untouched(self) -> bool:
        """False when the logger or its handler has changed since the start: then they are used."""
        log, handler = self.log, self.handlers[0]
        return (
            log.handlers == self.handlers
            and not (log.filters or handler.filters or log.propagate)
            and handler.level <= logging.INFO
            and handler.formatter is self.formatter
        )

    def _log(self, line: str, done: list[Any]) -> None:
        if not done:
            done.append(len(line))  # before the call: an application's own handler may raise
            self.log.info("%s", line)


def access_log_on(log: glogging.Logger) -> bool:
    """Whether Gunicorn would write an access log; before version 24 it has no method for that."""
    cfg = getattr(log, "cfg", None)
    if cfg is None:
        missing("gunicorn.glogging.Logger:cfg", "canonical lines are written with any accesslog")
        return True
    own = cfg.logconfig or cfg.logconfig_dict or getattr(cfg, "logconfig_json", None)
    return bool(cfg.accesslog or own or (cfg.syslog and not cfg.disable_redirect_access_to_syslog))
