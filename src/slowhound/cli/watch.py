"""Overrides the threshold of slow requests for a while, in all running workers.

Lower or higher than SLOW_AFTER, for all views or for one, without a deploy: the workers read it
within about a second, and it ends by itself. Without options the overrides are shown (exit code 1:
there is none).
"""

from __future__ import annotations

import argparse
import math
import os
from datetime import datetime

from slowhound.cli.location import Location, find_location
from slowhound.cli.output import Refusal, print_error, print_out
from slowhound.cli.requests_table import seconds
from slowhound.config import overrides
from slowhound.config.overrides import (
    LONGEST_OVERRIDE,
    MOST_OVERRIDES,
    Threshold,
    in_force,
    load,
    store,
)
from slowhound.event.formats import one_line
from slowhound.runtime.clocks import clock
from slowhound.runtime.durations import parse_duration

LONGEST_VIEW_NAME = 300


def add(parser: argparse.ArgumentParser) -> None:
    """The options of the command."""
    parser.add_argument(
        "--slow-after",
        type=threshold,
        metavar="SECONDS",
        help="report a request as slow when it takes longer",
    )
    parser.add_argument(
        "--view", type=view_name, help="only for this view: its name, route or function"
    )
    parser.add_argument(
        "--for",
        dest="duration",
        type=duration,
        metavar="DURATION",
        help="how long: 90s, 10m, 1h; a day at most",
    )
    parser.add_argument(
        "--off", action="store_true", help="end all overrides; with --view only that of this view"
    )


def threshold(given: str) -> float:
    """Seconds, not negative."""
    number = float(given)
    if not math.isfinite(number) or number < 0:
        raise argparse.ArgumentTypeError(f"{given} is not a number of seconds")
    return number


def view_name(given: str) -> str:
    """The name of a view."""
    if not 0 < len(given) <= LONGEST_VIEW_NAME or not given.isprintable():
        raise argparse.ArgumentTypeError("not the name of a view")
    return given


def duration(given: str) -> float:
    """``90s``, ``10m`` or ``1h`` in seconds."""
    length = parse_duration(given)
    if length is None or not 0 < length <= LONGEST_OVERRIDE:
        raise argparse.ArgumentTypeError(f"{given!r} is not like 90s, 10m or 1h, a day at most")
    return length


def run(arguments: argparse.Namespace) -> int:
    """Sets, ends or shows overrides; 1 when there is none to show."""
    setting = arguments.slow_after is not None
    if setting != (arguments.duration is not None):
        arguments.refuse("--slow-after and --for must be given together")
    if setting and arguments.off:
        arguments.refuse("--off and --slow-after exclude each other")
    if arguments.view is not None and not setting and not arguments.off:
        arguments.refuse("--view needs --slow-after or --off")
    location = find_location(arguments)
    now = clock.time()
    found = list(in_force(tuple(load(_file(location), location.owner)), now))
    if not setting and not arguments.off:
        return _show(found, now)
    kept = [each for each in found if each.view != arguments.view]
    if arguments.off:
        kept = kept if arguments.view is not None else []
        _store(location, kept)
        print_out("ended" if len(kept) < len(found) else "there was no override")
        return 0
    if len(kept) >= MOST_OVERRIDES:
        raise Refusal(f"{MOST_OVERRIDES} overrides are set, which is the most there can be")
    new = Threshold(arguments.view, arguments.slow_after, now + arguments.duration)
    _store(location, [*kept, new])
    print_out(_line(new, now))
    location.warn_about(location.workers())
    return 0


def _file(location: Location) -> str:
    return os.path.join(location.dir, overrides.OVERRIDES_FILE)


def _store(location: Location, thresholds: list[Threshold]) -> None:
    try:
        store(location.dir, thresholds)
    except OSError as exc:
        raise Refusal(f"{_file(location)} cannot be written: {exc.strerror}") from exc


def _show(found: list[Threshold], now: float) -> int:
    for each in found:
        print_out(_line(each, now))
    if not found:
        print_error("no override; SLOW_AFTER from the settings applies")
    return 0 if found else 1


def _line(each: Threshold, now: float) -> str:
    end = datetime.fromtimestamp(each.until).astimezone()
    what = "all views" if each.view is None else f"view {each.view}"
    left = seconds(each.until - now)
    return one_line(f"{what}: slow after {each.slow_after:g} s, until {end:%H:%M:%S %Z} ({left})")
