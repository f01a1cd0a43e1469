"""The command line: one file per command, each with ``add(parser)`` and ``run(arguments) -> int``.

Exit codes: 0 fine, 1 nothing found or a problem found, 2 wrong use (argparse's own).
"""

from __future__ import annotations

import argparse
import io
import os
import sys
from collections.abc import Sequence
from types import ModuleType

from slowhound.cli import (
    ask,
    doctor,
    dump,
    flame,
    neighbour,
    ps,
    report,
    reports,
    ship,
    tail,
    token,
    top,
    view,
    watch,
)
from slowhound.cli.place import Refusal, say

COMMANDS: dict[str, ModuleType] = {
    "ps": ps,
    "top": top,
    "dump": dump,
    "watch": watch,
    "tail": tail,
    "ask": ask,
    "reports": reports,
    "report": report,
    "ship": ship,
    "neighbour": neighbour,
    "flame": flame,
    "token": token,
    "view": view,
    "doctor": doctor,
}


def build_parser() -> argparse.ArgumentParser:
    """The parser of all commands."""
    parser = argparse.ArgumentParser(
        prog="slowhound", description="The flight recorder for Django."
    )
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for name, module in COMMANDS.items():
        summary = (module.__doc__ or "").split("\n", 1)[0]
        command = commands.add_parser(name, help=summary, description=module.__doc__)
        command.add_argument("--dir", help="DIR of the installation (default: from the settings)")
        module.add(command)
        command.set_defaults(run=module.run, refuse=command.error)
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Runs one command; returns its exit code."""
    arguments = build_parser().parse_args(argv)
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")  # a terminal that knows no UTF-8
    try:
        code: int = arguments.run(arguments)
        sys.stdout.flush()
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:
        # The reader (head, less) has gone; Python would complain once more at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except Refusal as refusal:
        say(str(refusal))
        return refusal.code
    return code
