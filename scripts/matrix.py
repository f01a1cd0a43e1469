#!/usr/bin/env python3
"""Runs tests on each supported Python with several versions of Django and Gunicorn.

    scripts/matrix.py                                       all, with tests/unit and tests/servers
    scripts/matrix.py --python 3.14 --django locked         only these
    scripts/matrix.py --pythons ~/pythons -- tests/unit -x  pytest's arguments follow the --

Interpreters are searched for where ``scripts/pythons.sh`` puts them, in PATH and among pyenv's.
Each combination has its own virtual environment in ``--work``, which is kept for the next run, with
what requirements/test.txt names except Django and Gunicorn; pytest's output is in a file beside it.
The exit code is 1 if anything failed.
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import subprocess
import sys
import time
import zlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import product
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
CACHE = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")

# Part of the names of folders, so that each checkout has its own.
HERE = f"{zlib.crc32(os.fsencode(ROOT)):08x}"

PYTHONS = ("3.11", "3.12", "3.13", "3.14", "3.15")
# "locked" is what requirements/test.txt names for a Python.
GUNICORNS = {"23": "gunicorn~=23.0", "locked": None}
DJANGOS = {"5.2": "Django~=5.2.0", "6.0": "Django~=6.0.0", "locked": None}
# The oldest Python of a line of Django; "locked" would be the same as 5.2 on an older one.
NEEDS = {"6.0": (3, 12), "locked": (3, 12)}
DEFAULT_PATHS = ("tests/unit", "tests/servers")

COUNTED = re.compile(r"(\d+) (passed|failed|skipped|error)s?\b")
VERSIONS = """
from importlib.metadata import version
import platform
print("Python", platform.python_version(), "Django", version("Django"), "Gunicorn",
      version("gunicorn"))
"""


@dataclass
class Row:
    """One line of the table at the end; `note` is why there is nothing to count."""

    name: str
    counts: dict[str, int] = field(default_factory=dict)
    seconds: float = 0.0
    note: str = ""
    bad: bool = False

    def cells(self) -> tuple[str, ...]:
        if not self.counts:
            return (self.name, "-", "-", "-", "-", self.note)
        failed = self.counts.get("failed", 0) + self.counts.get("error", 0)
        passed, skipped = self.counts.get("passed", 0), self.counts.get("skipped", 0)
        spent = f"{self.seconds:.0f} s"
        return (self.name, str(passed), str(failed), str(skipped), spent, self.note)


def runs_as(python: Path, version: str) -> bool:
    """Whether this is an interpreter of that version; one of pyenv's shims may not be."""
    code = "import sys; print('%d.%d' % sys.version_info[:2])"
    try:
        done = subprocess.run(
            [python, "-c", code], capture_output=True, text=True, check=False, timeout=60
        )
    except OSError:
        return False
    return done.returncode == 0 and done.stdout.strip() == version


def find_python(version: str, folder: Path) -> Path | None:
    name = f"python{version}"
    pyenv = Path(os.environ.get("PYENV_ROOT") or Path.home() / ".pyenv") / "versions"
    # Before PATH: Debian's own python3 has no ensurepip.
    found = [folder / "bin" / name, *sorted(pyenv.glob(f"{version}.*/bin/{name}"), reverse=True)]
    if in_path := shutil.which(name):
        found.append(Path(in_path))
    return next((python for python in found if runs_as(python, version)), None)


def install(python: Path, folder: Path, what: str) -> None:
    """Has scripts/install.sh install the lock file `what` into the environment in `folder`."""
    env = {**os.environ, "PYTHON": str(python), "VENV": str(folder)}
    subprocess.run(["scripts/install.sh", what], cwd=ROOT, env=env, check=True)


def prepare(python: Path, folder: Path, requirements: Sequence[str]) -> Path:
    """Makes an environment in `folder` with the project and `requirements`; its interpreter."""
    inside = folder / "bin" / "python"
    install(python, folder, "test")
    install(python, folder, "apart")
    if requirements:
        pip = (sys.executable, "-m", "pip", "--python", inside, "install", "--quiet")
        subprocess.run([*pip, "--disable-pip-version-check", *requirements], check=True)
    return inside


def versions(python: Path) -> str:
    """The versions in an environment, as text."""
    return subprocess.check_output([python, "-c", VERSIONS], text=True).strip()


def run_tests(python: Path, row: Row, folder: Path, arguments: Sequence[str]) -> None:
    """Runs pytest, and puts its result into `row`."""
    log = folder.parent / f"{folder.name}.txt"
    pytest = ("-m", "pytest", "-o", f"cache_dir={folder / 'pytest'}", *arguments)
    started = time.monotonic()
    with log.open("w") as output:
        done = subprocess.run(
            [python, *pytest], cwd=ROOT, stdout=output, stderr=subprocess.STDOUT, check=False
        )
    row.seconds = time.monotonic() - started
    lines = log.read_text(errors="replace").splitlines() or [""]
    row.counts = {what: int(number) for number, what in COUNTED.findall(lines[-1])}
    row.bad = done.returncode != 0
    if row.bad:
        row.note = str(log)
        for line in lines:
            if line.startswith(("FAILED", "ERROR ")):
                print(line)
    if row.bad and not row.counts:
        row.note = f"pytest ended with {done.returncode}: {log}"
    print(lines[-1].strip("= "), flush=True)


def combinations(options: argparse.Namespace) -> list[Row]:
    rows: list[Row] = []
    done: dict[str, str] = {}
    for version in options.python or PYTHONS:
        python = find_python(version, options.pythons)
        if python is None:
            rows.append(Row(f"Python {version}", note="not tested: no such interpreter here"))
            print(rows[-1].name, rows[-1].note, flush=True)
            continue
        number = tuple(int(part) for part in version.split("."))
        chosen = product(options.django or DJANGOS, options.gunicorn or GUNICORNS)
        for django, gunicorn in chosen:
            if number < NEEDS.get(django, number):
                continue
            folder = options.work / f"py{version}-django-{django}-gunicorn-{gunicorn}"
            row = Row(f"Python {version} Django {django} Gunicorn {gunicorn}")
            rows.append(row)
            print(f"--- {row.name}: {python}", flush=True)
            try:
                other = [DJANGOS[django], GUNICORNS[gunicorn]]
                inside = prepare(python, folder, [*filter(None, other)])
                row.name = versions(inside)
            except subprocess.CalledProcessError as error:
                row.bad, row.note = True, f"cannot be installed: exit code {error.returncode}"
                continue
            if row.name in done:
                row.note = f"the same as {done[row.name]}"
                continue
            done[row.name] = folder.name
            run_tests(inside, row, folder, options.arguments or DEFAULT_PATHS)
    return rows


def table(rows: Sequence[Row]) -> str:
    cells = [("combination", "passed", "failed", "skipped", "time", ""), *(r.cells() for r in rows)]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    lines = []
    for first, *numbers, note in cells:
        aligned = [text.rjust(width) for text, width in zip(numbers, widths[1:-1], strict=True)]
        lines.append("  ".join([first.ljust(widths[0]), *aligned, note]).rstrip())
    return "\n".join(lines)


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--work", type=Path, default=CACHE / f"slowhound-matrix-{HERE}")
    parser.add_argument("--pythons", type=Path, default="/opt/pythons", help="see pythons.sh")
    parser.add_argument("--python", action="append", choices=PYTHONS)
    parser.add_argument("--django", action="append", choices=DJANGOS)
    parser.add_argument("--gunicorn", action="append", choices=GUNICORNS)
    parser.add_argument("arguments", nargs="*", metavar="-- pytest's arguments")
    options = parser.parse_args()
    options.work = options.work.resolve()
    options.work.mkdir(parents=True, exist_ok=True)
    rows = combinations(options)
    print("", table(rows), sep="\n")
    return 1 if any(row.bad for row in rows) else 0


if __name__ == "__main__":
    sys.exit(main())
