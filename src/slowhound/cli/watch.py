"""Sets the threshold of slow requests for a while, in all running workers.

Lower or higher than SLOW_AFTER, for all views or for one, without a deploy: the workers see it
within about a second, and it ends by itself. Without options it shows what is in force (exit code
1: nothing is).
"""

from __future__ import annotations

import argparse
import math
import os
from datetime import datetime

from slowhound.cli.location import Location, Refusal, find_location, print_error, print_out
from slowhound.cli.requests_table import seconds
from slowhound.config import overrides
from slowhound.config.overrides import LONGEST, MOST, Threshold, in_force, load, store
from slowhound.event.formats import one_line
from slowhound.runtime.clocks import clock
from slowhound.runtime.durations import parse_duration

LONGEST_NAME = 300


def add(parser: argparse.ArgumentParser) -> None:
    """The options of the command."""
    parser.add_argument(
        "--slow-after",
        type=threshold,
        metavar="SECONDS",
        help="a request that takes longer is reported as slow",
    )
    parser.add_argument(
        "--view", type=view_name, help="name, route or function of the one view that it is for"
    )
    parser.add_argument(
        "--for",
        dest="duration",
        type=duration,
        metavar="DURATION",
        help="how long: 90s, 10m, 1h; a day at most",
    )
    parser.add_argument(
        "--off", action="store_true", help="end what is in force; with --view for this view only"
    )


def threshold(given: str) -> float:
    """Seconds, not negative."""
    number = float(given)
    if not math.isfinite(number) or number < 0:
        raise argparse.ArgumentTypeError(f"{given} is no number of seconds")
    return number


def view_name(given: str) -> str:
    """A name that a view may have."""
    if not 0 < len(given) <= LONGEST_NAME or not given.isprintable():
        raise argparse.ArgumentTypeError("that is no name of a view")
    return given


def duration(given: str) -> float:
    """``90s``, ``10m`` or ``1h`` in seconds."""
    length = parse_duration(given)
    if length is None or not 0 < length <= LONGEST:
        raise argparse.ArgumentTypeError(f"{given!r} is not like 90s, 10m or 1h, a day at most")
    return length


def run(arguments: argparse.Namespace) -> int:
    """Sets, ends or shows; 1 when there is nothing to show."""
    setting = arguments.slow_after is not None
    if setting != (arguments.duration is not None):
        arguments.refuse("--slow-after and --for belong together")
    if setting and arguments.off:
        arguments.refuse("--off ends what --slow-after sets")
    if arguments.view is not None and not setting and not arguments.off:
        arguments.refuse("--view belongs to --slow-after or --off")
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
    if len(kept) >= MOST:
        raise Refusal(f"{MOST} overrides are set, which is the most there can be")
    new = Threshold(arguments.view, arguments.slow_after, now + arguments.duration)
    _store(location, [*kept, new])
    print_out(_line(new, now))
    _who_hears(location)
    return 0


def _file(location: Location) -> str:
    return os.path.join(location.dir, overrides.NAME)


def _store(location: Location, thresholds: list[Threshold]) -> None:
    try:
        store(location.dir, thresholds)
    except OSError as exc:
        raise Refusal(f"{_file(location)} cannot be written: {exc.strerror}") from exc


def _who_hears(location: Location) -> None:
    found = location.workers()
    if not found:
        print_error(f"no worker runs here now ({location.dir})")
    for each in found:
        if each.late:
            print_error(each.silence())


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
