#!/usr/bin/env python3
"""Runs the suite with the newest versions of all packages, and with the lowest declared ones.

    scripts/drift.py                                 both, the whole suite
    scripts/drift.py --only lowest -- tests/store    pytest's arguments follow the --

``make drift`` runs it. The lock (``requirements/``) has versions that work today; this checks
whether tomorrow's installation works, and whether the lower bounds in ``pyproject.toml`` are right:
with "lowest", each package that is named there has its lowest allowed version, and their
dependencies have the newest. Each environment is made from scratch in ``--work`` by the uv of
``.venv``; pytest's output is in a file beside it. The exit code is 1 if anything failed.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from pathlib import Path

from matrix import CACHE, HERE, ROOT, Row, install, run_tests, table, versions

UV = ROOT / ".venv" / "bin" / "uv"
RESOLUTIONS = {"newest": "highest", "lowest": "lowest-direct"}
ARGUMENTS = ("--numprocesses=3", "--dist=loadfile")


def prepare(folder: Path, resolution: str) -> Path:
    """Makes an environment in `folder` with all that tests need; returns its interpreter."""
    python, inside = sys.executable, folder / "bin" / "python"
    subprocess.run([UV, "venv", "--quiet", "--clear", "--python", python, folder], check=True)
    pip = (UV, "pip", "install", "--quiet", "--python", inside, "--resolution", resolution)
    # --upgrade: uv's cache may be of yesterday.
    what = ("--upgrade", "--editable", ".[test]", "--group", "build")
    subprocess.run([*pip, *what], cwd=ROOT, check=True)
    install(Path(python), folder, "apart")
    return inside


def run(name: str, work: Path, arguments: list[str]) -> Row:
    folder = work / name
    row = Row(name)
    print(f"--- {name}", flush=True)
    try:
        inside = prepare(folder, RESOLUTIONS[name])
    except subprocess.CalledProcessError as error:
        row.bad, row.note = True, f"cannot be installed: exit code {error.returncode}"
        return row
    row.name = f"{name}: {versions(inside)}"
    run_tests(inside, row, folder, [*ARGUMENTS, *arguments])
    return row


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--work", type=Path, default=CACHE / f"slowhound-drift-{HERE}")
    parser.add_argument("--only", choices=RESOLUTIONS)
    parser.add_argument("arguments", nargs="*", metavar="-- pytest's arguments")
    options = parser.parse_args()
    work = options.work.resolve()
    work.mkdir(parents=True, exist_ok=True)
    names = [options.only] if options.only else list(RESOLUTIONS)
    rows = [run(name, work, options.arguments) for name in names]
    print("", table(rows), sep="\n")
    return 1 if any(row.bad for row in rows) else 0


if __name__ == "__main__":
    sys.exit(main())
