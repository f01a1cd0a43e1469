"""Checks an installation and says what will and will not work here.

Reads the settings when DJANGO_SETTINGS_MODULE is set, and checks this kernel, container, Python and
server. Exit code 1 when there is a problem to fix.
"""

from __future__ import annotations

import argparse
import json
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from functools import partial

from slowhound.cli.diagnostics import Diagnostic, directory, host, installation
from slowhound.cli.location import import_project
from slowhound.redaction.masking import message

STATE_LABELS = {"ok": "ok     ", "note": "note   ", "problem": "PROBLEM"}
Check = Callable[[], Iterable[Diagnostic]]


def add(parser: argparse.ArgumentParser) -> None:
    """The options of the command."""
    parser.add_argument("--json", action="store_true", help="print a list of objects")


def run(arguments: argparse.Namespace) -> int:
    """Prints every diagnostic; 1 when one of them is a problem."""
    import_project()
    found = diagnostics(arguments.dir)
    if arguments.json:
        print(json.dumps([each._asdict() for each in found], indent=2))  # noqa: T201
    else:
        for each in found:
            print(f"{STATE_LABELS[each.state]}  {each.subject}: {each.text}")  # noqa: T201
            if each.advice:
                print(f"         {each.advice}")  # noqa: T201
        print(_summary(found))  # noqa: T201
    return 1 if any(each.state == "problem" for each in found) else 0


def diagnostics(path: str | None) -> list[Diagnostic]:
    """Every diagnostic, in the order in which problems are best fixed."""
    checks: dict[str, Check] = {
        "Python": installation.python,
        "packages": installation.packages,
        "settings": installation.settings,
        "DIR": directory.configured if path is None else partial(directory.folder, path),
        "kernel": host.kernel,
        "stacks": host.stacks,
        "deaths": host.deaths,
        "servers": installation.servers,
    }
    return [each for subject, check in checks.items() for each in checked(subject, check)]


def checked(subject: str, check: Check) -> Iterator[Diagnostic]:
    """What ``check`` finds; its own failure is a diagnostic too, and the other checks still run."""
    try:
        for each in check():
            # What an application's settings raise may quote them.
            yield each._replace(text=message(each.text))
    except Exception as exc:  # noqa: BLE001  a check may fail in any way on an unknown machine
        yield Diagnostic("problem", subject, message(f"could not be checked: {exc}"))


def _summary(found: list[Diagnostic]) -> str:
    count = Counter(each.state for each in found)
    return f"problem: {count['problem']}, note: {count['note']}, ok: {count['ok']}"
