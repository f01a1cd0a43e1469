"""Shows every request in flight in every worker, live.

The same as ps, refreshed; quit with q or Ctrl-C. The line above the table shows the workers, how
many of them are busy, and how many requests ended per second. It needs a terminal.
"""

from __future__ import annotations

import argparse
import contextlib
import math
import os
import select
import signal
import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from slowhound.cli import requests_table
from slowhound.cli.location import Location, find_location
from slowhound.cli.output import Refusal
from slowhound.cli.reap import FolderReaper
from slowhound.peers.workers import Worker, in_flight
from slowhound.runtime.clocks import clock

if TYPE_CHECKING:
    from rich.console import Console, RenderableType

SHORTEST_INTERVAL, LONGEST_INTERVAL = 0.1, 3600.0
# Lines beside the rows: the header, two of the table, the lines below it.
LINES_AROUND = 5


def add(parser: argparse.ArgumentParser) -> None:
    """The options of the command."""
    parser.add_argument(
        "--interval",
        type=interval,
        default=1.0,
        metavar="SECONDS",
        help="between two refreshes (default: 1)",
    )


def interval(given: str) -> float:
    """Seconds between two refreshes, within limits."""
    number = float(given)
    if math.isnan(number) or not SHORTEST_INTERVAL <= number <= LONGEST_INTERVAL:
        raise argparse.ArgumentTypeError(
            f"must be from {SHORTEST_INTERVAL} to {LONGEST_INTERVAL:.0f}"
        )
    return number


def run(arguments: argparse.Namespace) -> int:
    """Runs until the user quits."""
    if not sys.stdout.isatty():
        raise Refusal("top needs a terminal; 'slowhound ps' prints the same once", 2)
    location = find_location(arguments)
    console = requests_table.console()
    reaper = FolderReaper(location)
    try:
        with _terminal():
            _live(console, location, reaper, arguments.interval)
    except KeyboardInterrupt:
        return 0
    finally:
        reaper.close()
    return 0


def _live(console: Console, location: Location, reaper: FolderReaper, seconds: float) -> None:
    from rich.live import Live

    rate = Rate()
    with Live(console=console, screen=True, auto_refresh=False) as live:
        while True:
            found = location.workers()
            live.update(_screen(found, rate.of(found), *console.size), refresh=True)
            reaper.visit()
            if _quit_within(seconds):
                return


@contextlib.contextmanager
def _terminal() -> Iterator[None]:
    """Reads single keys without echo, and restores the terminal in every case."""
    import termios
    import tty

    def end(number: int, _frame: Any) -> None:
        raise SystemExit(128 + number)

    handlers: dict[int, Any] = {
        signal.SIGTERM: end,
        signal.SIGHUP: end,
        signal.SIGTSTP: signal.SIG_IGN,
    }
    before = {number: signal.signal(number, handler) for number, handler in handlers.items()}
    keys = sys.stdin.fileno() if sys.stdin is not None and sys.stdin.isatty() else None
    settings = termios.tcgetattr(keys) if keys is not None else None
    try:
        if keys is not None:
            tty.setcbreak(keys)
        yield
    finally:
        if keys is not None and settings is not None:
            with contextlib.suppress(termios.error):  # the terminal is gone, as after SIGHUP
                termios.tcsetattr(keys, termios.TCSADRAIN, settings)
        for number, handler in before.items():
            signal.signal(number, handler)


def _quit_within(seconds: float) -> bool:
    """Waits; True when the user quits meanwhile."""
    end = clock.monotonic() + seconds
    keys = [sys.stdin.fileno()] if sys.stdin is not None and sys.stdin.isatty() else []
    while (left := end - clock.monotonic()) > 0:
        if select.select(keys, [], [], left)[0]:
            typed = os.read(keys[0], 1024)
            if not typed or b"q" in typed or b"Q" in typed:
                return True
    return False


class Rate:
    """Requests per second, from the counters of the boxes at two reads."""

    def __init__(self) -> None:
        self._served: dict[tuple[int, int], int] = {}
        self._at: float | None = None

    def of(self, found: list[Worker]) -> float | None:
        """The rate since the last call; None at the first one."""
        now = clock.monotonic()
        served = {(each.state.pid, each.state.started): each.state.served for each in found}
        # A new worker starts with what it has served already.
        ended = sum(max(count - self._served.get(key, count), 0) for key, count in served.items())
        before, self._at, self._served = self._at, now, served
        return None if before is None or now <= before else ended / (now - before)


def header(found: list[Worker], rate: float | None) -> str:
    """The line above the table."""
    busy = sum(each.state.busy for each in found)
    late = [str(each.state.pid) for each in found if each.late]
    parts = [
        f"workers {len(found)}",
        f"busy {busy}",
        f"requests/s {'-' if rate is None else format(rate, '.1f')}",
    ]
    if late:
        parts.append(f"no sign of life (GIL held or stopped): {', '.join(late)}")
    return "   ".join(parts)


def _screen(found: list[Worker], rate: float | None, width: int, height: int) -> RenderableType:
    from rich.console import Group

    requests = in_flight(found)
    rows = max(height - LINES_AROUND, 1)
    hidden = max(len(requests) - rows, 0) + requests_table.without_slot(found)
    parts: list[RenderableType] = [requests_table.line(header(found, rate), "bold")]
    if requests:
        parts.append(requests_table.requests_table(requests[:rows], width))
    else:
        parts.append(
            requests_table.line("nothing is in flight" if found else "no worker runs here")
        )
    if hidden:
        parts.append(requests_table.line(f"{hidden} more"))
    parts.append(requests_table.line("q: quit", "dim"))
    return Group(*parts)
