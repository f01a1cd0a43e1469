"""slowhound's own log, the logger ``slowhound``."""

from __future__ import annotations

import contextlib
import logging
import sys

log = logging.getLogger("slowhound")


def warn(message: str, *args: object) -> None:
    """Logs a warning in slowhound's own log, or to standard error where that is disabled.

    ``logging.config.dictConfig`` disables each existing logger that it does not name, unless
    ``disable_existing_loggers`` is False: mostly by accident. Levels and filters are set on
    purpose, and are respected.
    """
    if not log.disabled:
        log.warning(message, *args)
    elif sys.stderr is not None:
        with contextlib.suppress(OSError, ValueError):  # it is closed
            sys.stderr.write(f"{message % args}\n")
