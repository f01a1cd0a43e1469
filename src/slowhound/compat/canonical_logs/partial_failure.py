"""``on_error``, whose event goes to standard output unless told otherwise."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from slowhound.context import on_error as slowhound_on_error


def _print(line: str) -> None:
    # At once: into a pipe Python writes 8 KiB later, and a killed worker never.
    print(line, flush=True)  # noqa: T201  the original prints, too


def on_error(
    *, return_value: Any, logger_func: Callable[[str], object] = _print
) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """See ``slowhound.on_error``."""
    return slowhound_on_error(return_value=return_value, logger_func=logger_func)
