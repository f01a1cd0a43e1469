"""Prints one report in full.

ID is the name of a report's file or the start of it, the id of a request, or the fingerprint of a
group (its newest report). For a request without a report, such as one that died with its worker,
the events are printed. Exit code 1: there are none.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Iterator

from slowhound.cli.location import Location, find_location
from slowhound.cli.output import Refusal, print_error, print_out
from slowhound.delivery.report_files import REPORT_NAMES
from slowhound.event.formats import one_line
from slowhound.store.tail import Event, last_events
from slowhound.system.files import ANY_USER, open_own

MOST_PRINTED_BYTES = 64 * 1024**2  # bytes of a file that are printed
ID_BYTES = 1024**2  # bytes in which the ids of a report are searched
MOST_EVENTS = 50


def add(parser: argparse.ArgumentParser) -> None:
    """The options of the command."""
    parser.add_argument("id", metavar="ID", help="file name, its start, req_id or fingerprint")


def run(arguments: argparse.Namespace) -> int:
    """Prints the report, or the events of the request."""
    location = find_location(arguments)
    folder = os.path.join(location.dir, "reports")
    name = find_report(folder, arguments.id)
    if name is not None:
        return _print(os.path.join(folder, name))
    return _print_events(location, arguments.id)


def find_report(folder: str, wanted: str) -> str | None:
    """The file name of the report; None where there is none.

    Raises:
        Refusal: several names start with it.
    """
    names = sorted(_names(folder), reverse=True)
    matching = [name for name in names if name.startswith(wanted)] if wanted else []
    if len(matching) > 1 and wanted not in matching:
        raise Refusal(f"{len(matching)} reports start with {wanted}, for example {matching[0]}")
    if matching:
        return wanted if wanted in matching else matching[0]
    for name in names:
        if wanted in _ids(os.path.join(folder, name)):
            return name
    return None


def _names(folder: str) -> list[str]:
    try:
        return [name for name in os.listdir(folder) if REPORT_NAMES.fullmatch(name)]
    except OSError:
        return []  # no request has been slow yet


def _ids(path: str) -> Iterator[str]:
    """The request's id and the fingerprint, from the report's section `So far`."""
    try:
        head = _read(path, ID_BYTES)
    except OSError:
        return  # skipped
    text = head.partition("\nSo far:\n")[2].partition("\n\n")[0]
    for line in text.split("\n"):
        name, _, value = line.strip().partition(" ")
        if name in ("req_id", "slow_fingerprint"):
            yield value.strip()


def _read(path: str, most: int) -> str:
    """The text of a file; raises OSError."""
    with open(open_own(path, owner=ANY_USER), "rb") as file:
        return file.read(most).decode("utf-8", "backslashreplace")


def _print(path: str) -> int:
    try:
        text = _read(path, MOST_PRINTED_BYTES)
    except OSError as exc:
        print_error(f"{path} cannot be read: {exc.strerror or exc}")
        return 1
    for line in text.rstrip("\n").split("\n"):
        print_out(one_line(line))
    print_error(path)
    return 0


def _print_events(location: Location, wanted: str) -> int:
    def of_request(event: Event) -> bool:
        return event.get("req_id") == wanted

    found, left_out = last_events(os.path.join(location.dir, "events"), MOST_EVENTS, of_request)
    for each in left_out:
        print_error(f"left out: {each}")
    if not found:
        print_error(f"no report or request {wanted}; `slowhound reports` lists them")
        return 1
    print_error(f"{wanted} has no report; these are its events")
    for number, event in enumerate(found):
        if number:
            print_out("")
        for name, value in event.items():
            print_out(f"{one_line(name):<18} {one_line(value)}")
    return 0
