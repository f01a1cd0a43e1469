"""Sends segments to ClickHouse.

Each event is sent at least once, also when the command is killed and started again; one that is
sent twice is stored once. Without --follow it sends what has been written and ends. Run it on the
workers' host, as their user.
"""

from __future__ import annotations

import argparse
import random
import sys
import threading
from collections.abc import Callable
from contextlib import closing

from slowhound.cli.location import find_location
from slowhound.cli.output import print_error
from slowhound.cli.requests_table import seconds
from slowhound.cli.signals import stop_event
from slowhound.runtime.clocks import clock
from slowhound.store.answer import StoreError
from slowhound.store.clickhouse_schema import KEEP_DAYS
from slowhound.store.open import CLICKHOUSE_SCHEMES
from slowhound.store.ship import Lag, Shipper

SHIP_EVERY = 2.0  # seconds
LONGEST_RETRY_PAUSE = 60.0
MOST_TRIES = 4  # without --follow
PROGRESS_EVERY = 10.0  # seconds, where standard error is no terminal


def add(parser: argparse.ArgumentParser) -> None:
    """The options of the command."""
    parser.add_argument(
        "--to",
        required=True,
        metavar="URL",
        help="clickhouse://user:password@host:8123/database?table=events",
    )
    parser.add_argument(
        "--follow", action="store_true", help="go on with new events until it is stopped"
    )
    parser.add_argument(
        "--keep-days",
        type=int,
        default=KEEP_DAYS,
        metavar="DAYS",
        help=f"how long a table that this command creates keeps events ({KEEP_DAYS})",
    )


def run(arguments: argparse.Namespace) -> int:
    """Ships; 1 when it could not send everything."""
    if not arguments.to.startswith(CLICKHOUSE_SCHEMES):
        arguments.refuse("--to takes clickhouse://user:password@host:8123/database")
    if arguments.keep_days < 1:
        arguments.refuse("--keep-days must be at least 1")
    location = find_location(arguments)
    location.require_mine()  # its progress is a file in DIR
    with closing(Shipper(location.dir, arguments.to)) as shipper:
        stop = stop_event() if arguments.follow else threading.Event()
        return ShipLoop(shipper, arguments.keep_days, stop).run(follow=arguments.follow)


class ShipLoop:
    """Sends again and again, pauses after failures, and prints its progress."""

    def __init__(self, shipper: Shipper, keep_days: int, stop: threading.Event) -> None:
        self.shipper = shipper
        self.keep_days = keep_days
        self.stop = stop
        self.failures = 0
        self._connected = False
        self._reported = clock.monotonic()
        self._last_lag = Lag(-1, 0.0, 0, 0, 0)

    def run(self, *, follow: bool) -> int:
        """Sends until everything is sent, or until it is stopped."""
        while not self.stop.is_set():
            try:
                lag = self._round()
            except StoreError as exc:
                self.failures += 1
                if not follow and self.failures >= MOST_TRIES:
                    raise
                wait = pause(self.failures, random.random)
                print_error(f"{exc}; again in {wait:.0f} s. {self._left()}")
                self.stop.wait(wait)
                continue
            self.failures = 0
            if not follow:
                print_error(described(lag))
                return 1 if lag.lost or lag.left_out else 0
            self._report_progress(lag)
            self.stop.wait(SHIP_EVERY)
        print_error(self._left())
        return 0

    def _left(self) -> str:
        try:
            return described(self.shipper.lag())
        except StoreError as exc:
            return str(exc)

    def _round(self) -> Lag:
        if not self._connected:
            added = self.shipper.connect(self.keep_days)
            self._connected = True
            if added:
                print_error(f"added to the table: {', '.join(added)}")
        return self.shipper.ship_all(self._report_progress)

    def _report_progress(self, lag: Lag) -> None:
        """Prints the progress: in a terminal each time, on one line; else now and then."""
        if sys.stderr.isatty():
            print(f"\r{described(lag)}\x1b[K", end="", file=sys.stderr, flush=True)  # noqa: T201
        elif clock.monotonic() - self._reported > PROGRESS_EVERY and lag != self._last_lag:
            self._reported, self._last_lag = clock.monotonic(), lag
            print_error(described(lag))


def pause(failures: int, chance: Callable[[], float]) -> float:
    """Seconds until the next try: twice as long each time, at random so that hosts spread out."""
    return min(2.0 ** min(failures - 1, 16), LONGEST_RETRY_PAUSE) * (0.5 + chance() / 2)


def described(lag: Lag) -> str:
    """The progress in words."""
    behind = f"{lag.bytes} bytes ({seconds(lag.seconds)}) behind"
    if not lag.bytes:
        behind = "all else is sent" if lag.left_out else "all is sent"
    parts = [f"sent {lag.sent} events", behind]
    if lag.torn:
        parts.append(f"{lag.torn} torn lines left out")
    if lag.lost:
        parts.append(f"{lag.lost} files were removed or emptied before they were sent")
    parts += [f"left out: {each}" for each in lag.left_out]
    return ", ".join(parts)
