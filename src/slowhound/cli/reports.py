"""Lists slow requests and deaths in groups.

The requests of a group have the same view and the same functions of your code on the stack. Pass
its id to `slowhound report`. Exit code 1: there are none.
"""

from __future__ import annotations

import argparse
from contextlib import closing
from typing import Any

from slowhound.cli.answer_tables import add_options, print_answer
from slowhound.cli.ask import open_store
from slowhound.store.answer import Answer
from slowhound.store.source import Source

GROUP_COLUMNS = ("kind", "n", "first", "last", "view", "verdict", "loc", "id")


def add(parser: argparse.ArgumentParser) -> None:
    """The options of the command."""
    add_options(parser)


def run(arguments: argparse.Namespace) -> int:
    """Prints the groups, the one with the newest member first."""
    with closing(open_store(arguments)) as source:
        answer = grouped(source, arguments.since, arguments.limit)
    return print_answer(answer, as_json=arguments.json)


def grouped(source: Source, since: float | None, limit: int) -> Answer:
    """The answers to `groups` and `deaths` in one table."""
    slow = source.ask("groups", since=since, limit=limit)
    dead = source.ask("deaths", since=since, limit=limit)
    found = [
        ("slow", *_common(each), each["verdict"], each["loc"], each["fingerprint"])
        for each in slow.objects()
    ]
    found += [
        (each["cause"], *_common(each), None, each["loc"], each["req_id"])
        for each in dead.objects()
    ]
    found.sort(key=lambda row: (-row[3], str(row[-1])))
    return Answer(
        GROUP_COLUMNS, found[:limit], tuple(dict.fromkeys((*slow.remarks, *dead.remarks)))
    )


def _common(each: dict[str, Any]) -> tuple[Any, ...]:
    return each["n"], each["first"], each["last"], each["view"]
