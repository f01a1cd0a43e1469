"""Answers questions about the recorded events, or runs SQL over them.

Without a question it lists them. `ask sql "SELECT ..."` runs one SELECT over the table `events`; it
can read nothing else, write nothing, and run for 10 seconds at most. Exit code 1: nothing found.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from contextlib import closing
from typing import TYPE_CHECKING, Any

from slowhound.cli.answer_tables import add_options, print_answer
from slowhound.cli.location import find_location
from slowhound.cli.output import Refusal, print_error, print_out
from slowhound.cli.requests_table import console
from slowhound.cli.time_args import parse_time
from slowhound.store.answer import Answer, StoreError
from slowhound.store.open import CLICKHOUSE_SCHEMES, open_source
from slowhound.store.questions import QUESTIONS
from slowhound.store.source import Source

if TYPE_CHECKING:
    from slowhound.store.compaction import Progress as ReportProgress


def add(parser: argparse.ArgumentParser) -> None:
    """The options of the command."""
    parser.add_argument(
        "question",
        nargs="?",
        metavar="QUESTION",
        help="name of a question, or sql; default: lists them",
    )
    parser.add_argument(
        "given",
        nargs="*",
        metavar="NAME=VALUE",
        help="parameters of the question; after sql the statement",
    )
    add_options(parser)
    parser.add_argument("--until", type=parse_time, metavar="WHEN", help="events before then")


def run(arguments: argparse.Namespace) -> int:
    """Prints the answer."""
    if arguments.question is None:
        return _list(arguments)
    if arguments.question != "sql" and arguments.question not in QUESTIONS:
        known = ", ".join(QUESTIONS)
        arguments.refuse(f"no question {arguments.question!r}; there are: {known}, and sql")
    with closing(open_store(arguments)) as source:
        return print_answer(_answer(arguments, source), as_json=arguments.json)


def open_store(arguments: argparse.Namespace) -> Source:
    """The source that the arguments name, after its closed segments are compacted.

    Raises:
        Refusal: it does not exist.
        StoreError: it cannot be opened.
    """
    if arguments.source is not None:
        if not arguments.source.startswith(CLICKHOUSE_SCHEMES):
            arguments.refuse("--from takes clickhouse://user:password@host:8123/database")
        return open_source(arguments.source)
    location = find_location(arguments)
    source = open_source(location.dir)
    if location.mine and os.path.isdir(os.path.join(location.dir, "events")):
        _compact(source)
    return source


def _compact(source: Any) -> None:
    try:
        target = console(sys.stderr) if sys.stderr.isatty() else None
    except Refusal:
        target = None  # Rich, which draws the bar, is not installed
    if target is None:
        compacted(source, None)
        return
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn

    bar = Progress(
        TextColumn("compacting"),
        BarColumn(),
        DownloadColumn(),
        console=target,
        transient=True,
    )
    with bar:
        task = bar.add_task("", total=None)
        compacted(source, lambda done, total: bar.update(task, completed=done, total=total))


def compacted(source: Any, progress: ReportProgress | None) -> None:
    """Compacts. A failure is only printed: the segments can be read as they are."""
    try:
        source.compact(progress)
    except StoreError as exc:
        print_error(str(exc))


def _answer(arguments: argparse.Namespace, source: Source) -> Answer:
    if arguments.question == "sql":
        if len(arguments.given) != 1 or arguments.since or arguments.until:
            arguments.refuse('sql takes one statement: slowhound ask sql "SELECT ..."')
        return source.adhoc(arguments.given[0], rows=arguments.limit)
    return source.ask(
        arguments.question,
        since=arguments.since,
        until=arguments.until,
        limit=arguments.limit,
        **_parameters(arguments),
    )


def _parameters(arguments: argparse.Namespace) -> dict[str, str]:
    """``name=value``; the value alone where the question has one parameter."""
    known = QUESTIONS[arguments.question].parameters
    if len(arguments.given) == len(known) == 1 and "=" not in arguments.given[0]:
        return {next(iter(known)): arguments.given[0]}
    found = {}
    for each in arguments.given:
        name, equals, value = each.partition("=")
        if not equals or name not in known:
            takes = ", ".join(known) or "nothing"
            arguments.refuse(f"{arguments.question} takes {takes}, not {each!r}")
        found[name] = value
    missing = [name for name, each in known.items() if each.default is None and name not in found]
    if missing:
        arguments.refuse(f"{arguments.question} needs {missing[0]}=...")
    return found


def _list(arguments: argparse.Namespace) -> int:
    if arguments.json:
        listed = [
            {
                "name": each.name,
                "title": each.title,
                "text": each.text,
                "columns": each.columns,
                "parameters": {
                    name: {"default": parameter.default, "meaning": parameter.meaning}
                    for name, parameter in each.parameters.items()
                },
            }
            for each in QUESTIONS.values()
        ]
        print_out(json.dumps(listed))
        return 0
    width = max(map(len, QUESTIONS))
    for each in QUESTIONS.values():
        takes = "".join(f" [{name}=...]" for name in each.parameters)
        print_out(f"{each.name:<{width}}  {each.title}{takes}")
    print_out(f"{'sql':<{width}}  one SELECT of your own over the table events")
    return 0
