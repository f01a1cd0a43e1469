"""Formats requests in flight as a table. No text of a request is markup or moves a cursor."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Literal, TextIO

from slowhound.cli.output import Refusal
from slowhound.event.formats import one_line
from slowhound.peers.workers import InFlight, Worker

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

# The width where there is no terminal: a pipe to grep or less gets whole rows.
WIDE = 2000
# Characters of a text in one cell, however wide the table is.
LONGEST_CELL = 300
# Each column, and its share of the remaining width; None: as wide as its longest value.
COLUMN_SHARES = {
    "PID": None,
    "THREAD": None,
    "AGE": None,
    "REQUEST": 4,
    "VIEW": 2,
    "QUERIES": None,
    "DOING NOW": 6,
    "SERVER": 2,
}
ROOMY, NARROW = 120, 60
ROOMY_ONLY = ("THREAD", "VIEW", "SERVER")


def console(file: TextIO | None = None) -> Console:
    """Rich's console.

    Raises:
        Refusal: Rich is not installed.
    """
    try:
        from rich.console import Console
    except ImportError as exc:
        raise Refusal("this needs Rich: pip install 'slowhound[cli]' (or use --json)") from exc
    target = file or sys.stdout
    width = None if target.isatty() else WIDE
    return Console(file=target, width=width, highlight=False, markup=False, emoji=False)


def cell(value: Any, style: str = "") -> Text:
    """One value, cleaned, as text without markup."""
    from rich.text import Text

    return Text("-" if value is None else one_line(value)[:LONGEST_CELL], style=style)


def line(value: str, style: str = "") -> Text:
    """One line, cropped at the edge."""
    from rich.text import Text

    return Text(one_line(value), style=style, no_wrap=True, overflow="ellipsis")


def seconds(value: float | None) -> str | None:
    """``2.3 s``, ``4:05``, ``1:02:03``."""
    if value is None:
        return None
    if value < 60:
        return f"{value:.1f} s"
    minutes, rest = divmod(int(value), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


def requests_table(requests: Sequence[InFlight], width: int) -> Table:
    """One row for each request, cropped to ``width``; a narrow one has fewer columns."""
    from rich import box
    from rich.table import Table

    cropped = width < WIDE
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False, expand=cropped)
    shown = [each for each in COLUMN_SHARES if width >= ROOMY or each not in ROOMY_ONLY]
    for name in shown:
        share = COLUMN_SHARES[name]
        side: Literal["left", "right"] = "left" if share else "right"
        table.add_column(
            name,
            justify=side,
            no_wrap=True,
            overflow="ellipsis",
            ratio=share if cropped else None,
            min_width=7 if share is None and width >= NARROW else None,
        )
    for each in requests:
        values = _row(each)
        table.add_row(*[values[name] for name in shown])
    return table


def _row(each: InFlight) -> dict[str, Text]:
    return {
        "PID": cell(f"{each.pid}{'!' * each.late}", "bold red" if each.late else ""),
        "THREAD": cell(each.thread),
        "AGE": cell(seconds(each.age), "bold"),
        "REQUEST": cell(f"{each.method or '-'} {each.path or '-'}"),
        "VIEW": cell(each.view),
        "QUERIES": cell(each.queries),
        "DOING NOW": cell(doing(each)),
        "SERVER": cell(each.server),
    }


def doing(each: InFlight) -> str | None:
    """The query that runs, else the line of code at the last sample."""
    if each.sql is not None:
        return f"SQL for {seconds(each.sql_time) or '?'}: {each.sql}"
    if each.doing is None:
        return None
    return f"{each.doing} ({seconds(each.doing_age) or '?'} ago)"


def without_slot(workers: Sequence[Worker]) -> int:
    """How many requests in flight have no slot in their worker's box."""
    return sum(
        max(each.state.in_flight - len(each.state.pending), 0)
        for each in workers
        if each.state.overflow
    )
