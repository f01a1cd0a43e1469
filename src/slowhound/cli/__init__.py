"""The command line: one file per command, each with ``add(parser)`` and ``run(arguments) -> int``.

Exit codes: 0 fine, 1 nothing found or a problem found, 2 wrong use (argparse's own).
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from types import ModuleType

from slowhound.cli import doctor

COMMANDS: dict[str, ModuleType] = {"doctor": doctor}


def main(argv: Sequence[str] | None = None) -> int:
    """Runs one command; returns its exit code."""
    parser = argparse.ArgumentParser(
        prog="slowhound", description="The flight recorder for Django."
    )
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for name, module in COMMANDS.items():
        summary = (module.__doc__ or "").split("\n", 1)[0]
        command = commands.add_parser(name, help=summary, description=module.__doc__)
        command.add_argument("--dir", help="DIR of the installation (default: from the settings)")
        module.add(command)
        command.set_defaults(run=module.run)
    arguments = parser.parse_args(argv)
    try:
        code: int = arguments.run(arguments)
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:
        # The reader (head, less) has gone; Python would complain once more at exit.
        sys.stderr.close()
        return 1
    return code
