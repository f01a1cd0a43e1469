"""Lists every request in flight in every worker on this host.

The oldest first: who it is, what it does now, and for how long. It reads the black boxes in DIR and
needs nothing of the workers, so it also works while they are stuck. A worker that gives no sign of
life has a ! after its pid. Run it as the user of the workers, or as root. It writes the events of
requests whose worker has died and that nobody else has written. Exit code 1 when nothing is in
flight.
"""

from __future__ import annotations

import argparse
import json
import sys

from slowhound.cli import reap, requests_table
from slowhound.cli.location import find_location, print_error, print_out
from slowhound.peers.workers import Worker, in_flight


def add(parser: argparse.ArgumentParser) -> None:
    """The options of the command."""
    parser.add_argument("--json", action="store_true", help="print a list of objects")


def run(arguments: argparse.Namespace) -> int:
    """Prints the requests; 1 when there are none."""
    location = find_location(arguments)
    # Before anything is read, so that a missing library is no half of a table.
    console = None if arguments.json else requests_table.console()
    found = location.workers()
    requests = in_flight(found)
    if console is None:
        print_out(json.dumps([each._asdict() for each in requests], indent=2))
    elif requests:
        console.print(requests_table.requests_table(requests, console.width))
    sys.stdout.flush()
    _remarks(found, len(requests), location.dir)
    reap.reap_once(location)
    return 0 if requests else 1


def _remarks(found: list[Worker], requests: int, directory: str) -> None:
    if not found:
        print_error(f"no worker runs here ({directory})")
    elif not requests:
        print_error(f"nothing is in flight in {len(found)} worker{'s'[: len(found) != 1]}")
    missing = requests_table.without_slot(found)
    if missing:
        print_error(f"{missing} more are in flight, without a slot in their worker's box")
    for each in found:
        if each.late:
            print_error(each.silence())
