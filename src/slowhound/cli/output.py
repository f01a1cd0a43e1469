"""Prints what a command answers, and why it cannot: on standard output and standard error."""

from __future__ import annotations

import sys

from slowhound.event.formats import one_line


class Refusal(Exception):  # noqa: N818  it is an answer, with an exit code
    """The command cannot do what it was asked; the text says why, on one line."""

    def __init__(self, text: str, code: int = 1) -> None:
        super().__init__(text)
        self.code = code


def print_error(text: str) -> None:
    """One line on standard error, apart from the command's own output."""
    print(f"slowhound: {one_line(text)}", file=sys.stderr)  # noqa: T201


def print_out(text: str) -> None:
    """The command's output; the caller has cleaned each line of it."""
    print(text)  # noqa: T201
