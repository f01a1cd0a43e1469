"""A command of `slowhound` within this process: quick, where no process of its own is needed."""

from __future__ import annotations

import io
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path
from typing import NamedTuple

from slowhound.cli import main


class Done(NamedTuple):
    """How it ended, as ``subprocess`` has it."""

    returncode: int
    stdout: str
    stderr: str


def slowhound(command: str, directory: Path, *arguments: str) -> Done:
    """Run `slowhound COMMAND --dir DIRECTORY ...`; its output is no terminal."""
    out, err = io.StringIO(), io.StringIO()
    with redirect_stdout(out), redirect_stderr(err):
        try:
            code = main([command, "--dir", str(directory), *arguments])
        except SystemExit as ended:  # argparse's own
            code = int(ended.code or 0)
    return Done(code, out.getvalue(), err.getvalue())
