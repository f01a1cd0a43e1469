"""Checks an installation and says what will and will not work here.

Reads the settings when DJANGO_SETTINGS_MODULE is set, and looks at this kernel, container, Python
and server. Exit code 1 when something has to be put right.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections import Counter

from slowhound.cli.diagnostics import host as diagnostics
from slowhound.cli.diagnostics.host import Diagnostic
from slowhound.runtime.app_files import current_folder

MARKS = {"ok": "ok     ", "note": "note   ", "problem": "PROBLEM"}


def add(parser: argparse.ArgumentParser) -> None:
    """The options of the command."""
    parser.add_argument("--json", action="store_true", help="print a list of objects")


def run(arguments: argparse.Namespace) -> int:
    """Prints every finding; 1 when one of them is a problem."""
    # Like manage.py: the project in the current folder can be imported.
    sys.path.insert(0, current_folder())
    found = diagnostics.all_of(arguments.dir)
    if arguments.json:
        print(json.dumps([each._asdict() for each in found], indent=2))  # noqa: T201
    else:
        for each in found:
            print(f"{MARKS[each.state]}  {each.subject}: {each.text}")  # noqa: T201
            if each.advice:
                print(f"         {each.advice}")  # noqa: T201
        print(_summary(found))  # noqa: T201
    return 1 if any(each.state == "problem" for each in found) else 0


def _summary(found: list[Diagnostic]) -> str:
    count = Counter(each.state for each in found)
    return f"{count['problem']} problems, {count['note']} notes, {count['ok']} fine"
