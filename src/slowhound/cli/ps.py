"""Lists every request in flight in every worker on this host.

The oldest first, each with what it does now and its age. The command reads the black boxes in DIR
and needs no answer from the workers, so it also works while they are stuck. A worker that gives no
sign of life has a ! after its pid. Run it as the workers' user, or as root. It also writes the
events of requests whose worker has died, unless another process has. Exit code 1 when nothing is in
flight.
"""

from __future__ import annotations

import argparse
import json
import sys

from slowhound.cli import reap, requests_table
from slowhound.cli.location import Location, find_location
from slowhound.cli.output import print_error, print_out
from slowhound.peers.workers import Worker, in_flight


def add(parser: argparse.ArgumentParser) -> None:
    """The options of the command."""
    parser.add_argument("--json", action="store_true", help="print a list of objects")


def run(arguments: argparse.Namespace) -> int:
    """Prints the requests; 1 when there are none."""
    location = find_location(arguments)
    # First, so that a missing library is reported before anything is printed.
    console = None if arguments.json else requests_table.console()
    found = location.workers()
    requests = in_flight(found)
    if console is None:
        print_out(json.dumps([each._asdict() for each in requests], indent=2))
    elif requests:
        console.print(requests_table.requests_table(requests, console.width))
    sys.stdout.flush()
    _print_remarks(found, len(requests), location)
    reap.reap_once(location)
    return 0 if requests else 1


def _print_remarks(found: list[Worker], requests: int, location: Location) -> None:
    if found and not requests:
        print_error(f"nothing is in flight in {len(found)} worker{'s'[: len(found) != 1]}")
    missing = requests_table.without_slot(found)
    if missing:
        print_error(f"{missing} more are in flight, without a slot in their worker's box")
    location.warn_about(found)
