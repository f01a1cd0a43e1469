"""Runs a command of `slowhound` in this process, which is faster than in another one."""

from __future__ import annotations

import io
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path
from typing import NamedTuple

from slowhound.cli import main


class Done(NamedTuple):
    """Exit code and output, with the names of ``subprocess``."""

    returncode: int
    stdout: str
    stderr: str


def slowhound(command: str, directory: Path, *arguments: str) -> Done:
    """Run `slowhound COMMAND --dir DIRECTORY ...`; its output is not a terminal."""
    out, err = io.StringIO(), io.StringIO()
    with redirect_stdout(out), redirect_stderr(err):
        try:
            code = main([command, "--dir", str(directory), *arguments])
        except SystemExit as ended:  # argparse's own
            code = int(ended.code or 0)
    return Done(code, out.getvalue(), err.getvalue())
