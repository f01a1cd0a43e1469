"""Prints answers of the store as tables and JSON. No value is markup or moves a cursor."""

from __future__ import annotations

import argparse
import json
from datetime import datetime
from typing import TYPE_CHECKING, Any

from slowhound.cli.output import print_error, print_out
from slowhound.cli.requests_table import WIDE, cell, console
from slowhound.cli.time_args import parse_time
from slowhound.event.formats import one_line
from slowhound.store.answer import Answer

if TYPE_CHECKING:
    from rich.table import Table

# Columns of times, in seconds since 1970.
TIME_COLUMNS = {"first", "last", "ts"}
EARLIEST_TIME = 10**9  # in a column that may hold times, numbers from here on (2001) are times


def add_options(parser: argparse.ArgumentParser) -> None:
    """The options of all commands that query the store."""
    parser.add_argument(
        "--since", type=parse_time, metavar="WHEN", help="15m, 2h, 7d ago, or 2026-11-21T18:00"
    )
    parser.add_argument(
        "--limit", type=row_limit, default=50, metavar="N", help="rows at most (50)"
    )
    parser.add_argument("--json", action="store_true", help="a list of objects, for programs")
    parser.add_argument(
        "--from",
        dest="source",
        metavar="URL",
        help="clickhouse://user:password@host:8123/database instead of DIR",
    )


def row_limit(given: str) -> int:
    """The value of ``--limit``."""
    number = int(given)
    if not 0 < number <= 1_000_000:
        raise argparse.ArgumentTypeError("--limit is between 1 and 1000000")
    return number


def print_answer(answer: Answer, *, as_json: bool) -> int:
    """Prints a table, or a list of objects; 1 when there are no rows."""
    for remark in answer.remarks:
        print_error(remark)
    if as_json:
        print_out(json.dumps(answer.objects(), default=str))
    elif answer.rows:
        target = console()
        target.print(_table(answer, target.width))
    else:
        print_error("nothing was found")
    return 0 if answer.rows else 1


def _table(answer: Answer, width: int) -> Table:
    from rich import box
    from rich.table import Table

    cropped = width < WIDE
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False)
    for number, name in enumerate(answer.columns):
        texts = any(isinstance(row[number], str) for row in answer.rows)
        times = _are_times(name, [row[number] for row in answer.rows])
        table.add_column(
            one_line(name),
            justify="left" if texts or times else "right",
            no_wrap=True,
            overflow="ellipsis",
            # Texts are cropped, numbers never.
            min_width=None if texts or not cropped else len(name),
        )
    for row in answer.rows:
        table.add_row(
            *[
                cell(shown(name, value, [each[number] for each in answer.rows]))
                for number, (name, value) in enumerate(zip(answer.columns, row, strict=True))
            ]
        )
    return table


def _are_times(name: str, values: list[Any]) -> bool:
    known = [value for value in values if value is not None]
    return (name in TIME_COLUMNS or name == "time") and all(
        isinstance(value, float) and value > EARLIEST_TIME for value in known
    )


def shown(name: str, value: Any, column: list[Any]) -> Any:
    """One value for people: times in local time, floats with their significant digits."""
    if isinstance(value, float):
        if _are_times(name, column):
            return f"{datetime.fromtimestamp(value).astimezone():%Y-%m-%d %H:%M:%S}"
        return f"{value:.3f}" if abs(value) >= 0.001 or value == 0 else f"{value:.2g}"
    return value
