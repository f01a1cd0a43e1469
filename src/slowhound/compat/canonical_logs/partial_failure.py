"""``on_error``, whose event goes to standard output by default."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from slowhound.context import on_error as slowhound_on_error


def _print(line: str) -> None:
    # Flushed: into a pipe Python writes only after 8 KiB, and in a killed worker never.
    print(line, flush=True)  # noqa: T201  as the original does


def on_error(
    *, return_value: Any, logger_func: Callable[[str], object] = _print
) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """See ``slowhound.on_error``."""
    return slowhound_on_error(return_value=return_value, logger_func=logger_func)
