"""Reads durations as they are typed: 90s, 15m, 2h, 7d, 1w."""

from __future__ import annotations

import re

UNIT_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86400, "w": 7 * 86400}
_DURATION = re.compile(r"([0-9]{1,9}(?:\.[0-9]{1,6})?)([smhdw])")


def parse_duration(text: str) -> float | None:
    """Seconds; None where ``text`` is no duration. A number without a unit is none."""
    found = _DURATION.fullmatch(text)
    return float(found[1]) * UNIT_SECONDS[found[2]] if found else None
