"""Parses the times that options such as ``--since`` take."""

from __future__ import annotations

import argparse
import re
from datetime import datetime

from slowhound.runtime.clocks import clock
from slowhound.runtime.durations import parse_duration


def parse_time(given: str) -> float:
    """A time in seconds since 1970.

    Takes ``90s``, ``15m``, ``2h``, ``7d`` or ``1w`` (ago); ``2026-11-21`` or ``2026-11-21T18:00``,
    in local time unless it has an offset; or seconds since 1970.
    """
    ago = parse_duration(given)
    if ago is not None:
        return clock.time() - ago
    try:
        if re.fullmatch(r"[0-9]{9,11}(\.[0-9]+)?", given):
            return float(given)
        return datetime.fromisoformat(given).timestamp()
    except (ValueError, OverflowError) as exc:
        raise argparse.ArgumentTypeError(
            f"{given!r} is not like 15m, 2h, 7d, or 2026-11-21T18:00"
        ) from exc
