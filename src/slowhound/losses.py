"""What could not be written: counted, and said once for each cause."""

from __future__ import annotations

import logging

from slowhound.redact import text

log = logging.getLogger("slowhound")

dropped = 0
_said: set[tuple[str, str]] = set()


def lost(what: str, reason: object, count: int = 1) -> None:
    """Counts ``count`` lost lines, events or reports; logs the first loss of its kind.

    ``rec_dropped`` in every later event is the sum for this process.
    """
    global dropped
    dropped += count
    kind = (what, f"{type(reason).__name__}:{getattr(reason, 'errno', '')}")
    if kind not in _said:
        _said.add(kind)
        said = text(str(reason))
        log.warning("slowhound: cannot write %s, counting what is lost: %s", what, said)


def reset() -> None:
    """Forgets everything (tests, and a forked child)."""
    global dropped
    dropped = 0
    _said.clear()
