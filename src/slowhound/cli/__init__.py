"""Runs the commands: one file per command, each with ``add(parser)`` and ``run(arguments) -> int``.

Exit codes: 0 success, 1 nothing found or a problem found, 2 wrong use (argparse's own).
"""

from __future__ import annotations

import argparse
import io
import os
import sys
from collections.abc import Sequence
from importlib import import_module
from types import ModuleType

from slowhound.cli.output import Refusal, print_error
from slowhound.store.answer import StoreError

COMMANDS = (
    "ps",
    "top",
    "dump",
    "watch",
    "tail",
    "ask",
    "reports",
    "report",
    "ship",
    "sidecar",
    "flame",
    "token",
    "view",
    "doctor",
)

# Former names of commands, which keep working.
ALIASES = {"neighbour": "sidecar"}


def module_of(command: str) -> ModuleType:
    """The module of one command. Only that one is imported: all of them take 0.4 s of CPU."""
    return import_module(f"slowhound.cli.{command}")


def aliases_of(command: str) -> list[str]:
    """The former names of one command."""
    return [alias for alias, name in ALIASES.items() if name == command]


def build_parser(wanted: str | None = None) -> argparse.ArgumentParser:
    """The parser of all commands, or of the one that is wanted."""
    parser = argparse.ArgumentParser(
        prog="slowhound", description="The flight recorder for Django."
    )
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    wanted = ALIASES.get(wanted or "", wanted)
    for name in (wanted,) if wanted in COMMANDS else COMMANDS:
        module = module_of(name)
        summary = (module.__doc__ or "").split("\n", 1)[0]
        command = commands.add_parser(
            name, aliases=aliases_of(name), help=summary, description=module.__doc__
        )
        command.add_argument("--dir", help="DIR of the installation (default: from the settings)")
        module.add(command)
        command.set_defaults(run=module.run, refuse=command.error)
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Runs one command; returns its exit code."""
    words = sys.argv[1:] if argv is None else argv
    arguments = build_parser(words[0] if words else None).parse_args(words)
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")  # a terminal without UTF-8
    try:
        code: int = arguments.run(arguments)
        sys.stdout.flush()
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:
        # The reader (head, less) has ended; Python would print another error at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except Refusal as refusal:
        print_error(str(refusal))
        return refusal.code
    except StoreError as exc:
        print_error(str(exc))
        return 1
    return code
