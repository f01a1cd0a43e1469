"""Prints the last events, and with -f new ones as they come.

FILTER is one or more conditions that must all hold: view=shop status>=500 time>1 path~cart. Exit
code 1: no event matches.
"""

from __future__ import annotations

import argparse
import json
import os
import time
from collections.abc import Iterable
from datetime import datetime
from typing import TYPE_CHECKING, Any

from slowhound.cli.filters import condition
from slowhound.cli.location import find_location
from slowhound.cli.output import print_error, print_out
from slowhound.cli.requests_table import console
from slowhound.event.formats import json_line, one_line
from slowhound.store.tail import Event, Follower, last_events

if TYPE_CHECKING:
    from rich.console import Console

READ_EVERY = 0.25  # seconds between two reads
STYLES = {"request": "", "task": "", "slow": "yellow", "stall": "yellow"}
LONGEST_WORD = 300
# The fields of an event that are printed after its time, kind, path and view, with their labels.
SHOWN_FIELDS = (
    ("", "resp_status"),
    ("", "resp_outcome"),
    ("took", "resp_time"),
    ("queries", "db_queries"),
    ("db", "db_time"),
    ("n+1 at", "db_n1"),
    ("error", "exc_type"),
    ("at", "exc_cause_loc"),
    ("verdict", "slow_verdict"),
    ("at", "slow_loc"),
    ("cause", "crash_cause"),
    ("signal", "crash_signal"),
    ("at", "timeout_cause_loc"),
    ("at", "crash_cause_loc"),
    ("stall", "stall_kind"),
    ("by", "stall_by"),
    ("report", "report"),
)


def add(parser: argparse.ArgumentParser) -> None:
    """The options of the command."""
    parser.add_argument(
        "filter",
        nargs="*",
        type=condition,
        metavar="FILTER",
        help="view=shop, status>=500, time>1, path~cart, or any field; all must hold",
    )
    parser.add_argument("-f", "--follow", action="store_true", help="go on with new ones")
    parser.add_argument(
        "-n", "--lines", type=int, default=20, metavar="N", help="how many to start with (20)"
    )
    parser.add_argument("--json", action="store_true", help="each event as one line of JSON")


def run(arguments: argparse.Namespace) -> int:
    """Prints; ends with Ctrl-C when it follows."""
    if arguments.lines < 0:
        arguments.refuse("--lines must not be negative")
    location = find_location(arguments)
    folder = os.path.join(location.dir, "events")
    out = None if arguments.json else console()
    return _tail(arguments, folder, out)


def _tail(arguments: argparse.Namespace, folder: str, out: Console | None) -> int:
    # Before the last events are read, so that none is missed between the two.
    follower = Follower(folder)

    def wanted(event: Event) -> bool:
        return all(holds(event) for holds in arguments.filter)

    found, left_out = last_events(folder, arguments.lines, wanted) if arguments.lines else ([], ())
    _print(found, out)
    for each in left_out:
        print_error(f"left out: {each}")
    if not arguments.follow:
        if not found:
            print_error("no event matches" if arguments.filter else "no events yet")
        return 0 if found else 1
    while True:
        time.sleep(READ_EVERY)
        _print(filter(wanted, follower.read()), out)


def _print(events: Iterable[Event], out: Console | None) -> None:
    for event in events:
        if out is None:
            print_out(json_line(event).decode().rstrip("\n"))
        else:
            from rich.text import Text

            out.print(Text(line(event), style=style(event)), soft_wrap=True)
    if out is None:
        import sys

        sys.stdout.flush()


def style(event: Event) -> str:
    """Red for what failed, yellow for what was slow."""
    if event.get("resp_outcome") in ("error", "timeout", "killed"):
        return "red"
    if event.get("slow_verdict") is not None:
        return "yellow"
    return STYLES.get(str(event.get("event_type")), "red")


def line(event: Event) -> str:
    """An event on one line, shortened to its most useful fields."""
    words = [
        f"{datetime.fromtimestamp(event['ts']).astimezone():%H:%M:%S}",
        f"{event.get('event_type')!s:<8}",
        *[str(event[name]) for name in ("req_method", "req_path", "task_name") if event.get(name)],
        f"[{event['resp_view']}]" if event.get("resp_view") else "",
    ]
    words += [
        f"{label} {_value(name, event[name])}".strip()
        for label, name in SHOWN_FIELDS
        if event.get(name) is not None
    ]
    own = [f"{name}={_value('', event[name])}" for name in event if name.startswith("app_")]
    return "  ".join(one_line(word)[:LONGEST_WORD] for word in (*words, *own) if word)


def _value(name: str, value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.3f} s" if name.endswith("_time") else f"{value:g}"
    return value if isinstance(value, str) else json.dumps(value)
