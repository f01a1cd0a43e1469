"""slowhound's own log."""

from __future__ import annotations

import contextlib
import logging
import sys

log = logging.getLogger("slowhound")


def warn(message: str, *args: object) -> None:
    """Says something in slowhound's own log, or to standard error where that is switched off.

    ``logging.config.dictConfig`` disables each logger that is there already and not named, unless
    it is told not to: by accident, as a rule. Levels and filters are on purpose, and are kept to.
    """
    if not log.disabled:
        log.warning(message, *args)
    elif sys.stderr is not None:
        with contextlib.suppress(OSError, ValueError):  # it is closed
            sys.stderr.write(f"{message % args}\n")
