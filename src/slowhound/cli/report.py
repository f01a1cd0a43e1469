"""Prints one report in full.

ID is the name of a report's file or its beginning, the id of a request, or the fingerprint of a
group (its newest report). A request without a report, one that died for example, is shown by its
events. Exit code 1: there is none.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Iterator

from slowhound.cli.location import Location, Refusal, find_location, print_error, print_out
from slowhound.delivery.report_files import OURS
from slowhound.event.formats import one_line
from slowhound.store.answer import StoreError
from slowhound.store.tail import Event, last_events
from slowhound.system.files import open_own

LARGEST_REPORT = 64 * 1024**2  # of a file that is printed
HEAD_BYTES = 1024**2  # in it is the part that says whose report it is
MOST_EVENTS = 50


def add(parser: argparse.ArgumentParser) -> None:
    """The options of the command."""
    parser.add_argument("id", metavar="ID", help="file name, its beginning, req_id or fingerprint")


def run(arguments: argparse.Namespace) -> int:
    """Prints the report, or the events of the request."""
    location = find_location(arguments)
    folder = os.path.join(location.dir, "reports")
    name = find_report(folder, arguments.id)
    if name is not None:
        return _print(os.path.join(folder, name))
    return _print_events(location, arguments.id)


def find_report(folder: str, wanted: str) -> str | None:
    """The file name of the report that is meant.

    Raises:
        Refusal: several names begin like that.
    """
    names = sorted(_names(folder), reverse=True)
    matching = [name for name in names if name.startswith(wanted)] if wanted else []
    if len(matching) > 1 and wanted not in matching:
        raise Refusal(f"{len(matching)} reports begin with {wanted}, for example {matching[0]}")
    if matching:
        return wanted if wanted in matching else matching[0]
    for name in names:
        if wanted in _ids(os.path.join(folder, name)):
            return name
    return None


def _names(folder: str) -> list[str]:
    try:
        return [name for name in os.listdir(folder) if OURS.fullmatch(name)]
    except OSError:
        return []  # nothing was slow yet


def _ids(path: str) -> Iterator[str]:
    """The request's id and the fingerprint, as the report has them under `So far`."""
    try:
        head = _read(path, HEAD_BYTES)
    except OSError:
        return  # it is left out
    text = head.partition("\nSo far:\n")[2].partition("\n\n")[0]
    for line in text.split("\n"):
        name, _, value = line.strip().partition(" ")
        if name in ("req_id", "slow_fingerprint"):
            yield value.strip()


def _read(path: str, most: int) -> str:
    """Its text; raises OSError."""
    with open(open_own(path), "rb") as file:
        return file.read(most).decode("utf-8", "backslashreplace")


def _print(path: str) -> int:
    try:
        text = _read(path, LARGEST_REPORT)
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

    try:
        found, left_out = last_events(os.path.join(location.dir, "events"), MOST_EVENTS, of_request)
    except StoreError as exc:
        raise Refusal(str(exc)) from exc
    for each in left_out:
        print_error(f"left out: {each}")
    if not found:
        print_error(f"no report and no request {wanted}; slowhound reports lists them")
        return 1
    print_error(f"there is no report of {wanted}; these are its events")
    for number, event in enumerate(found):
        if number:
            print_out("")
        for name, value in event.items():
            print_out(f"{one_line(name):<18} {one_line(value)}")
    return 0
