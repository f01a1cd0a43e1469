"""Counts what could not be written, and logs each cause once."""

from __future__ import annotations

from slowhound.redaction.masking import message as shown
from slowhound.redaction.plain_data import as_text, exception_text
from slowhound.runtime.attributes import attribute_or
from slowhound.runtime.own_log import warn
from slowhound.runtime.static_lookup import name_of

dropped = 0
_warned: set[tuple[str, str]] = set()


def lost(what: str, reason: BaseException | str, count: int = 1) -> None:
    """Counts ``count`` lost lines, events or reports; logs the first loss of its kind.

    ``rec_dropped`` in every later event is the sum for this process.
    """
    global dropped
    dropped += count
    number = attribute_or(reason, "errno", "")
    kind = (what, f"{name_of(type(reason))}:{number if type(number) is int else ''}")
    if kind not in _warned:
        _warned.add(kind)
        warn("slowhound: cannot write %s, counting what is lost: %s", what, shown(_text(reason)))


def _text(reason: BaseException | str) -> str:
    """The text of a reason, or the name of its class."""
    if type(reason) is str:
        return reason
    return exception_text(reason) or as_text(reason)  # type: ignore[arg-type]


def reset() -> None:
    """Forgets everything (tests, and a forked child)."""
    global dropped
    dropped = 0
    _warned.clear()
