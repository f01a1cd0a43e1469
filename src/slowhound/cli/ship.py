"""Sends segments to ClickHouse.

At least once, and from where it was after a kill; what is sent twice is one event there. Without
--follow it sends what is there and ends. Run it as the workers' user, beside them.
"""

from __future__ import annotations

import argparse
import random
import signal
import sys
import threading
from collections.abc import Callable

from slowhound.cli.location import Refusal, find_location, print_error, user_name
from slowhound.cli.requests_table import seconds
from slowhound.runtime.clocks import clock
from slowhound.store.answer import StoreError
from slowhound.store.clickhouse_schema import KEEP_DAYS
from slowhound.store.ship import Lag, Shipper

SHIP_EVERY = 2.0  # seconds between two rounds
LONGEST_RETRY_PAUSE = 60.0
MOST_TRIES = 4  # without --follow
PROGRESS_EVERY = 10.0


def add(parser: argparse.ArgumentParser) -> None:
    """The options of the command."""
    parser.add_argument(
        "--to",
        required=True,
        metavar="URL",
        help="clickhouse://user:password@host:8123/database?table=events",
    )
    parser.add_argument(
        "--follow", action="store_true", help="go on with what is written, until it is stopped"
    )
    parser.add_argument(
        "--keep-days",
        type=int,
        default=KEEP_DAYS,
        metavar="DAYS",
        help=f"how long a table that is made here keeps events ({KEEP_DAYS})",
    )


def run(arguments: argparse.Namespace) -> int:
    """Ships; 1 when it could not send everything."""
    if not arguments.to.startswith(("clickhouse://", "clickhouses://", "chdb://")):
        arguments.refuse("--to is like clickhouse://user:password@host:8123/database")
    if arguments.keep_days < 1:
        arguments.refuse("--keep-days is at least 1")
    location = find_location(arguments)
    if not location.mine:
        # Where it has come to is a file in the folder of the workers.
        raise Refusal(f"run this as {user_name(location.owner)}, the user of the workers")
    try:
        shipper = Shipper(location.dir, arguments.to)
    except StoreError as exc:
        raise Refusal(str(exc)) from exc
    stop = threading.Event()
    if arguments.follow:
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, lambda *_: stop.set())
    try:
        return ShipLoop(shipper, arguments.keep_days, stop).run(follow=arguments.follow)
    finally:
        shipper.close()


class ShipLoop:
    """One run of the command: rounds, pauses after failures, and what it says of them."""

    def __init__(self, shipper: Shipper, keep_days: int, stop: threading.Event) -> None:
        self.shipper = shipper
        self.keep_days = keep_days
        self.stop = stop
        self.failures = 0
        self._connected = False
        self._reported = clock.monotonic()
        self._last_lag = Lag(-1, 0.0, 0, 0, 0)

    def run(self, *, follow: bool) -> int:
        """Rounds until everything is sent, or until it is stopped."""
        while not self.stop.is_set():
            try:
                lag = self._round()
            except StoreError as exc:
                self.failures += 1
                if not follow and self.failures >= MOST_TRIES:
                    raise Refusal(str(exc)) from exc
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
        return self.shipper.round(self._report_progress)

    def _report_progress(self, lag: Lag) -> None:
        """Now and then how far it is; in a terminal always, on one line."""
        if sys.stderr.isatty():
            print(f"\r{described(lag)}\x1b[K", end="", file=sys.stderr, flush=True)  # noqa: T201
        elif clock.monotonic() - self._reported > PROGRESS_EVERY and lag != self._last_lag:
            self._reported, self._last_lag = clock.monotonic(), lag
            print_error(described(lag))


def pause(failures: int, chance: Callable[[], float]) -> float:
    """Seconds until the next try: twice as long each time, and not all hosts at once."""
    return min(2.0 ** (failures - 1), LONGEST_RETRY_PAUSE) * (0.5 + chance() / 2)


def described(lag: Lag) -> str:
    """How far it is, in words."""
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
